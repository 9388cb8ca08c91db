//! MQTT 5 over TCP or WebSocket, QoS 0, subscribed with No Local: none to the sender.
//!
//! ```text
//! | 0x30 | length: varint | topic length: u16, BE | topic | 0: no properties | payload |
//! ```

use std::io::{self, Write};

use super::super::websocket;
use super::super::workload::Who;
use super::{Dialect, Setup, Sink};

/// MQTT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mqtt {
    pub(crate) ws: bool,
}

impl Dialect for Mqtt {
    fn echoes(&self) -> bool {
        false
    }

    fn parallel(&self) -> usize {
        // Mosquitto answers a WebSocket handshake only every 0.2 s: one by one, 1,000 take minutes.
        if self.ws { 64 } else { 1 }
    }

    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()> {
        if self.ws {
            setup.upgrade("/mqtt", Some("mqtt"))?;
        }
        let mut connect = Vec::new();
        put_string("MQTT", &mut connect);
        // Version 5, clean start, ten minutes of silence allowed, no properties.
        connect.extend_from_slice(&[5, 2, 2, 88, 0]);
        put_string(&format!("c{}", who.index), &mut connect);
        self.send(setup, CONNECT, &connect)?;
        let (kind, answer) = self.receive(setup)?;
        if kind != CONNACK || answer.get(1) != Some(&0) {
            return Err(io::Error::other(format!("not connected: {answer:02x?}")));
        }
        if who.receives {
            let mut subscribe = vec![0, 1, 0];
            put_string(&format!("r/{}", who.room), &mut subscribe);
            subscribe.push(NO_LOCAL);
            self.send(setup, SUBSCRIBE, &subscribe)?;
            let (kind, answer) = self.receive(setup)?;
            if kind != SUBACK || answer.last() != Some(&0) {
                return Err(io::Error::other(format!("not subscribed: {answer:02x?}")));
            }
        }
        Ok(())
    }

    fn message(&self, who: Who, payload: &[u8], out: &mut Vec<u8>) {
        let topic = 3 + who.room.checked_ilog10().unwrap_or(0) as usize;
        out.push(PUBLISH);
        put_varint(2 + topic + 1 + payload.len(), out);
        out.extend_from_slice(&(topic as u16).to_be_bytes());
        // Writing to a vector does not fail.
        let _ = write!(out, "r/{}", who.room);
        out.push(0);
        out.extend_from_slice(payload);
    }

    fn carry(&self, messages: &[u8], out: &mut Vec<u8>) {
        if self.ws { websocket::put(websocket::BINARY, messages, out) } else { out.extend_from_slice(messages) }
    }

    fn walk<S: Sink>(&self, carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize {
        if self.ws { websocket::walk_stream(carried, bytes, sink, packets) } else { packets(bytes, sink) }
    }
}

impl Mqtt {
    fn send(&self, setup: &mut Setup, kind: u8, content: &[u8]) -> io::Result<()> {
        let mut packet = vec![kind];
        put_varint(content.len(), &mut packet);
        packet.extend_from_slice(content);
        let mut out = Vec::new();
        self.carry(&packet, &mut out);
        setup.write(&out)
    }

    fn receive(&self, setup: &mut Setup) -> io::Result<(u8, Vec<u8>)> {
        if self.ws {
            let frame = setup.frame()?;
            let whole = packet(&frame).filter(|(_, _, used)| *used == frame.len());
            let (kind, content, _) = whole.ok_or_else(|| io::Error::other("an answer is cut by its frame"))?;
            return Ok((kind, content.to_vec()));
        }
        loop {
            if let Some((kind, content, used)) = packet(&setup.rest) {
                let content = content.to_vec();
                setup.rest.drain(..used);
                return Ok((kind, content));
            }
            setup.more()?;
        }
    }
}

fn packets<S: Sink>(bytes: &[u8], sink: &mut S) -> usize {
    let mut at = 0;
    while let Some((kind, content, used)) = packet(&bytes[at..]) {
        at += used;
        if kind & 0xf0 == PUBLISH {
            match published(content) {
                Some(payload) => sink.delivery(payload),
                None => sink.bad("MQTT publish"),
            }
        } else if kind != PINGRESP {
            sink.bad("MQTT packet");
        }
    }
    at
}

/// What a PUBLISH of QoS 0 carries: behind the topic and the properties.
fn published(content: &[u8]) -> Option<&[u8]> {
    let topic = usize::from(u16::from_be_bytes(*content.first_chunk()?));
    let rest = content.get(2 + topic..)?;
    let (properties, used) = varint(rest)?;
    rest.get(used + properties..)
}

/// The kind and content of the packet at the front, and its bytes.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (len, used) = varint(bytes.get(1..)?)?;
    Some((bytes[0], bytes.get(1 + used..1 + used + len)?, 1 + used + len))
}

fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

fn put_varint(mut number: usize, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGRESP: u8 = 0xd0;
const NO_LOCAL: u8 = 4;
