//! Headers of frames that are wrong: type, then length, then flags (PROTOCOL 5).

use super::row::{ALL, HELLO, JOINED, Row, Stage, control, data, frame, ping, row};

pub fn rows() -> Vec<Row> {
    let at_most = 16 * 1024;
    vec![
        row("type 0", ALL, HELLO).frames(frame(0, 0, &[])).close(202),
        row("type 4", ALL, HELLO).frames(frame(4, 0, b"next")).close(202),
        row("all bits: the type is looked at first", ALL, HELLO).frames([0xff; 4]).close(202),
        row("a letter", ALL, HELLO).frames(*b"GET ").close(202),
        row("a TLS record", ALL, HELLO).frames([0x16, 3, 1, 0]).close(202),
        row("data, announced one above the limit", ALL, HELLO).frames([1, 0x40, 1, 0]).close(203),
        row("data, announced as large as can be", ALL, HELLO).frames([1, 0xff, 0xff, 0]).close(203),
        row("control too large, with a reserved flag: the length is looked at first", ALL, HELLO)
            .frames([2, 0xff, 0xff, 1])
            .close(203),
        row("ping, announced one above the limit", ALL, HELLO).frames([3, 0x40, 1, 0]).close(203),
        row("control before hello, one above its limit", ALL, Stage::Open).frames([2, 0x10, 1, 0]).close(203),
        row("data before hello, as large as can be", ALL, Stage::Open).frames([1, 0xff, 0xff, 0]).close(203),
        row("control with flag bit 0", ALL, HELLO).frames(frame(2, 0x01, &[5, 1, 1])).close(210),
        row("control with flag bit 7", ALL, HELLO).frames(frame(2, 0x80, &[5, 1, 1])).close(210),
        row("hello with a flag", ALL, Stage::Open).frames(frame(2, 0x10, &[1, 1, 0, 0, 0])).close(210),
        row("ping with flag bit 1", ALL, HELLO).frames(frame(3, 0x02, &[1, 0, 0])).close(210),
        row("answer with flag bit 7", ALL, HELLO).frames(frame(3, 0x81, &[1, 0, 0])).close(210),
        row("data with flag bit 6, which is the server's", ALL, JOINED).frames(data(0x40, &[1, b'x'])).close(210),
        row("data with flag bit 7", ALL, JOINED).frames(data(0x80, &[1, b'x'])).close(210),
        row("data with all flags", ALL, JOINED).frames(data(0xff, &[1, b'x'])).close(210),
        row("an empty control frame", ALL, HELLO).frames(control(&[])).close(201),
        row("an empty data frame", ALL, JOINED).frames(data(0, &[])).close(201),
        row("an empty ping", ALL, HELLO).frames(ping(&[])).close(201),
        row("the largest frame there may be", ALL, HELLO)
            .frames(control(&[&[0x70, 5][..], &vec![0xee; at_most - 2]].concat()))
            .refused(5, 220),
        row("the largest frame there may be before hello", ALL, Stage::Open)
            // Extension 100, which nobody knows: type, length in two bytes, content.
            .frames(control(&[&[1, 1, 0, 0, 0, 100, 0xf8, 0x1f][..], &[7; 4096 - 8]].concat())),
    ]
}
