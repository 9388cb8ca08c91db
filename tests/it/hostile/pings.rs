//! Pings and answers that cannot be read, and those that lie (PROTOCOL 9).

use super::row::{ALL, HELLO, JOINED, Row, Stage, frame, ping, row};

/// 2^53 - 1, the most there is.
const MOST: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];

pub fn rows() -> Vec<Row> {
    let answer = |payload: &[u8]| frame(3, 1, payload);
    let claims = |consumed: &[u8], directs: &[u8]| [&[1][..], consumed, directs].concat();
    vec![
        row("a ping that ends behind its time", ALL, HELLO).frames(ping(&[1])).close(201),
        row("a ping that ends before directs", ALL, HELLO).frames(ping(&[1, 0])).close(201),
        row("a time that is not minimal", ALL, HELLO).frames(ping(&[0x80, 0, 0, 0])).close(201),
        row("a time of 2^53", ALL, HELLO)
            .frames(ping(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0]))
            .close(201),
        row("an answer that ends early", ALL, HELLO).frames(answer(&[1, 0])).close(201),
        row("a ping before hello", ALL, Stage::Open).frames(ping(&[1, 0, 0])).close(208),
        row("an answer before hello", ALL, Stage::Open).frames(answer(&[1, 0, 0])).close(208),
        row("extensions of a ping that do not ascend", ALL, HELLO).frames(ping(&[1, 0, 0, 4, 0, 2, 0])).close(201),
        row("an extension of a ping that is cut off", ALL, HELLO).frames(ping(&[1, 0, 0, 2, 9, 1])).close(201),
        row("an odd extension of a ping, which is ignored", ALL, HELLO).frames(ping(&[1, 0, 0, 7, 1, 1])),
        row("an answer that nobody asked for", ALL, JOINED).frames(answer(&[9, 0, 0])),
        row("an answer to the last moment there is", ALL, JOINED).frames(answer(&[&MOST[..], &[0, 0]].concat())),
        row("more consumed than there is", ALL, JOINED).frames(ping(&claims(&MOST, &[0]))),
        row("more consumed than there is, in an answer", ALL, JOINED).frames(answer(&claims(&MOST, &[0]))),
        row("less consumed than before", ALL, JOINED)
            .frames([ping(&claims(&[50], &[0])), ping(&claims(&[1], &[0]))].concat()),
        row("directs confirmed that never were", ALL, JOINED).frames(ping(&claims(&[0], &MOST))),
        row("a burst of pings within the rate", ALL, JOINED).frames(ping(&[1, 0, 0]).repeat(30)),
    ]
}
