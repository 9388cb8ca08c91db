//! Names of rooms that are none, and those that only look so (PROTOCOL 1, 4.2).

use tickwire::wire::Reason;

use super::row::{ALL, Answer, HELLO, Row, Stage, WEB, row};
use crate::server::say;

pub fn rows() -> Vec<Row> {
    [wrong(), odd(), paths()].concat()
}

/// JOIN by request 5 with a name that may be no text.
fn join(name: &[u8]) -> Vec<u8> {
    let len = u8::try_from(name.len()).unwrap();
    super::row::control(&[&[3, 5, 9, 3, len][..], name].concat())
}

fn wrong() -> Vec<Row> {
    let names: [(&str, &[u8]); 15] = [
        ("no byte", b""),
        ("65 bytes", &[b'a'; 65]),
        ("127 bytes", &[b'a'; 127]),
        ("a space", b"my room"),
        ("NUL", b"room\0"),
        ("a line's end", b"room\r\nx"),
        ("an escape", b"\x1b[2J"),
        ("a letter that is not of ASCII", "zimm\u{e9}r".as_bytes()),
        ("a letter from right to left", "\u{202e}moor".as_bytes()),
        ("no text at all", &[0xff, 0xfe]),
        ("a pattern", b"game/*"),
        ("a percent sign", b"%2e%2e"),
        ("a backslash", b"a\\b"),
        ("a question mark", b"a?b"),
        ("a quote", b"a'b"),
    ];
    names.map(|(name, bytes)| row(format!("a name of {name}"), ALL, HELLO).frames(join(bytes)).refused(5, 230)).into()
}

fn odd() -> Vec<Row> {
    let names: [(&str, &[u8]); 5] = [
        ("64 bytes", &[b'a'; 64]),
        ("a way up", b"../../etc/passwd"),
        ("slashes alone", b"///"),
        ("dots alone", b".."),
        ("every mark there is", b"-_.:/@"),
    ];
    names.map(|(name, bytes)| row(format!("a name of {name} is one"), ALL, HELLO).frames(join(bytes))).into()
}

/// Rooms in the path of a request: what is no name is refused behind WELCOME, for request 0.
fn paths() -> Vec<Row> {
    let wrong = [
        ("nothing", "/ws/"),
        ("a percent sign", "/ws/a%25b"),
        ("a space", "/ws/a%20b"),
        ("NUL", "/ws/a%00b"),
        ("no text", "/ws/%ff%fe"),
        ("half an escape", "/ws/a%2"),
    ];
    let session = [say::binary(&say::hello())].concat();
    let request = |path: &str| say::request(path, "").into_bytes();
    let refused = || Answer::UpgradedAndRefused(Reason(230));
    let wrong = wrong.map(|(name, path)| {
        row(format!("a path to a room of {name}"), WEB, Stage::Socket)
            .raw([request(path), session.clone()].concat())
            .answer(refused())
    });
    let long = row("a path to a room of 65 bytes", WEB, Stage::Socket)
        .raw([request(&format!("/ws/{}", "a".repeat(65))), session].concat())
        .answer(refused());
    let up = row("a path that goes up and comes to a room", WEB, Stage::Socket).raw(request("/ws/%2e%2e/target"));
    [&wrong[..], &[long, up.upgraded()]].concat()
}
