//! A session that goes on over another connection, and what is told of its data frames (PROTOCOL 12.2, 12.3).

use std::sync::Arc;

use tickwire::command::Command;
use tickwire::session::{Greeting, Output, Session, Token};
use tickwire::time::Time;
use tickwire::wire::control::{self, Accepted, Welcome};
use tickwire::wire::header::flags;
use tickwire::wire::{Capabilities, Control, FrameType, Sender, Target, put_extension, put_varint, split_frame};

use super::{Peer, facts};
use crate::support::{event, hello_with, join, join_with, leave, message, ping};

const CAPABILITIES: u64 = Capabilities::RESUME.0 | Capabilities::ACCEPTED.0;
const FIRST: Token = Token([1; Token::LEN]);
const NONE: [u64; 0] = [];

/// A session that can be resumed with [`FIRST`], before hello.
fn greeting() -> Peer {
    let mut facts = (*facts(|_| {})).clone();
    facts.capabilities = Capabilities(CAPABILITIES);
    Peer::of(Session::over_websocket(Arc::new(facts), None, Time::ZERO).with_token(FIRST))
}

fn open() -> Peer {
    let mut peer = greeting();
    peer.ok(&hello_with(CAPABILITIES, 0, 0, &[]));
    peer.ok(&join(2, 1, "room"));
    peer.output = Output::default();
    peer
}

/// HELLO's extension 4.
fn wanting(token: &[u8], directs: u64) -> Vec<u8> {
    let mut content = vec![token.len() as u8];
    content.extend(token);
    put_varint(directs, &mut content);
    let mut extension = Vec::new();
    put_extension(4, &content, &mut extension);
    extension
}

/// What a new connection's hello says that asks for the session of `token`.
fn asks_for(token: Token) -> Greeting {
    let mut peer = greeting();
    peer.ok(&hello_with(CAPABILITIES, 0, 0, &wanting(&token.0, 7)));
    assert_eq!((peer.said(), peer.session.is_open()), (vec![], false), "the owner decides");
    peer.session.waiting().unwrap()
}

impl Peer {
    /// Another connection goes on with this session.
    fn returns(&mut self, used: Token, next: u8) {
        assert!(self.session.accepts(used, b""));
        let (greeting, now) = (asks_for(used), self.time());
        assert_eq!(greeting.wanted(), Some((used, 7)));
        self.output = Output::default();
        self.session.handle_returned(&greeting, Token([next; Token::LEN]), None, now, &mut self.output);
    }

    /// The numbers of WELCOME and ACCEPTED since the last time.
    fn accepted(&mut self) -> Vec<u64> {
        let (bytes, mut told) = (self.output.replies.split(), Vec::new());
        let mut rest = &bytes[..];
        while let Ok(Some((frame, next))) = split_frame(rest, 65_535, Sender::Server) {
            rest = next;
            if frame.header.frame_type != FrameType::Control {
                continue;
            }
            match Control::decode(frame.payload).unwrap().command {
                control::Command::Accepted(Accepted { number, .. }) => told.push(number),
                control::Command::Welcome(Welcome { accepted, .. }) => told.push(accepted),
                _ => {}
            }
        }
        told
    }
}

fn flagged(payload: &[u8]) -> Vec<u8> {
    message(1, Target::Event, flags::ACKNOWLEDGE, payload)
}

#[test]
fn rooms_numbers_and_refusals_go_on() {
    let mut peer = open();
    peer.ok(&[event(1, b"a"), event(9, b"b"), event(1, b"c")].concat());
    assert_eq!(peer.said(), ["refused n2 232"]);
    peer.asked();
    peer.returns(FIRST, 2);
    let said = peer.said();
    assert_eq!((said.len(), &said[1][..]), (2, "refused n2 232"), "{said:?}");
    peer.ok(&event(1, b"d"));
    let [(_, Command::Publish(message))] = &peer.asked()[..] else { panic!("data goes through before the join") };
    assert_eq!(message.number, 4);
    peer.ok(&join(3, 1, "other"));
    assert_eq!(peer.said(), ["refused r3 231"], "the handle is another room's");
    peer.ok(&join(4, 1, "room"));
    let [(_, Command::Join(join))] = &peer.asked()[..] else { panic!("the join") };
    assert!(join.returning);
    peer.ok(&join_with(5, 1, 3, b"room", &[]));
    assert_eq!(peer.said(), ["refused r5 231"], "once");
    peer.ok(&leave(6, 1));
    assert_eq!(peer.asked().len(), 1);
}

