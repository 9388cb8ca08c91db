//! The first words: magic, version, HELLO (PROTOCOL 4.1, 6.1, 10.1).

use tickwire::wire::control::Mode;
use tickwire::wire::{Capabilities, Reason};

use super::play::LAST;
use super::row::{ALL, Answer, Row, Stage, TCP, WEB, control, row};
use crate::server::say;

pub fn rows() -> Vec<Row> {
    [magic(), wrong(), odd()].concat()
}

fn magic() -> Vec<Row> {
    let socket = |name: &str| row(name, TCP, Stage::Socket);
    vec![
        socket("another magic").raw([0xd7, 0x54, 0x58, 1]).close(206),
        socket("the magic backwards").raw([0x57, 0x54, 0xd7, 1]).close(206),
        socket("HTTP, where frames are spoken").raw("GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n").close(206),
        socket("a line of text").raw("hello\r\n").close(206),
        socket("version 0").raw([0xd7, 0x54, 0x57, 0]).close(207),
        socket("version 2").raw([0xd7, 0x54, 0x57, 2]).close(207),
        socket("version 255, and HELLO").raw([&[0xd7, 0x54, 0x57, 0xff][..], &say::hello()].concat()).close(207),
        socket("the magic twice").raw(say::preamble().repeat(2)).close(202),
        socket("HELLO without the magic").raw(say::hello()).close(206),
        socket("everything in single bytes").drip([say::preamble(), say::hello()].concat()),
        row("the magic, where messages are spoken", WEB, Stage::Open)
            .frames([say::preamble(), say::hello()].concat())
            .close(202),
    ]
}

fn wrong() -> Vec<Row> {
    let open = |name: &str| row(name, ALL, Stage::Open);
    let resume = |content: &[u8]| {
        let len = u8::try_from(content.len()).unwrap();
        control(&[&[1, 9, 1, 0, 0, 4, len][..], content].concat())
    };
    vec![
        open("join before hello").frames(say::join(1, 1, Mode::BOTH, "target")).close(208),
        open("close before hello").frames(say::close(1)).close(208),
        open("an unknown command before hello").frames(control(&[0x70, 1])).close(208),
        open("a frame of another type before hello").frames([9, 0, 0, 0]).close(202),
        open("a hello that ends early").frames(control(&[1, 1, 0, 0])).close(201),
        open("a hello whose capabilities are not minimal").frames(control(&[1, 1, 0x80, 0, 0, 0])).close(201),
        open("a hello with 2^53 for capabilities")
            .frames(control(&[1, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0]))
            .close(201),
        open("an odd extension that nobody knows").frames(control(&[1, 9, 0, 0, 0, 3, 0])).close_for(9, 222),
        open("extensions that do not ascend").frames(control(&[1, 9, 0, 0, 0, 6, 0, 2, 0])).close(201),
        open("an extension that is cut off").frames(control(&[1, 9, 0, 0, 0, 2, 5, b'x'])).close(201),
        open("a resume that cannot be read").frames(resume(&[9, 1])).close_for(9, 224),
        open("a resume without the number of directs").frames(resume(&[1, 7])).close_for(9, 224),
        open("two hellos in one chunk").frames(say::hello().repeat(2)).close(209),
    ]
}

fn odd() -> Vec<Row> {
    let open = |name: &str| row(name, ALL, Stage::Open);
    // RESUME, a token of 65 bytes.
    let long = [&[1, 9, 1, 0, 0, 4, 67, 65][..], &[7; 65], &[0]].concat();
    vec![
        open("a resume token of nobody").frames(control(&[1, 9, 1, 0, 0, 4, 4, 2, 7, 7, 0])),
        open("a resume token that is longer than any").frames(control(&long)),
        open("a resume without its capability, which is not read").frames(control(&[1, 9, 0, 0, 0, 4, 1, 0xff])),
        open("a token that nobody verifies").frames(control(&[1, 9, 0, 0, 0, 1, 3, b'a', b'.', b'b'])),
        open("all capabilities there are").frames(say::hello_with((1 << 53) - 1)),
        open("a request with the largest number")
            .frames(control(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0])),
        open("software whose name is no text").frames(control(&[1, 9, 0, 0, 0, 2, 3, 0xff, 0xfe, 0x1b])),
        open("a client that takes records of one byte")
            .frames([control(&[1, 9, 0, 1, 0]), say::join(5, 5, Mode::BOTH, "target")].concat())
            .answer(Answer::Refused(vec![(5, 0, Reason(235)), (LAST, 0, Reason(235))])),
        open("a capability that is the application's").frames(say::hello_with(Capabilities::RESUME.0 | 1 << 44)),
    ]
}
