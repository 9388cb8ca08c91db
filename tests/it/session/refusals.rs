//! What is refused, with which reason, and how often (PROTOCOL 6.7, 7.4, 13).

use tickwire::command::Hold;
use tickwire::dispatcher::Refusal;
use tickwire::wire::control::Command;
use tickwire::wire::header::flags;
use tickwire::wire::{Handle, Reason, RequestId, Target, put_extension};

use super::Peer;
use crate::support::{control, direct, event, hello, join, join_with, leave, message, ping, presence, unhex, value};

fn extension(kind: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    put_extension(kind, &vec![0; len], &mut out);
    out
}

/// `frame` from a client in one room must be refused with this line, and ask nothing of the rooms.
#[track_caller]
fn check(frame: &[u8], expected: &str) {
    let mut peer = Peer::joined();
    peer.ok(frame);
    assert_eq!(peer.said(), [expected]);
    assert!(peer.asked().is_empty());
}

#[test]
fn names_that_are_no_room_names_are_refused() {
    for name in [&b""[..], b"a b", b"a\0", "\u{fc}".as_bytes(), &[b'a'; 65], b"a\n", b"room!"] {
        check(&join_with(9, 2, 3, name, &[]), "refused r9 230");
    }
    let mut peer = Peer::open();
    peer.ok(&join_with(9, 2, 3, &[b'a'; 64], &[]));
    peer.ok(&join(9, 3, "AZaz09_.:/@-"));
    assert_eq!((peer.said().len(), peer.asked().len()), (0, 2));
}

#[test]
fn joins_with_arguments_outside_the_allowed_are_refused() {
    for mode in [0, 4, 8, 11, 0x80, 0xff] {
        check(&join_with(9, 2, mode, b"x", &[]), "refused r9 224");
    }
    check(&join_with(9, 2, 3, b"x", &extension(2, 1025)), "refused r9 224");
    check(&join_with(9, 2, 3, b"x", &extension(6, 257)), "refused r9 224");
    check(&join_with(9, 2, 3, b"x", &extension(4, 8)), "refused r9 224");
    check(&join_with(9, 2, 3, b"x", &extension(5, 0)), "refused r9 222");
    check(&join_with(9, 1, 3, b"x", &[]), "refused r9 231");
    let mut peer = Peer::open();
    for (handle, allowed) in [extension(2, 1024), extension(6, 256), extension(4, 9)].iter().enumerate() {
        peer.ok(&join_with(9, handle as u64, 3, b"x", allowed));
    }
    assert_eq!((peer.said().len(), peer.asked().len()), (0, 3));
}

#[test]
fn commands_are_refused_by_number() {
    check(&leave(9, 2), "refused r9 232");
    check(&presence(9, 2, b"x"), "refused r9 232");
    check(&presence(9, 1, &[0; 257]), "refused r9 224");
    for (payload, reason) in [
        ("0b 09 01 00 01 00", 223), // RECEIVE
        ("0e 09 01 61", 223),       // TOKEN
        ("0f 09 01 00", 223),       // MEMBERS
        ("12 09", 220),
        ("12 09 ff ff ff", 220),
        ("ef 09", 220),
        ("f0 09 01 02", 220),
        ("00 09", 220),
        ("02 09 00 00 00000000 00 00 00 00 00 00 00", 221), // WELCOME
        ("04 09 00 00 00 00 00 0000000000000000 00 00 00 00", 221),
        ("06 09 01 00", 221),
        ("07 09 01 00", 221),
        ("09 09 00 00", 221),
        ("0a 09 01 0000000000000000 00 00", 221),
        ("0c 09", 221),
        ("10 09 01 00 00 00", 221),
        ("11 09 01", 221),
    ] {
        let payload = unhex(payload);
        let frame = [&[2, 0, payload.len() as u8, 0], &payload[..]].concat();
        check(&frame, &format!("refused r9 {reason}"));
    }
}

#[test]
fn odd_extensions_are_refused_everywhere_and_change_nothing() {
    check(&[unhex("02000500 05 09 01 05 00")].concat(), "refused r9 222");
    check(&[unhex("02000700 0d 09 01 01 78 07 00")].concat(), "refused r9 222");
    let mut peer = Peer::joined();
    peer.ok(&unhex("02000500 05 09 01 05 00"));
    peer.ok(&event(1, b"still in the room"));
    assert_eq!(peer.asked().len(), 1);
}

#[test]
fn data_is_refused_by_its_own_number() {
    check(&event(2, b"x"), "refused n1 232");
    check(&value(2, 0, b"x"), "refused n1 232");
    check(&direct(2, 1, b"x"), "refused n1 232");
    check(&event(1, &[0; 15_361]), "refused n1 236");
    check(&value(1, 0, &[0; 15_361]), "refused n1 236");
    check(&message(1, Target::Event, flags::COMPRESSED, b"x"), "refused n1 223");
    check(&message(1, Target::Event, flags::ACKNOWLEDGE, b"x"), "refused n1 223");
    for kind in [2, 4, 5, 6, 7] {
        check(&[1, 0, 2, kind << 1, 1, 0], "refused n1 225");
    }
    // PROTOCOL 5: without looking at its payload.
    for kind in [2, 4, 5, 6, 7] {
        check(&[1, 0, 0, kind << 1], "refused n1 225");
        check(&[1, 0, 2, kind << 1, 0x81, 0], "refused n1 225");
    }
}

