//! Tickwire, version 1 of its protocol, over TCP or WebSocket. Echoes.
//!
//! A dialect for the fan-out load generator `pbgen`: it speaks the minimal client of PROTOCOL.md.
//! Events, or values whose key is the sequence number modulo 64, so that none replaces another.
use crate::dialect::*;
use std::io;

pub struct Tickwire {
    pub ws: bool,
    pub values: bool,
}

const DATA: u8 = 1;
const CONTROL: u8 = 2;
const PING: u8 = 3;
const JOINED: u8 = 4;

/// Reads a varint; returns it and what follows it.
#[inline(always)]
fn varint(b: &[u8]) -> Option<(u64, &[u8])> {
    let (mut n, mut shift) = (0, 0);
    for (i, &c) in b.iter().enumerate().take(8) {
        n |= u64::from(c & 0x7f) << shift;
        if c < 0x80 {
            return Some((n, &b[i + 1..]));
        }
        shift += 7;
    }
    None
}

/// The frame at the front: type, flags, payload, and its whole length.
#[inline(always)]
fn frame(b: &[u8]) -> Option<(u8, u8, &[u8], usize)> {
    let len = usize::from(u16::from_be_bytes([*b.get(1)?, *b.get(2)?]));
    Some((b[0], *b.get(3)?, b.get(4..4 + len)?, 4 + len))
}

/// Hands every event or value of a data frame to the sink; false where it cannot be read.
#[inline(always)]
fn records<S: Sink>(flags: u8, payload: &[u8], sink: &mut S) -> Option<()> {
    let keyed = match (flags >> 1) & 7 {
        0 => false,
        1 => true,
        _ => return Some(()),
    };
    let (_room, rest) = varint(payload)?;
    let (_position, rest) = varint(rest)?;
    let mut rest = rest.get(2..)?;
    while !rest.is_empty() {
        let (len, after) = varint(rest)?;
        let (_member, mut after) = varint(after)?;
        if keyed {
            after = varint(after)?.1;
        }
        let len = len as usize;
        sink.payload(after.get(..len)?);
        rest = &after[len..];
    }
    Some(())
}

impl Tickwire {
    /// Walks whole frames; returns the bytes used.
    #[inline(always)]
    fn frames<S: Sink>(&self, b: &[u8], sink: &mut S) -> usize {
        let mut at = 0;
        while let Some((kind, flags, payload, len)) = frame(&b[at..]) {
            match kind {
                DATA => {
                    if records(flags, payload, sink).is_none() {
                        sink.bad("record");
                    }
                }
                CONTROL if matches!(payload.first(), Some(7 | 8 | 9)) => sink.bad("refused or closed"),
                CONTROL => {}
                PING if flags & 1 == 0 => self.pong(payload, sink),
                PING => {}
                _ => sink.bad("frame type"),
            }
            at += len;
        }
        at
    }

    /// The asker's time, repeated; nothing reported.
    #[cold]
    fn pong<S: Sink>(&self, asked: &[u8], sink: &mut S) {
        let Some((_, rest)) = varint(asked) else { return sink.bad("ping") };
        let time = &asked[..asked.len() - rest.len()];
        let mut answer = vec![PING, 0, time.len() as u8 + 2, 1];
        answer.extend_from_slice(time);
        answer.extend_from_slice(&[0, 0]);
        let mut out = vec![];
        self.put(&answer, &mut out);
        sink.reply(&out);
    }

    fn put(&self, b: &[u8], out: &mut Vec<u8>) {
        if self.ws {
            ws_put(2, b, out);
        } else {
            out.extend_from_slice(b);
        }
    }
}

impl Dialect for Tickwire {
    fn echo(&self) -> bool {
        true
    }

    fn setup(&self, io: &mut Io, who: &Who) -> io::Result<()> {
        let mut name = [0; 16];
        let len = crate::topic(b"r", who.room, &mut name);
        let mode = u8::from(who.publ) | u8::from(who.sub) << 1;
        let mut hello = vec![CONTROL, 0, 5, 0, 1, 1, 0, 0, 0];
        hello.extend_from_slice(&[CONTROL, 0, 5 + len as u8, 0, 3, 2, 1, mode, len as u8]);
        hello.extend_from_slice(&name[..len]);
        let mut out = vec![];
        if self.ws {
            io.ws_upgrade("/ws", Some("tickwire.v1"))?;
        } else {
            out.extend_from_slice(&[0xd7, 0x54, 0x57, 1]);
        }
        self.put(&hello, &mut out);
        io.write(&out)?;
        // Until the join is answered; what follows belongs to the run.
        loop {
            let (payload, used) = if self.ws {
                let Some((_, at, len)) = ws_head(&io.buf).filter(|(_, at, len)| io.buf.len() >= at + len) else {
                    io.more()?;
                    continue;
                };
                (io.buf[at..at + len].to_vec(), at + len)
            } else {
                let Some((_, _, _, len)) = frame(&io.buf) else {
                    io.more()?;
                    continue;
                };
                (io.buf[..len].to_vec(), len)
            };
            io.buf.drain(..used);
            let mut rest = &payload[..];
            while let Some((kind, _, body, len)) = frame(rest) {
                match (kind, body.first()) {
                    (CONTROL, Some(&JOINED)) => return Ok(()),
                    (CONTROL, Some(7 | 8)) => return Err(io::Error::other("join refused")),
                    _ => {}
                }
                rest = &rest[len..];
            }
        }
    }

    #[inline(always)]
    fn publish(&self, _who: &Who, payload: &[u8], out: &mut Vec<u8>) {
        // The sequence number, modulo 64, as a key of this member: one byte on the wire.
        let key = (payload[12] & 63) << 1;
        let len = 1 + usize::from(self.values) + payload.len();
        let at = if self.ws { ws_begin(2, len + 4, out) } else { 0 };
        out.push(DATA);
        out.extend_from_slice(&(len as u16).to_be_bytes());
        out.push(if self.values { 2 } else { 0 });
        out.push(1);
        if self.values {
            out.push(key);
        }
        out.extend_from_slice(payload);
        if self.ws {
            ws_mask(out, at);
        }
    }

    fn walk<S: Sink>(&self, _st: &mut St, buf: &[u8], sink: &mut S) -> usize {
        if self.ws {
            ws_walk(buf, sink, |_, _, payload, sink| {
                if self.frames(payload, sink) != payload.len() {
                    sink.bad("partial frame in a message");
                }
            })
        } else {
            self.frames(buf, sink)
        }
    }
}
