//! Rules in rooms, through a whole server: what a client notices when a room removes it, closes, or fails.

use tickwire::logic::{Asked, Context, Message, RoomLogic, Verdict};
use tickwire::server::{Error, Server};
use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Kind, MemberNumber, Reason};

use super::hear::command;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, limits};

/// Does what events say.
struct Obeys;

impl RoomLogic for Obeys {
    fn message(&mut self, from: MemberNumber, message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        match message.payload {
            b"remove me" => room.kick(from, Reason(960)),
            b"close" => room.close(Reason::ROOM_CLOSED),
            b"fail" => panic!("told to"),
            _ => return Verdict::Relay,
        }
        Verdict::Swallow
    }

    fn request(&mut self, asked: Asked, payload: &[u8], room: &mut Context<'_>) -> Result<(), Reason> {
        room.answer(asked, payload)
    }
}

async fn left(peer: &mut Peer) -> (u64, Reason) {
    loop {
        if let Command::Left(left) = command(&peer.control().await) {
            return (left.handle.0, left.reason);
        }
    }
}

#[tokio::test]
async fn a_session_outlives_the_rooms_that_remove_it_and_its_handles_are_free() {
    let server = TestServer::build(Server::builder().limits(limits(|_| {})).logic("rules/*", |_| Obeys)).await;
    for transport in BOTH {
        let (mut peer, _) = Peer::joined(&server, transport, "elsewhere").await;
        for (order, reason) in
            [("remove me", Reason(960)), ("close", Reason::ROOM_CLOSED), ("fail", Reason::ROOM_FAILED)]
        {
            // The same handle each time: it would be refused, did the session still hold it.
            peer.join(2, Mode::BOTH, "rules/one").await;
            peer.send(&say::event(2, order.as_bytes())).await;
            assert_eq!(left(&mut peer).await, (2, reason), "{order}");
        }
        peer.join(2, Mode::BOTH, "rules/one").await;
        peer.send(&say::event(1, b"still here")).await;
        peer.event(b"still here").await;
        let answer = peer.said_after(&say::direct(2, 0, b"and you?"), Kind::Direct).await;
        // Its fifth data frame is answered.
        assert_eq!((answer.member, answer.key, &answer.payload[..]), (0, Some(5), &b"and you?"[..]));
    }
    assert_eq!(server.handle.counters().logic_panics, 2);
    server.finish().await;
}

#[tokio::test]
async fn a_pattern_that_is_none_is_an_error_at_the_start() {
    for pattern in ["", "a b", "room/[0-9]"] {
        let refused = Server::builder().logic(pattern, |_| Obeys).detached();
        assert!(matches!(refused, Err(Error::Pattern)), "{pattern:?}");
    }
}
