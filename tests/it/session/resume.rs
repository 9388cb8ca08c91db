//! A session that goes on over another connection (PROTOCOL 9, 12.2, 12.3).

use tickwire::command::Command;
use tickwire::dispatcher::Refusal;
use tickwire::limits::Limits;
use tickwire::session::{Ending, Greeting, Session, Token};
use tickwire::wire::header::flags;
use tickwire::wire::{
    Capabilities, Control, Reason, RequestId, Sender, Target, control, put_extension, put_varint, split_frame,
};

use super::{Peer, facts_with};
use crate::support::{event, hello_with, join, leave, message, ping, ping_with};

const CAPABILITIES: u64 = Capabilities::RESUME.0 | Capabilities::ACCEPTED.0;

fn token(secret: u8) -> Token {
    Token::new(7, [secret; 16])
}

fn greeting_with(offered: u64, change: impl FnOnce(&mut Limits)) -> Peer {
    let facts = facts_with(Capabilities(offered), change);
    Peer::of(Session::over_websocket(facts, None, tickwire::time::Time::ZERO).with_token(token(1)))
}

/// A session that can be resumed, with token 1, in "room" by handle 1 and "other" by handle 2.
fn joined() -> Peer {
    let mut peer = greeting_with(CAPABILITIES, |_| {});
    peer.ok(&[hello_with(CAPABILITIES, 0, 0, &[]), join(2, 1, "room"), join(3, 2, "other")].concat());
    peer.said();
    peer.asked();
    peer
}

/// HELLO that asks for the session of `token`.
fn asks(capabilities: u64, token: &[u8], seen: u64) -> Vec<u8> {
    let (mut content, mut extensions) = (Vec::new(), Vec::new());
    put_varint(token.len() as u64, &mut content);
    content.extend_from_slice(token);
    put_varint(seen, &mut content);
    put_extension(4, &content, &mut extensions);
    hello_with(capabilities, 0, 0, &extensions)
}

/// What a new connection says that wants the session of `token`.
fn greeting(token: Token) -> Greeting {
    let mut peer = greeting_with(CAPABILITIES, |_| {});
    peer.ok(&asks(CAPABILITIES, &token.0, 5));
    assert!(peer.said().is_empty() && !peer.session.is_open(), "it waits for its owner");
    peer.session.waiting().unwrap()
}

/// The session goes on with `used`, and is told the token `next`.
fn resume(peer: &mut Peer, used: Token, next: Token) {
    assert!(peer.session.accepts(used, b""));
    let (greeting, now) = (greeting(used), peer.time());
    assert_eq!(greeting.wanted(), Some((used, 5)));
    peer.session.handle_returned(&greeting, next, None, now, &mut peer.output);
}

fn welcome(peer: &Peer, check: impl FnOnce(&control::Welcome<'_>)) {
    let (frame, _) = split_frame(&peer.output.replies, 16_384, Sender::Server).unwrap().unwrap();
    let Control { command: control::Command::Welcome(welcome), .. } = Control::decode(frame.payload).unwrap() else {
        panic!("WELCOME")
    };
    check(&welcome);
}

fn refusal(number: u64, reason: Reason) -> Refusal {
    Refusal { request: RequestId(0), number, reason, joining: None, avoidable: true }
}

#[test]
fn the_welcome_of_a_session_that_can_be_resumed_has_a_token_and_the_grace() {
    let mut peer = greeting_with(CAPABILITIES, |_| {});
    peer.ok(&hello_with(CAPABILITIES, 0, 0, &[]));
    welcome(&peer, |welcome| {
        assert_eq!((welcome.flags, welcome.accepted), (0, 0));
        assert_eq!(welcome.extensions.get(2), Some(&token(1).0[..]));
        assert_eq!(welcome.extensions.get(4), Some(&[0xb0, 0xea, 0x01][..]), "30,000 ms");
    });
    assert!(peer.session.is_resumable());
    // Who cannot resume is told nothing of it.
    let mut peer = greeting_with(CAPABILITIES, |_| {});
    peer.ok(&hello_with(0, 0, 0, &[]));
    welcome(&peer, |welcome| assert_eq!((welcome.extensions.get(2), welcome.extensions.get(4)), (None, None)));
    assert!(!peer.session.is_resumable());
}

#[test]
fn a_token_dies_when_its_successor_is_used_and_not_when_the_welcome_is_lost() {
    let mut peer = joined();
    resume(&mut peer, token(1), token(2));
    welcome(&peer, |welcome| assert_eq!((welcome.flags, welcome.extensions.get(2)), (1, Some(&token(2).0[..]))));
    // That welcome is lost: the old one still works.
    resume(&mut peer, token(1), token(3));
    resume(&mut peer, token(3), token(4));
    for (number, accepted) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
        assert_eq!(peer.session.accepts(token(number), b""), accepted, "{number}");
    }
    resume(&mut peer, token(4), token(5));
    assert!(!peer.session.accepts(token(3), b""));
}

