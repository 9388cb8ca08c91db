//! What a session passes on to the rooms (PROTOCOL 6.3, 6.5, 6.13, 7, 12.3).

use bytes::BytesMut;
use tickwire::command::{Command, Hold};
use tickwire::wire::header::flags;
use tickwire::wire::{
    Decoder, Epoch, Handle, Key, MemberNumber, Position, RequestId, Sender, Target, put_extension, put_varint,
};

use super::Peer;
use crate::support::{direct, event, join, join_with, leave, message, presence, value};

#[test]
fn messages_are_passed_on_with_what_they_need() {
    let mut peer = Peer::joined();
    peer.ok(&[event(1, b"a"), value(1, 11, b"b"), direct(1, 7, b"c")].concat());
    peer.ok(&message(1, Target::Event, flags::URGENT, b"d"));
    let expected = [
        (Target::Event, false, "a"),
        (Target::Value(Key::room(5)), false, "b"),
        (Target::Direct(MemberNumber(7)), false, "c"),
        (Target::Event, true, "d"),
    ];
    let asked = peer.asked();
    assert_eq!(asked.len(), expected.len());
    for ((_, command), (target, urgent, payload)) in asked.iter().zip(expected) {
        let Command::Publish(message) = command else { panic!("{command:?}") };
        assert_eq!((message.handle, message.target, message.urgent), (Handle(1), target, urgent));
        assert_eq!(message.payload, payload);
    }
}

#[test]
fn data_frames_are_numbered_from_one_the_refused_ones_included() {
    let mut peer = Peer::joined();
    peer.ok(&[event(1, b"a"), event(2, b"refused"), [1, 0, 1, 4, 1].to_vec(), value(1, 0, b"b")].concat());
    assert_eq!(peer.said(), ["refused n2 232", "refused n3 225"]);
    let numbers: Vec<u64> = peer.asked().iter().map(|(_, command)| number(command)).collect();
    assert_eq!(numbers, [1, 4]);
}

fn number(command: &Command) -> u64 {
    let Command::Publish(message) = command else { panic!("{command:?}") };
    message.number
}

#[test]
fn a_join_is_passed_on_with_its_presence_data_and_what_it_knows() {
    let mut peer = Peer::open();
    let mut since = vec![1, 2, 3, 4, 5, 6, 7, 8];
    put_varint(300, &mut since);
    let mut extensions = Vec::new();
    put_extension(4, &since, &mut extensions);
    put_extension(6, b"red", &mut extensions);
    peer.ok(&join_with(9, 5, 7, b"room", &extensions));
    let asked = peer.asked();
    let Command::Join(join) = &asked[0].1 else { panic!("{asked:?}") };
    assert_eq!((join.request, join.handle, join.mode.0), (RequestId(9), Handle(5), 7));
    assert_eq!((&join.presence[..], &join.subject[..]), (&b"red"[..], &b""[..]));
    assert_eq!(join.since, Some((Epoch([1, 2, 3, 4, 5, 6, 7, 8]), Position(300))));
}

#[test]
fn commands_of_a_room_take_the_route_of_its_join() {
    let mut peer = Peer::open();
    peer.ok(&[join(2, 1, "one"), join(3, 2, "two"), presence(4, 2, b"x"), leave(5, 1)].concat());
    let asked = peer.asked();
    assert_eq!((asked[2].0, asked[3].0), (asked[1].0, asked[0].0));
    assert_eq!(asked[3].1, Command::Leave { request: RequestId(5), handle: Handle(1) });
    let expected = Command::SetPresence { request: RequestId(4), handle: Handle(2), data: "x".into() };
    assert_eq!(asked[2].1, expected);
}

#[test]
fn one_name_has_one_route() {
    let mut peer = Peer::open();
    peer.ok(&[join(2, 1, "one"), leave(3, 1), join(4, 1, "two"), join(5, 2, "one")].concat());
    let routes: Vec<_> = peer.asked().iter().map(|(route, _)| *route).collect();
    assert_eq!(routes[0], routes[3]);
    assert_ne!(routes[0], routes[2]);
}

#[test]
fn a_handle_is_free_after_leave_and_after_its_release() {
    let mut peer = Peer::joined();
    peer.ok(&[leave(3, 1), event(1, b"x"), join(4, 1, "room")].concat());
    assert_eq!(peer.said(), ["refused n1 232"]);
    peer.session.handle_released(Hold { handle: Handle(1), serial: 2 }, peer.time());
    peer.ok(&event(1, b"x"));
    assert_eq!(peer.said(), ["refused n2 232"]);
    peer.ok(&join(5, 1, "room"));
    assert_eq!(peer.said().len(), 0);
}

#[test]
fn payloads_are_slices_of_what_was_read() {
    let mut peer = Peer::joined();
    let mut buffer = BytesMut::from(&event(1, &[7; 1000])[..]);
    let read = buffer.as_ptr_range();
    let frame = Decoder::new(Sender::Client, 16_384).decode(&mut buffer).unwrap().unwrap();
    let now = peer.time();
    peer.session.handle_frame(frame, now, &mut peer.output).unwrap();
    let asked = peer.asked();
    let Command::Publish(message) = &asked[0].1 else { panic!("{asked:?}") };
    let payload = message.payload.as_ptr_range();
    assert!(read.start < payload.start && payload.end == read.end, "no copy was made");
}

#[test]
fn what_is_said_of_an_earlier_hold_of_a_handle_changes_nothing() {
    let mut peer = Peer::joined();
    peer.ok(&[leave(3, 1), join(4, 1, "room")].concat());
    // A room's word about the first hold crosses the second join.
    peer.session.handle_left(Hold { handle: Handle(1), serial: 1 }, peer.time());
    peer.ok(&event(1, b"x"));
    assert_eq!(peer.said().len(), 0);
    assert!(matches!(peer.asked().pop(), Some((_, Command::Publish(_)))));
}

#[test]
fn what_is_on_its_way_to_a_room_that_has_ended_a_membership_is_refused_without_being_counted() {
    let mut peer = Peer::joined();
    peer.session.handle_left(Hold { handle: Handle(1), serial: 1 }, peer.time());
    peer.ok(&event(1, b"x").repeat(200));
    assert_eq!(peer.said().len(), 200);
    // Who still does not know after five seconds should have.
    peer.now += 5000;
    peer.ok(&event(1, b"x").repeat(64));
    assert_eq!(peer.ends(&event(1, b"x").repeat(200)), 103);
}
