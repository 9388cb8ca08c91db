//! NATS core over TCP or WebSocket, with `echo: false`: none to the sender.
//!
//! ```text
//! PUB <subject> <length>\r\n<payload>\r\n        MSG <subject> <subscription> <length>\r\n<payload>\r\n
//! ```

use std::io::{self, Write};

use super::super::websocket;
use super::super::workload::Who;
use super::{Dialect, Setup, Sink, find};

/// NATS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nats {
    pub(crate) ws: bool,
}

impl Dialect for Nats {
    fn echoes(&self) -> bool {
        false
    }

    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()> {
        if self.ws {
            setup.upgrade("/", None)?;
        }
        self.wait(setup, b"\r\n")?;
        let options =
            "{\"verbose\":false,\"pedantic\":false,\"echo\":false,\"lang\":\"x\",\"version\":\"0\",\"protocol\":1}";
        self.send(setup, &format!("CONNECT {options}\r\nPING\r\n"))?;
        self.wait(setup, b"PONG\r\n")?;
        if who.receives {
            self.send(setup, &format!("SUB r.{} 1\r\nPING\r\n", who.room))?;
            self.wait(setup, b"PONG\r\n")?;
        }
        Ok(())
    }

    fn message(&self, who: Who, payload: &[u8], out: &mut Vec<u8>) {
        // Writing to a vector does not fail.
        let _ = write!(out, "PUB r.{} {}\r\n", who.room, payload.len());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn carry(&self, messages: &[u8], out: &mut Vec<u8>) {
        if self.ws { websocket::put(websocket::BINARY, messages, out) } else { out.extend_from_slice(messages) }
    }

    fn walk<S: Sink>(&self, carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize {
        if self.ws {
            websocket::walk_stream(carried, bytes, sink, |bytes, sink| self.lines(bytes, sink))
        } else {
            self.lines(bytes, sink)
        }
    }
}

impl Nats {
    fn send(&self, setup: &mut Setup, text: &str) -> io::Result<()> {
        let mut out = Vec::new();
        self.carry(text.as_bytes(), &mut out);
        setup.write(&out)
    }

    fn wait(&self, setup: &mut Setup, mark: &[u8]) -> io::Result<()> {
        if !self.ws {
            return setup.until(mark).map(|_| ());
        }
        loop {
            let frame = setup.frame()?;
            if find(&frame, b"-ERR").is_some() {
                return Err(io::Error::other(String::from_utf8_lossy(&frame).into_owned()));
            }
            if find(&frame, mark).is_some() {
                return Ok(());
            }
        }
    }

    fn lines<S: Sink>(&self, bytes: &[u8], sink: &mut S) -> usize {
        let mut at = 0;
        while let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes[at..].split_at(end + 1);
            if line.starts_with(b"MSG ") {
                let Some(len) = last_number(line) else {
                    sink.bad("NATS message");
                    return bytes.len();
                };
                if rest.len() < len + 2 {
                    break;
                }
                sink.delivery(&rest[..len]);
                at += line.len() + len + 2;
                continue;
            }
            if line.starts_with(b"PING") {
                let mut answer = Vec::new();
                self.carry(b"PONG\r\n", &mut answer);
                sink.reply(&answer);
            } else if line.starts_with(b"-") {
                sink.bad("NATS error");
            }
            at += line.len();
        }
        at
    }
}

/// The number at the end of a line that ends with "\r\n".
fn last_number(line: &[u8]) -> Option<usize> {
    let digits = line.strip_suffix(b"\r\n")?.rsplit(|byte| *byte == b' ').next()?;
    digits.iter().try_fold(0usize, |number, digit| {
        let digit = usize::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number.checked_mul(10)?.checked_add(digit)
    })
}