#[test]
fn refusals_that_were_heard_are_not_repeated() {
    let mut peer = open();
    peer.ok(&event(9, b"a"));
    peer.at(15_000).unwrap();
    peer.ok(&ping(15_000_000, true));
    peer.ok(&event(9, b"b"));
    peer.returns(FIRST, 2);
    assert_eq!(peer.said()[1..], ["refused n2 232"]);
}

#[test]
fn a_token_is_good_until_its_successor_is_used() {
    let (second, third) = (Token([2; Token::LEN]), Token([3; Token::LEN]));
    let mut peer = open();
    peer.returns(FIRST, 2);
    let accepts = |peer: &Peer| [FIRST, second, third].map(|token| peer.session.accepts(token, b""));
    assert_eq!(accepts(&peer), [true, true, false], "the welcome may have been lost");
    peer.returns(second, 3);
    assert_eq!(accepts(&peer), [false, true, true]);
    peer.returns(second, 4);
    assert_eq!(accepts(&peer), [false, true, false], "the third was lost");
    assert!(!peer.session.accepts(second, b"somebody else"));
}

#[test]
fn what_is_no_token_of_ours_asks_for_nothing_and_what_cannot_be_read_is_closed() {
    for len in [0, 1, 23, 25, 64] {
        let mut peer = greeting();
        peer.ok(&hello_with(CAPABILITIES, 0, 0, &wanting(&vec![1; len], 0)));
        assert_eq!(peer.said().len(), 1);
        assert!(peer.session.is_open());
    }
    let mut unreadable = Vec::new();
    put_extension(4, &[2, 1], &mut unreadable);
    assert_eq!(greeting().ends(&hello_with(CAPABILITIES, 0, 0, &unreadable)), 224);
    let mut peer = greeting();
    peer.ok(&hello_with(0, 0, 0, &unreadable));
    assert!(peer.session.is_open(), "without the capability it is not looked at");
}

#[test]
fn there_is_nothing_to_resume() {
    let mut peer = greeting();
    peer.ok(&hello_with(CAPABILITIES, 0, 0, &wanting(&FIRST.0, 0)));
    assert_eq!(peer.ends(&join(2, 1, "room")), 208, "the owner passes nothing in meanwhile");
    peer.session.handle_not_resumed(peer.time(), &mut peer.output).unwrap();
    peer.ok(&join(2, 1, "room"));
    assert_eq!((peer.asked().len(), peer.accepted()), (1, vec![0]));
}

#[test]
fn a_question_of_the_old_connection_is_not_open_on_the_new_one() {
    let mut peer = open();
    peer.at(15_000).unwrap();
    assert_eq!(peer.at(60_000), Err(3));
    peer.returns(FIRST, 2);
    assert_eq!(peer.deadline(), 75_000);
    assert_eq!((peer.at(60_001), peer.at(75_000)), (Ok(()), Ok(())));
    assert_eq!(peer.at(119_999), Ok(()));
    assert_eq!(peer.at(120_000), Err(3), "its own question");
}

#[test]
fn a_pause_ends_with_its_connection() {
    let mut peer = open();
    peer.session.handle_paused(peer.time());
    peer.now = 1000;
    peer.returns(FIRST, 2);
    assert_eq!(peer.deadline(), 16_000);
}

#[test]
fn who_asks_again_and_again_is_told_as_soon_as_something_was_accepted() {
    let mut peer = open();
    peer.ok(&[flagged(b"1"), event(1, b"2"), flagged(b"3")].concat());
    peer.session.handle_accepted(Some(1), &mut peer.output);
    assert_eq!(peer.accepted(), NONE);
    peer.session.handle_accepted(Some(3), &mut peer.output);
    assert_eq!(peer.accepted(), [2], "the first was asked for, the third is under way");
    peer.session.handle_accepted(None, &mut peer.output);
    assert_eq!(peer.accepted(), [3]);
    peer.ok(&event(1, b"4"));
    peer.session.handle_accepted(None, &mut peer.output);
    assert_eq!(peer.accepted(), NONE, "nobody asked");
}

#[test]
fn a_welcome_that_resumes_tells_what_was_read() {
    let mut peer = open();
    peer.ok(&[event(1, b"1"), flagged(b"2")].concat());
    peer.session.handle_accepted(Some(2), &mut peer.output);
    peer.returns(FIRST, 2);
    assert_eq!(peer.accepted(), [2]);
    peer.session.handle_accepted(None, &mut peer.output);
    assert_eq!(peer.accepted(), NONE, "the welcome has told it");
}
