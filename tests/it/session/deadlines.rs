//! Time: hello, idleness, pings and the clock that stands still (PROTOCOL 9, 13).

use tickwire::command::Hold;
use tickwire::wire::{Handle, Ping, PingBody, Sender, split_frame};

use super::Peer;
use crate::support::{event, hello, join, leave, ping, ping_with};

#[test]
fn hello_must_come_within_five_seconds() {
    let mut peer = Peer::greeting();
    assert_eq!(peer.deadline(), 5000);
    assert_eq!((peer.at(4999), peer.at(5000)), (Ok(()), Err(2)));
    let mut peer = Peer::greeting();
    peer.now = 4999;
    peer.ok(&hello());
    assert_eq!(peer.at(5000), Ok(()));
}

#[test]
fn a_pause_does_not_prolong_the_time_for_hello() {
    let mut peer = Peer::greeting();
    peer.session.handle_paused(peer.time());
    assert_eq!(peer.at(5000), Err(2));
}

#[test]
fn a_session_without_a_room_ends_after_three_hundred_seconds() {
    let mut peer = Peer::open();
    keep_alive(&mut peer, 299_000);
    assert_eq!((peer.at(299_999), peer.at(300_000)), (Ok(()), Err(4)));
}

#[test]
fn the_time_without_a_room_begins_when_the_last_is_left() {
    let mut peer = Peer::joined();
    keep_alive(&mut peer, 400_000);
    peer.ok(&join(3, 2, "other"));
    peer.ok(&leave(4, 1));
    keep_alive(&mut peer, 500_000);
    peer.ok(&leave(5, 2));
    keep_alive(&mut peer, 799_000);
    assert_eq!((peer.at(799_999), peer.at(800_000)), (Ok(()), Err(4)));
}

#[test]
fn a_refused_join_or_the_end_of_a_membership_counts_as_leaving() {
    let mut peer = Peer::joined();
    peer.now = 1000;
    peer.session.handle_released(Hold { handle: Handle(1), serial: 1 }, peer.time());
    keep_alive(&mut peer, 300_000);
    assert_eq!((peer.at(300_999), peer.at(301_000)), (Ok(()), Err(4)));
}

#[test]
fn the_server_pings_after_fifteen_silent_seconds() {
    let mut peer = Peer::joined();
    assert_eq!(peer.deadline(), 15_000);
    assert_eq!((peer.at(14_999), peer.said().len()), (Ok(()), 0));
    assert_eq!((peer.at(15_000), peer.said()), (Ok(()), vec!["ask 15000000".into()]));
    peer.ok(&ping(15_000_000, true));
    assert_eq!(peer.deadline(), 30_000);
}

#[test]
fn any_frame_puts_the_ping_off() {
    let mut peer = Peer::joined();
    peer.now = 10_000;
    peer.ok(&event(1, b"hi"));
    assert_eq!((peer.at(24_999), peer.said().len()), (Ok(()), 0));
    assert_eq!((peer.at(25_000), peer.said().len()), (Ok(()), 1));
}

#[test]
fn a_ping_without_an_answer_closes_after_forty_five_seconds() {
    let mut peer = Peer::joined();
    peer.at(15_000).unwrap();
    // Other frames are no answer.
    for millis in [20_000, 30_000, 40_000, 50_000] {
        peer.now = millis;
        peer.ok(&event(1, b"hi"));
    }
    assert_eq!((peer.at(59_999), peer.at(60_000)), (Ok(()), Err(3)));
}

#[test]
fn an_answer_to_an_older_ping_leaves_the_later_one_open() {
    let mut peer = Peer::joined();
    peer.at(15_000).unwrap();
    peer.at(30_000).unwrap();
    peer.ok(&ping(15_000_000, true));
    assert_eq!((peer.at(60_000), peer.at(74_999), peer.at(75_000)), (Ok(()), Ok(()), Err(3)));
}

#[test]
fn an_answer_to_nothing_proves_nothing() {
    for time in [0, 14_999_999, 15_000_001, 1 << 52] {
        let mut peer = Peer::joined();
        peer.at(15_000).unwrap();
        peer.ok(&ping(time, true));
        assert_eq!(peer.at(60_000), Err(3), "{time}");
    }
}

