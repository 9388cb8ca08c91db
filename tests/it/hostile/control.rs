//! Commands that cannot be read, are not known, are not for clients, or not for now (PROTOCOL 6).

use tickwire::wire::control::Mode;
use tickwire::wire::{Capabilities, Reason};

use super::row::{ALL, Answer, HELLO, JOINED, Row, Stage, control, row};
use crate::server::say;

/// A varint of 2^53, which is one too large.
const TOO_LARGE: [u8; 8] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

pub fn rows() -> Vec<Row> {
    [unreadable(), unknown(), forbidden(), sessions()].concat()
}

fn unreadable() -> Vec<Row> {
    vec![
        row("a command without a request", ALL, HELLO).frames(control(&[5])).close(201),
        row("a request that is not minimal", ALL, HELLO).frames(control(&[5, 0x80, 0, 1])).close(201),
        row("a request of 2^53", ALL, HELLO).frames(control(&[&[5][..], &TOO_LARGE, &[1]].concat())).close(201),
        row("a request of nine bytes", ALL, HELLO)
            .frames(control(&[&[5][..], &[0xff; 8], &[1, 1]].concat()))
            .close(201),
        row("a request that the frame cuts off", ALL, HELLO).frames(control(&[5, 0xff])).close(201),
        row("an unknown command whose request is cut off", ALL, HELLO).frames(control(&[0x7f, 0x80])).close(201),
        row("a join and nothing else", ALL, HELLO).frames(control(&[3, 2])).close(201),
        row("a join without a name", ALL, HELLO).frames(control(&[3, 2, 1, 3])).close(201),
        row("a join whose name is cut off", ALL, HELLO).frames(control(&[3, 2, 1, 3, 9, b'r', b'o'])).close(201),
        row("a join with a name of nearly 2^53 bytes", ALL, HELLO)
            .frames(control(&[&[3, 2, 1, 3][..], &[0xff; 7], &[0x0f], b"room"].concat()))
            .close(201),
        row("a join with a handle of 2^53", ALL, HELLO)
            .frames(control(&[&[3, 2][..], &TOO_LARGE, &[3, 1, b'r']].concat()))
            .close(201),
        row("a leave without a handle", ALL, JOINED).frames(control(&[5, 2])).close(201),
        row("presence whose data is cut off", ALL, JOINED).frames(control(&[0x0d, 2, 1, 200, 1, 0])).close(201),
        row("a receive that ends early", ALL, JOINED).frames(control(&[0x0b, 2, 1, 0])).close(201),
        row("a close without a reason", ALL, HELLO).frames(control(&[8, 2])).close(201),
        row("a welcome that cannot be read", ALL, HELLO).frames(control(&[2, 5])).close(201),
    ]
}

fn unknown() -> Vec<Row> {
    let mut rows: Vec<Row> = [0, 0x12, 0x7f, 0xef, 0xf0, 0xff]
        .map(|command| row(format!("command {command:#x}"), ALL, HELLO).frames(control(&[command, 5])).refused(5, 220))
        .into();
    // Each with arguments that can be read.
    let servers: [(&str, &[u8]); 9] = [
        ("WELCOME", &[2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("JOINED", &[4, 5, 1, 1, 1, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]),
        ("LEFT", &[6, 5, 1, 7]),
        ("REFUSED", &[7, 5, 0, 7]),
        ("GOING_AWAY", &[9, 5, 1, 1]),
        ("GAP", &[10, 5, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1]),
        ("DONE", &[12, 5]),
        ("PAGE", &[16, 5, 1, 1, 0, 0]),
        ("ACCEPTED", &[17, 5, 9]),
    ];
    rows.extend(servers.map(|(name, bytes)| {
        row(format!("{name}, which is the server's"), ALL, JOINED).frames(control(bytes)).refused(5, 221)
    }));
    rows
}

fn forbidden() -> Vec<Row> {
    let join = |mode: u8| control(&[&[3, 5, 9, mode, 4][..], b"room"].concat());
    let receives = Stage::Joined(Capabilities::RECEIVE.0, Mode::BOTH);
    let pages = Stage::Joined(Capabilities::PAGES.0, Mode::BOTH);
    vec![
        row("a join in no mode", ALL, HELLO).frames(join(0)).refused(5, 224),
        row("a join for the list alone", ALL, HELLO).frames(join(4)).refused(5, 224),
        row("a join in a mode that is reserved", ALL, HELLO).frames(join(8 | 3)).refused(5, 224),
        row("a join in all modes", ALL, HELLO).frames(join(0xff)).refused(5, 224),
        row("a handle that is in use", ALL, JOINED).frames(say::join(5, 1, Mode::BOTH, "other")).refused(5, 231),
        row("a room twice", ALL, JOINED).frames(say::join(5, 2, Mode::BOTH, "target")).refused(5, 233),
        row("leave where nobody is", ALL, JOINED).frames(say::leave(5, 77)).refused(5, 232),
        row("leave twice", ALL, JOINED).frames([say::leave(5, 1), say::leave(6, 1)].concat()).refused(6, 232),
        row("presence where nobody is", ALL, JOINED).frames(say::set_presence(5, 77, b"x")).refused(5, 232),
        row("presence of 257 bytes", ALL, JOINED).frames(say::set_presence(5, 1, &[7; 257])).refused(5, 224),
        row("receive without the capability", ALL, JOINED).frames(control(&[11, 5, 1, 0, 1, 0])).refused(5, 223),
        row("members without the capability", ALL, JOINED).frames(control(&[15, 5, 1, 0])).refused(5, 223),
        row("a token that nobody verifies", ALL, JOINED).frames(control(&[14, 5, 1, b'x'])).refused(5, 223),
        row("receive of another kind", ALL, receives).frames(control(&[11, 5, 1, 3, 1, 0])).refused(5, 224),
        row("receive with another divisor", ALL, receives).frames(control(&[11, 5, 1, 0, 2, 0])).refused(5, 223),
        row("receive with an area", ALL, receives).frames(control(&[11, 5, 1, 0, 1, 1])).refused(5, 223),
        row("receive where nobody is", ALL, receives).frames(control(&[11, 5, 77, 0, 1, 0])).refused(5, 232),
        row("members where nobody is", ALL, pages).frames(control(&[15, 5, 77, 0])).refused(5, 232),
        row("members behind the last one there can be", ALL, pages)
            .frames(control(&[&[15, 5, 1][..], &[0xff; 7], &[0x0f]].concat())),
    ]
}

fn sessions() -> Vec<Row> {
    vec![
        row("hello twice", ALL, HELLO).frames(say::hello()).close(209),
        row("hello as a member", ALL, JOINED).frames(say::hello()).close(209),
        row("close", ALL, HELLO).frames(say::close(7)).close_for(7, 200),
        row("close for a reason of its own", ALL, JOINED).frames(control(&[8, 7, 0xff, 0xff, 0x3f])).close_for(7, 200),
        row("close, and more behind it", ALL, JOINED)
            .frames([say::close(7), say::event(1, b"late"), vec![9, 9, 9, 9]].concat())
            .close_for(7, 200),
        row("two closes", ALL, JOINED).frames([say::close(7), say::close(8)].concat()).close_for(7, 200),
        row("refused and then closed", ALL, JOINED)
            .frames([say::leave(5, 77), say::join(6, 1, Mode::BOTH, "other")].concat())
            .answer(Answer::Refused(vec![(5, 0, Reason(232)), (6, 0, Reason(231))])),
    ]
}
