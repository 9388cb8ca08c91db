//! A plain WebSocket hub, as uWebSockets and node's `ws` are here: `/ws?r=ROOM&s=0|1`, one binary message for each
//! delivery, none to the sender.

use std::io;

use super::super::websocket;
use super::super::workload::Who;
use super::{Dialect, Setup, Sink};

/// Raw WebSocket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hub;

impl Dialect for Hub {
    fn echoes(&self) -> bool {
        false
    }

    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()> {
        setup.upgrade(&format!("/ws?r={}&s={}", who.room, u8::from(who.receives)), None)
    }

    fn message(&self, _who: Who, payload: &[u8], out: &mut Vec<u8>) {
        websocket::put(websocket::BINARY, payload, out);
    }

    fn walk<S: Sink>(&self, _carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize {
        websocket::walk(bytes, sink, |opcode, last, payload, sink| {
            if opcode == websocket::BINARY && last {
                sink.delivery(payload);
            } else {
                sink.bad("not one whole binary message");
            }
        })
    }
}
