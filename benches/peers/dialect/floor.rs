//! What the floor speaks: a length and a payload, many in one write. It echoes.
//!
//! ```text
//! | length: u16, LE | payload |      the first of a client joins: | room: u32, LE | receives: u8 |
//! ```
//!
//! Over TCP the server speaks first, an empty unit: a client that has once answered acknowledges later than one that only
//! ever listens (docs/benchmarks.md, Pitfalls), and those of every other server have.

use std::io;

use super::super::websocket;
use super::super::workload::Who;
use super::{Dialect, Setup, Sink};

/// The floor, over TCP or with one WebSocket frame around a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) ws: bool,
}

impl Dialect for Floor {
    fn echoes(&self) -> bool {
        true
    }

    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()> {
        if self.ws {
            setup.upgrade("/", None)?;
        } else {
            setup.until(&GREETING)?;
        }
        let mut join = vec![5, 0];
        join.extend_from_slice(&who.room.to_le_bytes());
        join.push(u8::from(who.receives));
        let mut out = Vec::new();
        self.carry(&join, &mut out);
        setup.write(&out)
    }

    fn message(&self, _who: Who, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
        out.extend_from_slice(payload);
    }

    fn carry(&self, messages: &[u8], out: &mut Vec<u8>) {
        if self.ws { websocket::put(websocket::BINARY, messages, out) } else { out.extend_from_slice(messages) }
    }

    fn walk<S: Sink>(&self, _carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize {
        if !self.ws {
            return walk(bytes, sink);
        }
        websocket::walk(bytes, sink, |_, _, payload, sink| {
            if walk(payload, sink) != payload.len() {
                sink.bad("a message is cut by its frame");
            }
        })
    }
}

fn walk<S: Sink>(bytes: &[u8], sink: &mut S) -> usize {
    let mut at = 0;
    while let Some(payload) = unit(&bytes[at..]) {
        sink.delivery(payload);
        at += 2 + payload.len();
    }
    at
}

/// An empty unit.
pub(crate) const GREETING: [u8; 2] = [0; 2];

/// The payload of the unit at the front, if it is whole.
pub(crate) fn unit(bytes: &[u8]) -> Option<&[u8]> {
    let len = u16::from_le_bytes(*bytes.first_chunk()?);
    bytes.get(2..2 + usize::from(len))
}
