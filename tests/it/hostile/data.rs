//! Data frames that are refused, and those that cannot be read (PROTOCOL 7).

use tickwire::wire::control::Mode;
use tickwire::wire::{Capabilities, Key, Reason};

use super::row::{ALL, Answer, HELLO, JOINED, Row, Stage, data, row};
use crate::server::say;

const DEFLATE: Stage = Stage::Joined(Capabilities::DEFLATE.0, Mode::BOTH);

pub fn rows() -> Vec<Row> {
    [refused(), unreadable(), compressed()].concat()
}

fn refused() -> Vec<Row> {
    let mut rows: Vec<Row> =
        [(2, "presence"), (4, "a snapshot"), (5, "a list of members"), (6, "kind 6"), (7, "kind 7")]
            .map(|(kind, name)| {
                row(format!("{name}, which no client sends"), ALL, JOINED)
                    .frames(data(kind << 1, &[1, b'x']))
                    .not_taken(225)
            })
            .into();
    // Not a byte of it is looked at.
    rows.push(row("presence without a handle", ALL, JOINED).frames(data(4, &[])).not_taken(225));
    let other = [say::join(5, 1, Mode::BOTH, "target"), say::event(1, b"x"), say::event(2, b"x")].concat();
    rows.extend([
        row("an event to no room", ALL, JOINED).frames(say::event(9, b"x")).not_taken(232),
        row("a value to no room", ALL, JOINED).frames(say::value(9, Key::member(1), b"x")).not_taken(232),
        row("a direct to no room", ALL, JOINED).frames(say::direct(9, 1, b"x")).not_taken(232),
        row("an event before any join", ALL, HELLO).frames(say::event(1, b"x")).not_taken(232),
        row("compressed without the capability", ALL, JOINED).frames(data(1, &[1, 3, 0])).not_taken(223),
        row("to be accepted without the capability", ALL, JOINED).frames(data(0x20, &[1, b'x'])).not_taken(223),
        row("an event one byte too large", ALL, JOINED).frames(say::event(1, &[7; 15 * 1024 + 1])).not_taken(236),
        row("a value one byte too large", ALL, JOINED)
            .frames(say::value(1, Key::room(1), &[7; 15 * 1024 + 1]))
            .not_taken(236),
        row("a direct one byte too large", ALL, JOINED).frames(say::direct(1, 1, &[7; 15 * 1024 + 1])).not_taken(236),
        row("a direct to nobody", ALL, JOINED).frames(say::direct(1, 4_000_000, b"x")).not_taken(238),
        row("a direct to a room without logic", ALL, JOINED).frames(say::direct(1, 0, b"x")).not_taken(238),
        row("an event of a member that only receives", ALL, Stage::Joined(0, Mode::RECEIVE))
            .frames(say::event(1, b"x"))
            .not_taken(237),
        row("a direct of a member that only receives", ALL, Stage::Joined(0, Mode::RECEIVE))
            .frames(say::direct(1, 1, b"x"))
            .not_taken(237),
        row("data behind a join that is refused", ALL, HELLO)
            .frames([say::join(5, 1, Mode(0), "target"), say::event(1, b"x")].concat())
            .answer(Answer::Refused(vec![(0, 1, Reason(232)), (5, 0, Reason(224))])),
        row("data on both handles of one room", ALL, HELLO)
            .frames([say::join(4, 2, Mode::BOTH, "target"), other].concat())
            .answer(Answer::Refused(vec![(0, 1, Reason(232)), (5, 0, Reason(233))])),
        row("the last key there is", ALL, JOINED).frames(data(2, &[&[1][..], &[0xff; 7], &[0x0f], b"x"].concat())),
        row("what is not there is deleted", ALL, JOINED).frames(say::value(1, Key::room(4000), b"")),
        row("more urgent events than a tick has room for", ALL, JOINED).frames(say::urgent_event(1, b"!").repeat(40)),
        row("257 keys of one member", ALL, JOINED)
            .frames((0..257).flat_map(|key| say::value(1, Key::member(key), b"x")).collect::<Vec<_>>())
            .answer(Answer::Refused(vec![(0, 257, Reason(106))])),
    ]);
    rows
}

fn unreadable() -> Vec<Row> {
    vec![
        row("a handle that is not minimal", ALL, JOINED).frames(data(0, &[0x81, 0, b'x'])).close(201),
        row("a handle of 2^53", ALL, JOINED)
            .frames(data(0, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]))
            .close(201),
        row("a handle that the frame cuts off", ALL, JOINED).frames(data(0, &[0xff, 0xff])).close(201),
        row("a value without a key", ALL, JOINED).frames(data(2, &[1])).close(201),
        row("a key that is not minimal", ALL, JOINED).frames(data(2, &[1, 0x80, 0])).close(201),
        row("a key of 2^53", ALL, JOINED)
            .frames(data(2, &[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]))
            .close(201),
        row("a direct without a member", ALL, JOINED).frames(data(6, &[1])).close(201),
        row("a member that the frame cuts off", ALL, JOINED).frames(data(6, &[1, 0x80])).close(201),
        row("data before hello", ALL, Stage::Open).frames(say::event(1, b"x")).close(208),
    ]
}

fn compressed() -> Vec<Row> {
    // Stored blocks of deflate: last or not, length, its complement.
    let stored = |last: u8, bytes: &[u8]| {
        let len = u16::try_from(bytes.len()).unwrap();
        [&[last][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat()
    };
    let event = |stream: &[u8]| data(1, &[&[1][..], stream].concat());
    let bomb = deflated(&vec![0; 4 << 20]);
    assert!(bomb.len() < 8 * 1024);
    vec![
        row("a stream that is none", ALL, DEFLATE).frames(event(&[0xff; 40])).not_taken(226),
        row("an empty stream", ALL, DEFLATE).frames(event(&[])).not_taken(226),
        row("a stream without an end", ALL, DEFLATE).frames(event(&stored(0, b"half"))).not_taken(226),
        row("a stream with something behind its end", ALL, DEFLATE)
            .frames(event(&[&stored(1, b"whole")[..], b"more"].concat()))
            .not_taken(226),
        row("a block whose length belies itself", ALL, DEFLATE)
            .frames(event(&[1, 4, 0, 4, 0, 1, 2, 3, 4]))
            .not_taken(226),
        row("a block that looks back before the beginning", ALL, DEFLATE)
            // Fixed codes: length 3, distance 1, at once.
            .frames(event(&[0x03, 0x02, 0x00]))
            .not_taken(226),
        row("a bomb of 4 MiB", ALL, DEFLATE).frames(event(&bomb)).not_taken(236),
        row("a compressed event to no room", ALL, DEFLATE).frames(data(1, &[9, 3, 0])).not_taken(232),
        row("a compressed direct to nobody", ALL, DEFLATE)
            .frames(data(7, &[&[1, 0xff, 0x7f][..], &stored(1, b"x")].concat()))
            .not_taken(238),
        row("a value that inflates to nothing deletes", ALL, DEFLATE).frames(data(3, &[1, 2, 3, 0])),
    ]
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