#[test]
fn the_largest_message_is_passed_on() {
    let mut peer = Peer::joined();
    peer.ok(&[event(1, &[0; 15_360]), event(1, b""), value(1, 3, b"")].concat());
    assert_eq!((peer.said().len(), peer.asked().len()), (0, 3));
}

#[test]
fn a_client_in_as_many_rooms_as_it_may_be_is_refused_until_it_leaves_one() {
    let mut peer = Peer::with(None, |limits| limits.max_rooms = 2);
    peer.ok(&[hello(), join(2, 1, "a"), join(3, 2, "b"), join(4, 3, "c"), leave(5, 1), join(6, 3, "c")].concat());
    assert_eq!(peer.said()[1..], ["refused r4 234"]);
    peer.session.handle_released(Hold { handle: Handle(3), serial: 3 }, peer.time());
    peer.ok(&join(7, 4, "d"));
    assert_eq!(peer.said().len(), 0);
}

#[test]
fn refusals_are_sixty_four_at_once_and_sixteen_a_second() {
    let mut peer = Peer::joined();
    peer.ok(&event(2, b"x").repeat(64));
    assert_eq!(peer.said().len(), 64);
    peer.now = 1000;
    peer.ok(&[event(2, b"x").repeat(8), leave(1, 2).repeat(8)].concat());
    assert_eq!((peer.said().len(), peer.ends(&event(2, b"x"))), (16, 103));
    assert_eq!(peer.said().len(), 0, "the last one is told by CLOSE");
}

#[test]
fn refusals_of_the_rooms_count_too() {
    let mut peer = Peer::joined();
    let now = peer.time();
    let refusal =
        Refusal { request: RequestId(0), number: 1, reason: Reason::NO_SUCH_MEMBER, joining: None, avoidable: true };
    let refuse = |peer: &mut Peer, refusal: &Refusal| peer.session.handle_refusal(refusal, now, &mut peer.output);
    (0..60).for_each(|_| refuse(&mut peer, &refusal).unwrap());
    peer.ok(&event(2, b"x").repeat(4));
    refuse(&mut peer, &Refusal { avoidable: false, ..refusal.clone() }).unwrap();
    assert_eq!(refuse(&mut peer, &refusal).unwrap_err().reason.0, 103);
}

#[test]
fn pings_are_thirty_two_at_once_and_eight_a_second_and_answers_are_free() {
    let mut peer = Peer::joined();
    peer.ok(&[ping(1, false).repeat(30), ping(1, true).repeat(100)].concat());
    peer.session.handle_websocket_ping(peer.time()).unwrap();
    peer.session.handle_websocket_ping(peer.time()).unwrap();
    assert_eq!(peer.session.handle_websocket_ping(peer.time()).unwrap_err().reason.0, 102);
    peer.now = 1000;
    peer.ok(&ping(1, false).repeat(8));
    assert_eq!((peer.said().len(), peer.ends(&ping(1, false))), (38, 102));
}

#[test]
fn while_draining_joins_are_refused_and_the_rest_works() {
    let mut peer = Peer::joined();
    peer.session.handle_going_away(3725, 10_000, &[], &mut peer.output);
    peer.session.handle_going_away(1, 1, &[], &mut peer.output);
    assert_eq!(peer.said(), ["going away 3725 10000"]);
    peer.ok(&[event(1, b"x"), leave(3, 1), join(4, 1, "room"), ping(1, false)].concat());
    assert_eq!(peer.said(), ["refused r4 100", "answer 1"]);
    assert_eq!(peer.asked().len(), 2);
    let mut greeting = Peer::greeting();
    greeting.session.handle_going_away(1, 2, &[], &mut greeting.output);
    assert_eq!(greeting.said().len(), 0, "before hello nothing is said");
    greeting.ok(&[hello(), join(2, 1, "room")].concat());
    assert_eq!(greeting.said(), ["welcome r1 capabilities 0", "going away 1 2", "refused r2 100"]);
}

#[test]
fn a_command_that_cannot_be_read_closes() {
    for payload in ["", "03", "03 09 02", "05 09 81 00", "05 09 01 02", "12", "08 00", "0d 09 01 05 61"] {
        let payload = unhex(payload);
        let frame = [&[2, 0, payload.len() as u8, 0], &payload[..]].concat();
        assert_eq!(Peer::joined().ends(&frame), 201, "{payload:02x?}");
    }
    assert_eq!(Peer::joined().ends(&unhex("03000100 01")), 201);
    assert_eq!(Peer::joined().ends(&unhex("01000102 01")), 201);
    assert_eq!(Peer::joined().ends(&unhex("01000040")), 210);
    assert_eq!(Peer::joined().ends(&control(1, Command::Hello(Default::default()))), 209);
}
