//! Redis publish/subscribe in RESP3, in which one connection may do both. It echoes.
//!
//! ```text
//! >3\r\n  $7\r\nmessage\r\n  $2\r\nr1\r\n  $5\r\nhello\r\n        :3\r\n answers a PUBLISH
//! ```

use std::io::{self, Write};

use super::super::workload::Who;
use super::{Dialect, Setup, Sink};

/// Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redis;

impl Dialect for Redis {
    fn echoes(&self) -> bool {
        true
    }

    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()> {
        setup.write(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n")?;
        setup.until(b"modules\r\n*0\r\n")?;
        if who.receives {
            let room = format!("r{}", who.room);
            let len = room.len();
            setup.write(format!("*2\r\n$9\r\nSUBSCRIBE\r\n${len}\r\n{room}\r\n").as_bytes())?;
            setup.until(format!("{room}\r\n:1\r\n").as_bytes())?;
        }
        Ok(())
    }

    fn message(&self, who: Who, payload: &[u8], out: &mut Vec<u8>) {
        let len = 2 + who.room.checked_ilog10().unwrap_or(0);
        // Writing to a vector does not fail.
        let _ = write!(out, "*3\r\n$7\r\nPUBLISH\r\n${len}\r\nr{}\r\n${}\r\n", who.room, payload.len());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn walk<S: Sink>(&self, _carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize {
        let mut at = 0;
        while let Some(kind) = bytes.get(at) {
            let used = match kind {
                b'>' => push(&bytes[at..]).map(|(payload, used)| {
                    sink.delivery(payload);
                    used
                }),
                b':' | b'+' => number(&bytes[at..]).map(|(_, used)| used),
                _ => {
                    sink.bad("not RESP3 as expected");
                    return bytes.len();
                }
            };
            let Some(used) = used else { break };
            at += used;
        }
        at
    }
}

/// The last string of a push, and the bytes of the whole.
fn push(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (count, mut at) = number(bytes)?;
    let mut last = &bytes[..0];
    for _ in 0..count {
        let (len, head) = number(bytes.get(at..)?)?;
        last = bytes.get(at + head..at + head + len)?;
        at += head + len + 2;
    }
    (at <= bytes.len()).then_some((last, at))
}

/// The number behind the first byte, and where the next line begins.
fn number(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0usize;
    for (index, byte) in bytes.iter().enumerate().skip(1) {
        if *byte == b'\r' {
            return (bytes.len() > index + 1).then_some((number, index + 2));
        }
        number = number.wrapping_mul(10).wrapping_add(usize::from(byte & 15));
    }
    None
}
