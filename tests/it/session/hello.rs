//! The beginning: magic, version, hello, and the room of the path (PROTOCOL 4.1, 4.2, 6.1, 10.1).

use bytes::BytesMut;
use tickwire::command::Command;
use tickwire::wire::control::{Mode, Welcome};
use tickwire::wire::{Control, Handle, RequestId, Sender, control, put_extension, split_frame};

use super::Peer;
use crate::support::{close, event, hello, hello_with, join, ping, unhex};

#[test]
fn the_magic_is_refused_at_the_first_byte_that_differs() {
    for (bytes, expected) in [
        ("", Ok(false)),
        ("d7", Ok(false)),
        ("d75457", Ok(false)),
        ("d7545701", Ok(true)),
        ("47", Err(206)),
        ("1603010200", Err(206)),
        ("d753", Err(206)),
        ("d754580a", Err(206)),
        ("d7545700", Err(207)),
        ("d7545702", Err(207)),
        ("d75457ff", Err(207)),
    ] {
        let mut buffer = BytesMut::from(&unhex(bytes)[..]);
        let result = Peer::over_tcp().session.handle_preamble(&mut buffer);
        assert_eq!(result.map_err(|ending| ending.reason.0), expected, "{bytes}");
        assert_eq!(buffer.is_empty(), bytes.is_empty() || expected == Ok(true), "the frames behind it stay");
    }
}

#[test]
fn a_session_over_websocket_has_no_magic() {
    let mut buffer = BytesMut::from(&hello()[..]);
    assert_eq!(Peer::greeting().session.handle_preamble(&mut buffer), Ok(true));
    assert_eq!(buffer, hello());
}

#[test]
fn welcome_is_the_bytes_of_the_document() {
    let mut peer = Peer::greeting();
    peer.now = 1000;
    peer.ok(&hello());
    // PROTOCOL 16.1
    let expected = "02001d00 02 01 0000 5a17c0de c0843d 8090f4befb979803 8078 808001 8001 9875 00";
    assert_eq!(peer.output.replies, unhex(expected));
    assert!(peer.session.is_open());
}

#[test]
fn anything_before_hello_closes() {
    for frame in [join(1, 1, "room"), event(1, b"hi"), ping(1, false), ping(1, true), close(1)] {
        let mut peer = Peer::greeting();
        assert_eq!((peer.ends(&frame), peer.said().len()), (208, 0));
    }
}

#[test]
fn a_second_hello_closes() {
    assert_eq!(Peer::open().ends(&hello()), 209);
}

#[test]
fn close_is_answered_with_its_request() {
    let ending = Peer::open().send(&close(7)).unwrap_err();
    assert_eq!((ending.reason.0, ending.request), (200, RequestId(7)));
}

#[test]
fn frames_behind_hello_in_one_chunk_are_served_in_order() {
    let mut peer = Peer::greeting();
    peer.ok(&[hello(), join(2, 1, "arena"), event(1, b"hi")].concat());
    assert_eq!(peer.said(), ["welcome r1 capabilities 0"]);
    let asked = peer.asked();
    assert!(matches!(&asked[0].1, Command::Join(join) if join.name.as_str() == "arena"));
    assert!(matches!(&asked[1].1, Command::Publish(message) if message.payload == "hi"));
    assert_eq!(asked[0].0, asked[1].0, "one room, one route");
}

#[test]
fn frames_before_a_malformed_one_are_obeyed() {
    let mut peer = Peer::open();
    assert_eq!(peer.ends(&[join(2, 1, "room"), unhex("01000400 8100 6869")].concat()), 201);
    assert_eq!(peer.asked().len(), 1);
}

#[test]
fn frames_are_small_until_hello_is_accepted() {
    let mut peer = Peer::greeting();
    assert_eq!(peer.session.max_frame(), 4096);
    peer.ok(&hello());
    assert_eq!(peer.session.max_frame(), 16_384);
}

#[test]
fn hello_is_refused_for_a_long_token_and_an_odd_extension_and_the_close_repeats_its_request() {
    let with = |kind, len| {
        let mut extensions = Vec::new();
        put_extension(kind, &vec![b't'; len], &mut extensions);
        hello_with(0, 0, 0, &extensions)
    };
    for (frame, expected) in [
        (with(1, 4000), None),
        (with(1, 4001), Some(241)),
        (with(3, 0), Some(222)),
        (with(4, 5), None),
        (with(9, 0), Some(222)),
    ] {
        let ended = Peer::greeting().send(&frame).err();
        assert_eq!(ended.map(|ending| (ending.reason.0, ending.request.0)), expected.map(|reason| (reason, 1)));
    }
}

#[test]
fn a_client_that_takes_less_than_the_room_may_send_cannot_join() {
    for (max_record, max_frame, joins) in
        [(0, 0, true), (15_360, 16_384, true), (15_359, 0, false), (0, 16_383, false), (1 << 40, 1 << 40, true)]
    {
        let mut peer = Peer::greeting();
        peer.ok(&[hello_with(0, max_record, max_frame, &[]), join(2, 1, "room")].concat());
        let expected: &[&str] = if joins { &[] } else { &["refused r2 235"] };
        assert_eq!((&peer.said()[1..], peer.asked().len()), (&expected.map_to_strings()[..], usize::from(joins)));
    }
}

#[test]
fn the_room_of_the_path_is_joined_as_request_zero_with_handle_zero() {
    let mut peer = Peer::with(Some("lobby"), |_| {});
    peer.ok(&[hello(), join(2, 1, "room"), event(0, b"hi")].concat());
    let asked = peer.asked();
    let Command::Join(join) = &asked[0].1 else { panic!("the path's join comes first: {asked:?}") };
    assert_eq!((join.request, join.handle, join.mode), (RequestId(0), Handle(0), Mode::BOTH));
    assert_eq!(join.name.as_str(), "lobby");
    assert!(matches!(&asked[2].1, Command::Publish(message) if message.handle == Handle(0)));
    assert_eq!(asked[0].0, asked[2].0);
}

#[test]
fn the_room_of_the_path_can_be_refused_like_any_other() {
    let mut peer = Peer::with(Some("lobby"), |_| {});
    peer.ok(&hello_with(0, 1, 0, &[]));
    assert_eq!(peer.said(), ["welcome r1 capabilities 0", "refused r0 235"]);
    let mut peer = Peer::with(Some("a b"), |_| {});
    peer.ok(&hello());
    assert_eq!(peer.said(), ["welcome r1 capabilities 0", "refused r0 230"]);
    assert!(peer.asked().is_empty());
}

#[test]
fn welcome_tells_the_limits_that_were_set() {
    let mut peer = Peer::with(None, |limits| {
        limits.max_rooms = 3;
        limits.max_message = 100;
        limits.max_frame = 8000;
    });
    peer.ok(&hello());
    let (frame, _) = split_frame(&peer.output.replies, 16_384, Sender::Server).unwrap().unwrap();
    let Control { command: control::Command::Welcome(welcome), .. } = Control::decode(frame.payload).unwrap() else {
        panic!("WELCOME")
    };
    let Welcome { max_rooms: 3, max_message: 100, max_frame: 8000, accepted: 0, ping: 15_000, .. } = welcome else {
        panic!("{welcome:?}")
    };
}

/// So that lines can be compared with lines.
trait Lines {
    fn map_to_strings(&self) -> Vec<String>;
}

impl Lines for [&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}
