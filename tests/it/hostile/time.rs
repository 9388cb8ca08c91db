//! Who is slow, silent or deaf: each is closed at its deadline (PROTOCOL 10.1, 13).
//!
//! All are there at once, since each takes a second, and the pairs talk whenever one of them is gone.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::arena::Arena;
use super::play::play;
use super::row::{ALL, BARE, HELLO, JOINED, On, Row, Stage, TCP, WEB, row};
use crate::server::say;

/// What a handshake, and then a hello, may take. A second: a machine that builds something else is slow too.
const FIRST: Duration = Duration::from_secs(1);

pub fn rows() -> Vec<Row> {
    vec![
        row("not a word of frames", TCP, Stage::Socket).close(2),
        row("half the magic", TCP, Stage::Socket).raw([0xd7, 0x54]).close(2),
        row("the magic alone", TCP, Stage::Open).close(2),
        row("an upgrade alone", WEB, Stage::Open).close(2),
        row("half a hello", TCP, Stage::Open).frames(&say::hello()[..5]).close(2),
        row("half a message with a hello", WEB, Stage::Open).raw(&say::binary(&say::hello())[..8]).close(2),
        row("pings of WebSocket instead of a hello", WEB, Stage::Open).raw(say::masked(0x89, b"x").repeat(5)).close(2),
        row("a hello that is announced and does not come", TCP, Stage::Open).raw([2, 0x0f, 0xff, 0]).close(2),
        row("not a word of HTTP", WEB, Stage::Socket).end(),
        row("the first letter of a request", WEB, Stage::Socket).raw("G").status(408),
        row("a request without its last line", WEB, Stage::Socket)
            .drip(&say::request("/ws", "").as_bytes()[..90])
            .status(408),
        row("a request without its last byte", WEB, Stage::Socket)
            .raw(&b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"[..33])
            .status(408),
        row("empty lines instead of a request", WEB, Stage::Socket).raw("\r\n".repeat(20)).status(408),
        row("not a word of TLS", BARE, Stage::Socket).end(),
        row("the first byte of TLS", BARE, Stage::Socket).raw([0x16]).end(),
        row("half a hello of TLS", BARE, Stage::Socket).raw([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).end(),
        row("in no room", ALL, HELLO).close(4),
        row("in a room no more", ALL, JOINED).frames(say::leave(5, 1)).close(4),
        row("deaf to pings", ALL, JOINED).deaf().close(3),
        row("deaf to pings, and talking", ALL, JOINED).deaf().frames(say::event(1, b"x").repeat(20)).close(3),
    ]
}

#[tokio::test]
async fn who_is_late_is_closed_at_its_deadline() {
    let mut arena = Arena::start(|limits| {
        (limits.handshake_timeout, limits.hello_timeout, limits.idle_timeout) = (FIRST, FIRST, FIRST * 2);
        (limits.ping_interval, limits.pong_timeout) = (FIRST / 4, FIRST * 2);
    })
    .await;
    let rows = rows();
    let mut playing = FuturesUnordered::new();
    for row in &rows {
        for on in row.on {
            let player = arena.enter(row, *on).await;
            playing.push(alone(row, *on, player));
        }
    }
    while playing.next().await.is_some() {
        arena.talk().await;
    }
    drop(playing);
    arena.finish().await;
}

async fn alone(row: &Row, on: On, player: super::play::Player) {
    play(row, player).await;
    println!("{} over {on:?}", row.name);
}
