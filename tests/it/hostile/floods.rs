//! Too much of something: each flood ends with its reason, once its rate is used up (PROTOCOL 13).

use tickwire::wire::control::Mode;
use tickwire::wire::{Capabilities, Key};

use super::row::{HELLO, JOINED, Row, Stage, TCP, WEB, control, data, row};
use crate::server::say;

/// Frames of a flood. 5,000: far beyond every rate, and beyond what is discarded behind CLOSE.
const MANY: usize = 5000;

pub fn rows() -> Vec<Row> {
    let members = Stage::Joined(Capabilities::PAGES.0, Mode::BOTH);
    let rows = [
        flood("pings", HELLO, &say::ping(7), 102),
        flood("pings of a member", JOINED, &say::ping(7), 102),
        flood("unknown commands", HELLO, &control(&[0x70, 9]), 103),
        flood("commands of the server", HELLO, &control(&[12, 9]), 103),
        flood("events to no room", HELLO, &say::event(9, b"nowhere"), 103),
        flood("values to no room", JOINED, &say::value(9, Key::room(1), b"nowhere"), 103),
        flood("directs to nobody", JOINED, &say::direct(1, 77, b"nobody"), 103),
        flood("data of another kind", JOINED, &data(8, &[1]), 103),
        flood("events that are too large", JOINED, &say::event(1, &[7; 15 * 1024 + 1]), 103),
        flood("names that are none", HELLO, &say::join(9, 9, Mode::BOTH, "no room"), 103),
        flood("joins of a room that is joined", JOINED, &say::join(9, 9, Mode::BOTH, "target"), 103),
        flood("leaves where nobody is", HELLO, &say::leave(9, 9), 103),
        flood("presence where nobody is", JOINED, &say::set_presence(9, 9, b"x"), 103),
        flood("members where nobody is", members, &control(&[15, 9, 77, 0]), 103),
        flood("hellos", Stage::Open, &say::hello(), 209),
        flood("frames of another type", HELLO, &[9, 0, 0, 0], 202),
    ]
    .concat();
    let layer = [
        row("a flood of pings of WebSocket", WEB, JOINED).raw(say::masked(0x89, b"x").repeat(MANY)).close_amid(102),
        row("a flood of texts", WEB, JOINED).raw(say::masked(0x81, b"x").repeat(MANY)).close_amid(205),
        row("a flood of empty messages", WEB, JOINED).raw(say::masked(0x82, b"").repeat(MANY)),
        row("a flood of pongs that nobody asked for", WEB, JOINED).raw(say::masked(0x8a, b"x").repeat(MANY)),
        row("a flood of answers that nobody asked for", TCP, JOINED).frames(say::answer(9).repeat(MANY)),
        row("a megabyte of zeros in frames", TCP, JOINED).raw(vec![0; 1 << 20]).close_amid(202),
        row("a megabyte of zeros in messages", WEB, JOINED).raw(vec![0; 1 << 20]).close_amid(211),
        row("a flood of empty events", TCP, JOINED).frames(say::event(1, b"").repeat(4096)),
    ];
    [rows, layer.into()].concat()
}

/// The same frame again and again, on both layers: as one chunk, and as messages of a hundred or fewer.
fn flood(name: &str, stage: Stage, frame: &[u8], reason: u64) -> Vec<Row> {
    let count = MANY.min((1 << 20) / frame.len());
    let together = 100.min(16_000 / frame.len()).max(1);
    let messages = say::binary(&frame.repeat(together)).repeat(count / together);
    vec![
        row(format!("a flood of {name}"), TCP, stage).frames(frame.repeat(count)).close_amid(reason),
        row(format!("a flood of {name} in messages"), WEB, stage).raw(messages).close_amid(reason),
    ]
}
