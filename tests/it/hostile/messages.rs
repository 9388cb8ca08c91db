//! The WebSocket layer: what violates RFC 6455, what is too large, and how it closes (PROTOCOL 4.2, 4.3).

use tickwire::wire::Reason;

use super::row::{Answer, HELLO, JOINED, Row, Stage, WEB, row};
use crate::server::say::{self, masked};

const PROTOCOL_ERROR: u16 = 1002;
const BAD_UTF8: u16 = 1007;
const TOO_LARGE: u16 = 1009;

pub fn rows() -> Vec<Row> {
    [violations(), opcodes(), large(), texts(), closes(), partial(), odd()].concat()
}

fn message(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Row {
    row(name, WEB, HELLO).raw(bytes)
}

fn violations() -> Vec<Row> {
    let event = say::event(1, b"x");
    let rows = [
        message("unmasked", [0x82, 2, 0x68, 0x69]),
        message("an unmasked ping", [0x89, 0]),
        message("RSV1", masked(0xc2, &event)),
        message("RSV2", masked(0xa2, &event)),
        message("RSV3", masked(0x92, &event)),
        message("all RSV", masked(0xf2, &event)),
        message("RSV1 on a ping", masked(0xc9, b"")),
        message("RSV1 on a close", masked(0xc8, &[3, 0xe8])),
        message("RSV1 on a continuation", [masked(0x02, &event[..2]), masked(0xc0, &event[2..])].concat()),
        message("a ping of 126 bytes", masked(0x89, &[0; 126])),
        message("a pong of 126 bytes", masked(0x8a, &[0; 126])),
        message("a close of 126 bytes", masked(0x88, &[3; 126])),
        message("a ping in fragments", masked(0x09, b"x")),
        message("a close in fragments", masked(0x08, &[3, 0xe8])),
        message("a continuation of nothing", masked(0x80, &event)),
        message("the beginning of a continuation of nothing", masked(0x00, &event)),
        message("a message inside a message", [masked(0x02, b""), masked(0x82, &event)].concat()),
        message("a text inside a message", [masked(0x02, b""), masked(0x81, b"x")].concat()),
        message("a continuation behind a whole message", [say::binary(&say::ping(1)), masked(0x80, b"")].concat()),
        message("a close of 1 byte", masked(0x88, &[3])),
    ];
    rows.map(|row| row.violation(211, PROTOCOL_ERROR)).into()
}

fn opcodes() -> Vec<Row> {
    (3..=7)
        .chain(0xb..=0xf)
        .map(|opcode| message(format!("opcode {opcode:x}"), masked(0x80 | opcode, b"")).violation(211, PROTOCOL_ERROR))
        .collect()
}

fn large() -> Vec<Row> {
    let mask = [0; 4];
    let length = |bytes: [u8; 8]| [&[0x82, 0xff][..], &bytes, &mask].concat();
    let begun = |first: u8, len: usize, count: usize| {
        [masked(first, &vec![0; len]), masked(0x00, &vec![0; len]).repeat(count)].concat()
    };
    let rows = [
        // CVE-2026-27889: read as a signed number, this length was negative.
        message("a length with the top bit", length([0x80, 0, 0, 0, 0, 0, 0, 1])),
        message("a length of all bits", length([0xff; 8])),
        message("a message of 4 GiB", length([0, 0, 0, 1, 0, 0, 0, 0])),
        message("a message of 64 KiB", length([0, 0, 0, 0, 0, 1, 0, 0])),
        message("a message one byte above the limit", [&[0x82, 0xfe, 0x40, 0x05][..], &mask].concat()),
        message("a ping of 64 KiB", [&[0x89, 0xff, 0, 0, 0, 0, 0, 1, 0, 0], &mask[..]].concat()),
        message("continuations without end", begun(0x02, 1024, 20)),
        message("small continuations without end", begun(0x02, 1, 16_400)),
        message("a text without end", begun(0x01, 1024, 20)),
    ];
    let mut rows: Vec<Row> = rows.map(|row| row.violation(203, TOO_LARGE)).into();
    rows.push(
        message("the largest message there may be", say::binary(&[&[1, 0x40, 0, 0][..], &[9; 0x4000]].concat()))
            .not_taken(232),
    );
    rows
}

fn texts() -> Vec<Row> {
    vec![
        message("text", masked(0x81, b"hello")).close(205),
        message("an empty text", masked(0x81, b"")).close(205),
        message("a text in fragments", [masked(0x01, b"he"), masked(0x80, b"llo")].concat()).close(205),
        message("a text that is none", masked(0x81, &[0xff])).violation(211, BAD_UTF8),
        message("a text with a surrogate", masked(0x81, &[0xed, 0xa0, 0x80])).violation(211, BAD_UTF8),
        message("a text whose last letter is cut off", masked(0x81, &[b'a', 0xc3])).violation(211, BAD_UTF8),
        row("a text before hello", WEB, Stage::Open).raw(masked(0x81, b"{}")).close(205),
    ]
}

fn closes() -> Vec<Row> {
    let good: [(&str, &[u8], u16); 5] = [
        ("1000", &[0x03, 0xe8], 1000),
        ("1001, with words", &[0x03, 0xe9, b'b', b'y', b'e'], 1001),
        ("4000", &[0x0f, 0xa0], 4000),
        ("3000", &[0x0b, 0xb8], 3000),
        ("without a code", &[], 1005),
    ];
    let wrong: [(&str, &[u8], u16); 9] = [
        ("1005, which nobody sends", &[0x03, 0xed], PROTOCOL_ERROR),
        ("1006, which nobody sends", &[0x03, 0xee], PROTOCOL_ERROR),
        ("1015, which nobody sends", &[0x03, 0xf7], PROTOCOL_ERROR),
        ("999", &[0x03, 0xe7], PROTOCOL_ERROR),
        ("5000", &[0x13, 0x88], PROTOCOL_ERROR),
        ("65535", &[0xff, 0xff], PROTOCOL_ERROR),
        ("0", &[0, 0], PROTOCOL_ERROR),
        ("2999", &[0x0b, 0xb7], PROTOCOL_ERROR),
        ("1000, with words that are no text", &[0x03, 0xe8, 0xff, 0xfe], BAD_UTF8),
    ];
    let mut rows = Vec::new();
    for (name, payload, code) in good {
        // What comes behind it is not acted upon.
        let behind = say::binary(&[9, 0, 0, 0]);
        let bytes = [masked(0x88, payload), behind].concat();
        rows.push(message(format!("close {name}"), bytes).answer(Answer::CloseFrame(code)));
    }
    for (name, payload, code) in wrong {
        rows.push(message(format!("close {name}"), masked(0x88, payload)).violation(211, code));
    }
    rows.push(
        row("close before hello", WEB, Stage::Open).raw(masked(0x88, &[3, 0xe8])).answer(Answer::CloseFrame(1000)),
    );
    rows
}

fn partial() -> Vec<Row> {
    let event = say::event(1, b"half of this");
    let joined = |name: &str, bytes: &[u8]| row(name, WEB, JOINED).raw(say::binary(bytes));
    vec![
        joined("a message of half a header", &[1, 0]).close(204),
        joined("a message of a header", &[1, 0, 2, 0]).close(204),
        joined("a message that ends inside a frame", &event[..event.len() - 1]).close(204),
        joined("a message of a frame and a half", &[&event[..], &event[..9]].concat()).close(204),
        joined("a message that announces more than there may be", &[1, 0xff, 0xff, 0]).close(203),
        row("half a hello in a message of its own", WEB, Stage::Open).raw(say::binary(&say::hello()[..5])).close(204),
    ]
}

fn odd() -> Vec<Row> {
    /// Bytes of a small ping.
    const PING: u8 = 7;
    assert_eq!(say::ping(1).len(), usize::from(PING));
    let hello = say::hello();
    let event = say::event(1, b"in pieces");
    let length_of_8 = [&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0][..], &[1, 2, 3, 4]].concat();
    let pieces = |bytes: &[u8]| {
        let (first, rest) = bytes.split_first().unwrap();
        let last = masked(0x80, b"");
        let rest: Vec<u8> = rest.iter().flat_map(|byte| masked(0x00, &[*byte])).collect();
        [masked(0x02, &[*first]), rest, last].concat()
    };
    vec![
        message("an empty message", masked(0x82, b"")),
        message(
            "an empty message of many empty fragments",
            [masked(0x02, b""), masked(0x00, b"").repeat(500), masked(0x80, b"")].concat(),
        ),
        message("a length in more bytes than it needs", length_of_8),
        message("a pong that nobody asked for", masked(0x8a, b"hello?")),
        message("a mask of zeros", [&[0x82, 0x80 | PING, 0, 0, 0, 0][..], &say::ping(1)].concat()),
        row("hello in fragments of one byte", WEB, Stage::Open).raw(pieces(&hello)),
        row("an event in fragments, with pings between", WEB, JOINED)
            .raw([masked(0x02, &event[..3]), masked(0x89, b"?"), masked(0x80, &event[3..])].concat()),
        row("a whole session in one write", WEB, Stage::Open)
            .raw([say::binary(&hello), masked(0x89, b"1"), say::binary(&say::ping(3))].concat()),
        message("refused, and then text", [say::binary(&say::leave(5, 9)), masked(0x81, b"x")].concat())
            .answer(Answer::Close { reason: Reason(205), request: 0, code: 4205 }),
    ]
}