#[test]
fn a_token_is_bound_to_the_subject_and_to_all_of_its_bytes() {
    let peer = joined();
    assert!(peer.session.accepts(token(1), b"") && !peer.session.accepts(token(1), b"somebody"));
    for byte in 0..Token::LEN {
        let mut other = token(1);
        other.0[byte] ^= 1;
        assert!(!peer.session.accepts(other, b""));
    }
    assert_eq!(format!("{:?}", token(1)), "Token(..)");
}

#[test]
fn what_the_extension_says_is_read_only_by_who_can_resume() {
    let with = |offered: u64, content: &[u8]| {
        let mut peer = greeting_with(offered, |_| {});
        let mut extensions = Vec::new();
        put_extension(4, content, &mut extensions);
        let sent = peer.send(&hello_with(CAPABILITIES, 0, 0, &extensions));
        (sent.map_err(|ending: Ending| (ending.reason.0, ending.request.0)), peer.session.waiting().is_some())
    };
    let malformed: [&[u8]; 4] = [&[], &[5, 1, 2], &[0], &[0, 0x80, 0]];
    for content in malformed {
        assert_eq!(with(CAPABILITIES, content), (Err((224, 1)), false));
        assert_eq!(with(0, content), (Ok(()), false), "without the capability it is ignored");
    }
    // What is not one of this server's tokens asks for nothing; what follows is ignored.
    assert_eq!(with(CAPABILITIES, &[1, 9, 0]), (Ok(()), false));
    let whole = [&[24][..], &token(1).0, &[0, 77, 77]].concat();
    assert_eq!(with(CAPABILITIES, &whole), (Ok(()), true));
}

#[test]
fn who_finds_no_session_begins_a_new_one() {
    let mut peer = greeting_with(CAPABILITIES, |_| {});
    peer.ok(&asks(CAPABILITIES, &token(9).0, 0));
    assert_eq!(peer.ends(&event(1, b"hi")), 208, "nothing comes before WELCOME is decided");
    let mut peer = greeting_with(CAPABILITIES, |_| {});
    peer.ok(&asks(CAPABILITIES, &token(9).0, 0));
    let now = peer.time();
    peer.session.handle_not_resumed(now, &mut peer.output).unwrap();
    welcome(&peer, |welcome| assert_eq!((welcome.flags, welcome.extensions.get(2)), (0, Some(&token(1).0[..]))));
    assert!(peer.session.is_open() && peer.session.waiting().is_none());
}

