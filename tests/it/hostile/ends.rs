//! Half-closed, cut off, reset: at each stage, and in the middle of things (PROTOCOL 4.3).

use tickwire::wire::control::Mode;

use super::row::{ALL, Answer, HELLO, JOINED, Row, Stage, TCP, WEB, control, row};
use crate::server::say;

pub fn rows() -> Vec<Row> {
    [half_closed(), cut(), reset()].concat()
}

fn half_closed() -> Vec<Row> {
    let event = say::event(1, b"half of this");
    vec![
        row("half-closed before a word", ALL, Stage::Socket).half_close().end(),
        row("half-closed within the magic", TCP, Stage::Socket).raw([0xd7, 0x54]).half_close().end(),
        row("half-closed within a request", WEB, Stage::Socket).raw("GET /ws HT").half_close().end(),
        row("half-closed before hello", ALL, Stage::Open).half_close().end(),
        row("half-closed within hello", TCP, Stage::Open).frames(&say::hello()[..5]).half_close().end(),
        row("half-closed after hello", ALL, HELLO).half_close().end(),
        row("half-closed as a member", ALL, JOINED).half_close().end(),
        row("half-closed within a frame", TCP, JOINED).frames(&event[..7]).half_close().end(),
        row("half-closed within a header", TCP, JOINED).frames([1, 0]).half_close().end(),
        row("half-closed within a message", WEB, JOINED).raw(&say::binary(&event)[..9]).half_close().end(),
        row("half-closed between fragments", WEB, JOINED).raw(say::masked(0x02, &event[..5])).half_close().end(),
        row("closed in words, and then half-closed", ALL, JOINED).frames(say::close(7)).half_close().close_for(7, 200),
        row("a violation, and then half-closed", ALL, JOINED).frames([9, 9, 9, 9]).half_close().close(202),
        row("a close frame, and then half-closed", WEB, JOINED)
            .raw(say::masked(0x88, &[3, 0xe8]))
            .half_close()
            .answer(Answer::CloseFrame(1000)),
        row("a health check, and then half-closed", WEB, Stage::Socket)
            .raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .half_close()
            .status(200),
        row("a violation of HTTP, and then half-closed", WEB, Stage::Socket)
            .raw("no HTTP\r\n")
            .half_close()
            .status(400),
    ]
}

fn cut() -> Vec<Row> {
    let event = say::event(1, b"half of this");
    vec![
        row("gone before a word", ALL, Stage::Socket).dropped(),
        row("gone before hello", ALL, Stage::Open).dropped(),
        row("gone behind its hello", ALL, Stage::Open).frames(say::hello()).dropped(),
        row("gone behind a join", ALL, HELLO).frames(say::join(2, 1, Mode::BOTH, "target")).dropped(),
        row("gone within a frame", ALL, JOINED).raw(&event[..7]).dropped(),
        row("gone behind a thousand events", TCP, JOINED).frames(event.repeat(1000)).dropped(),
        row("gone within a request", WEB, Stage::Socket).raw("GET /ws HTTP/1.1\r\nHo").dropped(),
        row("gone behind a request", WEB, Stage::Socket).raw(say::request("/ws/target", "")).dropped(),
    ]
}

fn reset() -> Vec<Row> {
    vec![
        row("reset before a word", ALL, Stage::Socket).reset(),
        row("reset before hello", ALL, Stage::Open).reset(),
        row("reset behind its hello", ALL, Stage::Open).frames(say::hello()).reset(),
        row("reset as a member", ALL, JOINED).reset(),
        row("reset within a frame", ALL, JOINED).raw([1, 0, 9, 0, 1]).reset(),
        row("reset behind a violation", ALL, JOINED).frames([9, 9, 9, 9]).reset(),
        row("reset behind a close", ALL, JOINED).frames(say::close(7)).reset(),
        row("reset behind what is answered at length", ALL, JOINED).frames(control(&[0x70, 5]).repeat(60)).reset(),
    ]
}