#[test]
fn the_time_for_an_answer_stands_still_while_the_server_does_not_read() {
    let mut peer = Peer::joined();
    peer.at(15_000).unwrap();
    peer.now = 20_000;
    peer.session.handle_paused(peer.time());
    assert_eq!(peer.at(200_000), Ok(()));
    peer.session.handle_resumed(peer.time());
    // 5 s had passed before the pause, so 40 s are left.
    assert_eq!((peer.at(239_999), peer.at(240_000)), (Ok(()), Err(3)));
}

/// The answer repeats the time of the question, which lies before the pause.
#[test]
fn an_answer_that_was_waiting_during_a_pause_counts() {
    let mut peer = Peer::with(None, |limits| limits.ping_interval = std::time::Duration::from_secs(50));
    peer.ok(&[hello(), join(2, 1, "room")].concat());
    peer.at(50_000).unwrap();
    peer.now = 51_000;
    peer.session.handle_paused(peer.time());
    peer.now = 60_000;
    peer.session.handle_resumed(peer.time());
    peer.ok(&ping(50_000_000, true));
    assert_eq!(peer.at(109_999), Ok(()));
}

#[test]
fn a_later_question_from_before_a_pause_keeps_its_time_too() {
    let mut peer = Peer::joined();
    peer.at(15_000).unwrap();
    peer.at(30_000).unwrap();
    peer.session.handle_paused(peer.time());
    peer.now = 100_000;
    peer.session.handle_resumed(peer.time());
    peer.ok(&ping(15_000_000, true));
    assert_eq!((peer.at(144_999), peer.at(145_000)), (Ok(()), Err(3)));
}

#[test]
fn no_ping_is_sent_during_a_pause() {
    let mut peer = Peer::joined();
    peer.session.handle_paused(peer.time());
    assert_eq!((peer.at(100_000), peer.said().len()), (Ok(()), 0));
    assert_eq!(peer.session.deadline(peer.time()).micros(), u64::MAX);
    peer.session.handle_resumed(peer.time());
    assert_eq!((peer.at(114_999), peer.said().len()), (Ok(()), 0));
    assert_eq!((peer.at(115_000), peer.said().len()), (Ok(()), 1));
}

#[test]
fn while_the_server_sends_it_pings_once_a_second() {
    let mut peer = Peer::joined();
    let mut pings = 0;
    for millis in (0..10_000).step_by(50) {
        peer.now = millis;
        let now = peer.time();
        peer.session.handle_sending(0, now, &mut peer.output);
        pings += peer.said().len();
        peer.ok(&ping(millis * 1000, true));
    }
    assert_eq!(pings, 9);
    let mut greeting = Peer::greeting();
    greeting.now = 2000;
    let now = greeting.time();
    greeting.session.handle_sending(0, now, &mut greeting.output);
    assert_eq!(greeting.said().len(), 0, "before hello there is no ping");
}

#[test]
fn a_clients_ping_is_answered_with_the_servers_clock() {
    let mut peer = Peer::open();
    peer.now = 1234;
    peer.ok(&ping_with(5000, false, 1300, &[]));
    let (frame, _) = split_frame(&peer.output.replies, 16_384, Sender::Server).unwrap().unwrap();
    let answer = Ping::decode(frame.header.flags, frame.payload, Sender::Server).unwrap();
    let expected = PingBody::ServerAnswer { clock: 0x5a17_c0de, received: 1_234_000, sent: 1_234_000, accepted: 0 };
    assert_eq!((answer.time, answer.body), (5000, expected));
}

#[test]
fn what_a_client_has_consumed_only_grows() {
    let mut peer = Peer::open();
    for (consumed, expected) in [(100, 100), (0, 100), (99, 100), (5000, 5000)] {
        peer.ok(&ping_with(1, true, consumed, &[]));
        assert_eq!(peer.session.consumed(), expected);
    }
}

/// Answers every ping until `millis`, and looks in once a second.
fn keep_alive(peer: &mut Peer, millis: u64) {
    for now in (peer.now..=millis).step_by(1000) {
        peer.at(now).unwrap();
        for line in peer.said() {
            let time = line.strip_prefix("ask ").unwrap().parse().unwrap();
            peer.ok(&ping(time, true));
        }
    }
}