#[test]
fn data_goes_on_with_its_numbers_on_the_handles_it_has_and_each_is_joined_again_once() {
    let mut peer = joined();
    peer.ok(&[event(1, b"a"), event(1, b"b")].concat());
    peer.asked();
    resume(&mut peer, token(1), token(2));
    welcome(&peer, |welcome| assert_eq!((welcome.flags, welcome.accepted), (1, 2)));
    peer.said();
    peer.ok(&[event(1, b"c"), join(4, 1, "room"), event(1, b"d"), join(5, 1, "room"), join(6, 2, "room")].concat());
    let asked = peer.asked();
    let numbers = asked.iter().map(|(_, command)| match command {
        Command::Publish(message) => message.number,
        Command::Join(join) if join.returning => 100,
        other => panic!("{other:?}"),
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [3, 100, 4]);
    assert_eq!(peer.said(), ["refused r5 231", "refused r6 231"]);
    // A handle that was given back is joined like any other.
    peer.ok(&[leave(7, 2), join(8, 2, "room")].concat());
    assert!(matches!(&peer.asked()[1].1, Command::Join(join) if !join.returning));
}

#[test]
fn a_resumed_session_is_as_large_as_before() {
    let mut peer = greeting_with(CAPABILITIES, |limits| limits.max_rooms = 2);
    peer.ok(&[hello_with(CAPABILITIES, 0, 0, &[]), join(2, 1, "room"), join(3, 2, "other")].concat());
    resume(&mut peer, token(1), token(2));
    peer.said();
    peer.ok(&[join(4, 3, "third"), join(5, 2, "other"), join(6, 1, "room")].concat());
    assert_eq!(peer.said(), ["refused r4 234"]);
}

#[test]
fn directs_that_are_lost_are_named() {
    let mut peer = joined();
    let (greeting, now) = (greeting(token(1)), peer.time());
    peer.session.handle_returned(&greeting, token(2), Some((6, 300)), now, &mut peer.output);
    welcome(&peer, |welcome| assert_eq!(welcome.extensions.get(6), Some(&[6, 0xac, 0x02][..])));
}

#[test]
fn refusals_that_may_be_lost_are_told_again_until_a_ping_behind_them_is_answered() {
    let mut peer = joined();
    let refuse = |peer: &mut Peer, number| {
        let now = peer.time();
        peer.session.handle_refusal(&refusal(number, Reason::NO_SUCH_MEMBER), now, &mut peer.output).unwrap();
    };
    peer.now = 10;
    refuse(&mut peer, 1);
    peer.now = 20;
    peer.ok(&event(9, b"no such handle"));
    assert_eq!(peer.said(), ["refused n1 238", "refused n1 232"]);
    // The question of 20 ms stands between them, as far as that can be known.
    peer.ok(&ping(20_000, true));
    peer.now = 30;
    refuse(&mut peer, 2);
    peer.said();
    resume(&mut peer, token(1), token(2));
    assert_eq!(peer.said()[1..], ["refused n1 232", "refused n2 238"]);
    // An answer to the old connection's question proves nothing of these.
    peer.ok(&ping(25_000, true));
    resume(&mut peer, token(2), token(3));
    assert_eq!(peer.said()[1..], ["refused n1 232", "refused n2 238"]);
    peer.ok(&ping(30_001, true));
    resume(&mut peer, token(3), token(4));
    assert_eq!(peer.said().len(), 1);
    // Refused commands are asked again by who needs them.
    peer.ok(&join(9, 5, "a b"));
    resume(&mut peer, token(4), token(5));
    assert_eq!(peer.said(), ["refused r9 230", "welcome r1 capabilities 33"]);
}

#[test]
fn who_causes_more_refusals_than_are_kept_cannot_resume() {
    let mut peer = joined();
    for number in 1..=1025 {
        assert!(peer.session.is_resumable());
        let full = Refusal { avoidable: false, ..refusal(number, Reason::BATCH_FULL) };
        let now = peer.time();
        peer.session.handle_refusal(&full, now, &mut peer.output).unwrap();
    }
    assert!(!peer.session.is_resumable() && !peer.session.accepts(token(1), b""));
}

#[test]
fn accepted_is_told_up_to_the_oldest_chunk_that_is_under_way() {
    let mut peer = joined();
    let acknowledged = |payload: &[u8]| message(1, Target::Event, flags::ACKNOWLEDGE, payload);
    let done = |peer: &mut Peer, oldest| {
        peer.session.handle_accepted(oldest, &mut peer.output);
        peer.said()
    };
    peer.ok(&[event(1, b"1"), acknowledged(b"2"), event(1, b"3"), event(1, b"4")].concat());
    assert!(matches!(&peer.asked()[1].1, Command::Publish(message) if message.acknowledge));
    // The chunk with 1 and 2 is under way; the later one is done already.
    assert_eq!(done(&mut peer, Some(1)), [""; 0]);
    assert_eq!(done(&mut peer, Some(3)), ["accepted 2"]);
    assert_eq!(done(&mut peer, None), [""; 0], "nobody asked");
    let accepted = |peer: &mut Peer| {
        peer.ok(&ping(1, false));
        let replies = peer.output.replies.split();
        let (frame, _) = split_frame(&replies, 16_384, Sender::Server).unwrap().unwrap();
        match tickwire::wire::Ping::decode(frame.header.flags, frame.payload, Sender::Server).unwrap().body {
            tickwire::wire::PingBody::ServerAnswer { accepted, .. } => accepted,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(accepted(&mut peer), 4);
    // It never goes back.
    assert_eq!(done(&mut peer, Some(2)), [""; 0]);
    assert_eq!(accepted(&mut peer), 4);
    resume(&mut peer, token(1), token(2));
    peer.said();
    assert_eq!(accepted(&mut peer), 4);
}

/// Who asks with every frame and never waits must hear something, too.
#[test]
fn an_acknowledgement_does_not_wait_for_the_next_one() {
    let mut peer = joined();
    let acknowledged = |payload: &[u8]| message(1, Target::Event, flags::ACKNOWLEDGE, payload);
    peer.ok(&acknowledged(b"1"));
    for number in 2..10 {
        peer.ok(&acknowledged(b"more"));
        peer.session.handle_accepted(Some(number), &mut peer.output);
        assert_eq!(peer.said(), [format!("accepted {}", number - 1)]);
    }
    peer.session.handle_accepted(None, &mut peer.output);
    assert_eq!(peer.said(), ["accepted 9"]);
    peer.session.handle_accepted(None, &mut peer.output);
    assert!(peer.said().is_empty());
}

#[test]
fn a_frame_that_asks_and_is_refused_is_acknowledged_too() {
    let mut peer = joined();
    peer.ok(&message(9, Target::Event, flags::ACKNOWLEDGE, b"no such handle"));
    peer.session.handle_accepted(None, &mut peer.output);
    assert_eq!(peer.said(), ["refused n1 232", "accepted 1"]);
    // Without the capability the flag is refused, and nothing else is said.
    let mut peer = Peer::joined();
    peer.said();
    peer.ok(&message(1, Target::Event, flags::ACKNOWLEDGE, b"x"));
    peer.session.handle_accepted(None, &mut peer.output);
    assert_eq!(peer.said(), ["refused n1 223"]);
}

#[test]
fn a_ping_goes_with_every_sixty_four_kilobytes_where_none_is_open() {
    let mut peer = joined();
    let sending = |peer: &mut Peer, sent| {
        let now = peer.time();
        peer.session.handle_sending(sent, now, &mut peer.output);
        peer.said()
    };
    peer.now = 1;
    assert_eq!(sending(&mut peer, 65_535), [""; 0]);
    assert_eq!(sending(&mut peer, 65_536), ["ask 1000"]);
    assert_eq!(sending(&mut peer, 200_000), [""; 0], "one at a time");
    peer.ok(&ping_with(1000, true, 65_536, &[]));
    assert_eq!(peer.session.unconsumed(200_000, peer.time()), 0, "what is on its way does not count");
    assert_eq!(sending(&mut peer, 200_001), ["ask 1000"]);
    peer.now = 1001;
    assert_eq!(sending(&mut peer, 200_002), ["ask 1001000"], "and at least once a second");
    assert_eq!(peer.session.unconsumed(250_001, peer.time()), 50_000, "that is open for a second");
}

#[test]
fn who_is_behind_is_asked_again_though_nothing_is_sent() {
    let mut peer = joined();
    let sent = 70_000;
    peer.session.handle_sending(sent, peer.time(), &mut peer.output);
    peer.ok(&ping_with(0, true, 40_000, &[]));
    assert_eq!(peer.said(), ["ask 0"]);
    assert_eq!(peer.session.unconsumed(sent, peer.time()), 30_000);
    assert_eq!(peer.deadline(), 100);
    let timeout = |peer: &mut Peer, millis| {
        peer.now = millis;
        peer.session.handle_timeout(sent, peer.time(), &mut peer.output).unwrap();
        peer.said()
    };
    assert_eq!(timeout(&mut peer, 99), [""; 0]);
    assert_eq!(timeout(&mut peer, 100), ["ask 100000"]);
    peer.ok(&ping_with(100_000, true, 70_000, &[]));
    assert_eq!(peer.session.unconsumed(sent, peer.time()), 0);
    assert_eq!(timeout(&mut peer, 300), [""; 0]);
    // On another connection it counts anew.
    resume(&mut peer, token(1), token(2));
    assert_eq!((peer.session.consumed(), peer.session.unconsumed(500, peer.time())), (0, 0));
}

/// PROTOCOL 12.2: the session waits for its client, and not for the answer to what it never got.
#[test]
fn a_session_whose_ping_was_not_answered_goes_on_over_another_connection() {
    let mut peer = joined();
    assert_eq!(peer.at(15_000), Ok(()));
    assert_eq!(peer.at(60_000), Err(3));
    resume(&mut peer, token(1), token(2));
    assert_eq!((peer.at(60_000), peer.at(74_999)), (Ok(()), Ok(())));
    peer.said();
    assert_eq!((peer.at(75_000), peer.said()), (Ok(()), vec!["ask 75000000".to_owned()]));
    assert_eq!((peer.at(119_999), peer.at(120_000)), (Ok(()), Err(3)));
}

#[test]
fn a_session_whose_connection_was_not_read_is_asked_on_the_next_one() {
    let mut peer = joined();
    peer.session.handle_paused(peer.time());
    peer.now = 1000;
    resume(&mut peer, token(1), token(2));
    peer.said();
    assert_eq!((peer.at(16_000), peer.said()), (Ok(()), vec!["ask 16000000".to_owned()]));
}

#[test]
fn only_an_open_session_can_be_resumed() {
    let mut peer = joined();
    peer.session.handle_going_away(1, 2, &[], &mut peer.output);
    assert!(!peer.session.is_resumable(), "the server is going away");
    assert!(!greeting_with(CAPABILITIES, |_| {}).session.accepts(token(1), b""), "hello was not said");
}
