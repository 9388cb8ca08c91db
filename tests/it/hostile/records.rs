//! TLS: records that are wrong before the handshake, in it, and below a session (PROTOCOL 4.4).
//!
//! Alerts are those of RFC 8446 6.

use super::row::{BARE, JOINED, On, Row, SECURE, Stage, row};
use crate::server::say;

pub fn rows() -> Vec<Row> {
    [before(), hellos(), below()].concat()
}

fn bare(name: &str, bytes: impl Into<Vec<u8>>) -> Row {
    row(name, BARE, Stage::Socket).raw(bytes)
}

fn before() -> Vec<Row> {
    vec![
        bare("HTTP, where TLS is spoken", "GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n").alert(DECODE_ERROR),
        bare("frames, where TLS is spoken", [say::preamble(), say::hello()].concat()).alert(DECODE_ERROR),
        bare("zeros", [0; 64]).alert(DECODE_ERROR),
        bare("all bits", [0xff; 64]).alert(DECODE_ERROR),
        // RFC 8446 5.1 has record_overflow for it; rustls says that it cannot be read.
        bare("a record that is too large", [0x16, 3, 1, 0xff, 0xff, 1, 0, 0, 0]).alert(DECODE_ERROR),
        bare("a record of another version", [0x16, 9, 9, 0, 1, 1]).alert(DECODE_ERROR),
        bare("application data before hello", [0x17, 3, 3, 0, 1, 0]).alert(UNEXPECTED_MESSAGE),
        bare("a heartbeat", [0x18, 3, 2, 0, 3, 1, 0x40, 0]).alert(DECODE_ERROR),
        bare("a change of ciphers before hello", [0x14, 3, 3, 0, 1, 1]).alert(UNEXPECTED_MESSAGE),
        bare("an empty record of a handshake", [0x16, 3, 1, 0, 0]).alert(DECODE_ERROR),
        bare("a fatal alert before hello", [0x15, 3, 3, 0, 2, 2, 40]).end(),
        bare("an alert of three bytes", [0x15, 3, 3, 0, 3, 2, 40, 0]).alert(DECODE_ERROR),
    ]
}

/// Handshakes of one record.
fn handshake(body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[0x16, 3, 1, high, low][..], body].concat()
}

/// A hello: its legacy version, suites and extensions.
fn hello(version: [u8; 2], suites: &[u8], extensions: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let (suites, extensions) = ([&length(suites), suites].concat(), [&length(extensions), extensions].concat());
    let body = [&version[..], &[7; 32], &[0], &suites, &[1, 0], &extensions].concat();
    let [high, low] = length(&body);
    handshake(&[&[1, 0, high, low][..], &body].concat())
}

/// Signatures and groups, which such a client may name.
const USUAL: &[u8] = &[0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 0x1d];

fn hellos() -> Vec<Row> {
    let ecdsa = [0xc0, 0x2b];
    vec![
        bare("TLS 1.0", hello([3, 1], &[0xc0, 0x14, 0xc0, 0x0a], USUAL)).alert(PROTOCOL_VERSION),
        bare("TLS 1.1", hello([3, 2], &[0xc0, 0x14, 0xc0, 0x0a], USUAL)).alert(PROTOCOL_VERSION),
        bare("SSL 3", hello([3, 0], &[0, 5], USUAL)).alert(PROTOCOL_VERSION),
        bare("no suite that is known", hello([3, 3], &[0, 5, 0, 4], USUAL)).alert(HANDSHAKE_FAILURE),
        bare("no suite at all", hello([3, 3], &[], USUAL)).alert(DECODE_ERROR),
        bare("a hello twice in a record", hello([3, 3], &ecdsa, USUAL).repeat(2)).alert_behind(UNEXPECTED_MESSAGE),
        bare("a hello with an extension twice", hello([3, 3], &ecdsa, &[USUAL, &[0, 23, 0, 0, 0, 23, 0, 0]].concat()))
            .alert(ILLEGAL_PARAMETER),
        bare("a hello whose extensions are cut off", hello([3, 3], &ecdsa, &[0, 13, 0, 9, 0])).alert(DECODE_ERROR),
        bare("a hello of 16 MiB, announced", handshake(&[1, 0xff, 0xff, 0xff, 3, 3])).end(),
        bare("another message than hello", handshake(&[11, 0, 0, 3, 0, 0, 0])).alert(UNEXPECTED_MESSAGE),
        bare("a finished before hello", handshake(&[20, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]))
            .alert(UNEXPECTED_MESSAGE),
        bare("a hello that ends inside", handshake(&[1, 0, 0, 2, 3, 3])).alert(DECODE_ERROR),
        row("the end inside a hello", BARE, Stage::Socket).raw(&hello([3, 3], &ecdsa, USUAL)[..30]).half_close().end(),
        row("the end before a hello", BARE, Stage::Socket).half_close().end(),
    ]
}

/// Below a session: nobody can write such records who does not know its keys.
fn below() -> Vec<Row> {
    let below = |name: &str, bytes: &[u8]| row(name, SECURE, JOINED).beneath(bytes).end();
    vec![
        below("data that nobody has encrypted", &[&[0x17, 3, 3, 0, 20][..], &[7; 20]].concat()),
        below("a record that is too short to be encrypted", &[0x17, 3, 3, 0, 1, 7]),
        below("a record that is too large, below a session", &[0x17, 3, 3, 0xff, 0xff]),
        below("close_notify in the clear", &[0x15, 3, 3, 0, 2, 1, 0]),
        below("a fatal alert in the clear", &[0x15, 3, 3, 0, 2, 2, 40]),
        below("a hello in the clear", &handshake(&[1, 0, 0, 2, 3, 3])),
        below("frames in the clear", &say::event(1, b"no cipher")),
        row("half a record, and the end", SECURE, JOINED).beneath([0x17, 3, 3, 0, 99, 1, 2, 3]).dropped(),
        row("the end without close_notify", SECURE, JOINED).dropped(),
        row("close_notify and no close", &[On::Tls, On::Wss], JOINED).half_close().end(),
    ]
}

const UNEXPECTED_MESSAGE: u8 = 10;
const HANDSHAKE_FAILURE: u8 = 40;
const ILLEGAL_PARAMETER: u8 = 47;
const DECODE_ERROR: u8 = 50;
const PROTOCOL_VERSION: u8 = 70;
