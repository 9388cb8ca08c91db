//! Socket.IO 4 over WebSocket alone: event "m" with one binary attachment, to a room without its sender.
//!
//! ```text
//! text frame 451-["m",{"_placeholder":true,"num":0}]    binary frame: the payload
//! ```

use std::io;

use super::super::websocket::{self, BINARY, TEXT};
use super::super::workload::Who;
use super::{Dialect, Setup, Sink};

/// Socket.IO.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketIo;

impl Dialect for SocketIo {
    fn echoes(&self) -> bool {
        false
    }

    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()> {
        setup.upgrade("/socket.io/?EIO=4&transport=websocket", None)?;
        if setup.frame()?.first() != Some(&b'0') {
            return Err(io::Error::other("Engine.IO did not open"));
        }
        send(setup, "40")?;
        if !setup.frame()?.starts_with(b"40") {
            return Err(io::Error::other("Socket.IO did not connect"));
        }
        send(setup, &format!("42[\"join\",\"{}\",{}]", who.room, u8::from(who.receives)))?;
        loop {
            let frame = setup.frame()?;
            if frame.starts_with(b"42[\"joined\"") {
                return Ok(());
            }
            if frame == PING {
                send(setup, PONG)?;
            }
        }
    }

    fn message(&self, _who: Who, payload: &[u8], out: &mut Vec<u8>) {
        websocket::put(TEXT, b"451-[\"m\",{\"_placeholder\":true,\"num\":0}]", out);
        websocket::put(BINARY, payload, out);
    }

    fn walk<S: Sink>(&self, _carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize {
        websocket::walk(bytes, sink, |opcode, last, payload, sink| {
            if opcode == BINARY && last {
                sink.delivery(payload);
            } else if payload == PING {
                let mut answer = Vec::new();
                websocket::put(TEXT, PONG.as_bytes(), &mut answer);
                sink.reply(&answer);
            } else if !payload.starts_with(b"451-") {
                sink.bad("not a Socket.IO event");
            }
        })
    }
}

fn send(setup: &mut Setup, text: &str) -> io::Result<()> {
    let mut out = Vec::new();
    websocket::put(TEXT, text.as_bytes(), &mut out);
    setup.write(&out)
}

const PING: &[u8] = b"2";
const PONG: &str = "3";
