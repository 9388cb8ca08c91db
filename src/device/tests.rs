//! The device against a server of a few lines and a clock that is a number.

#![expect(clippy::indexing_slicing, reason = "a test that fails says where")]

mod away;

use super::*;
use crate::wire::control::{Accepted, Close, Command, Gap, GoingAway, Joined, Left, Mode, Outcome as Found, Welcome};
use crate::wire::control::{Control, Refused};
use crate::wire::{
    Capabilities, DecodeError, Epoch, Extensions, Handle, Key, MemberNumber, Position, RequestId, RoomId, Target,
};

type Small<'a> = Device<'a, 2>;

const EPOCH: Epoch = Epoch([7; 8]);

struct Memory([u8; 160], [u8; 120], [u8; 224]);

impl Memory {
    const fn new() -> Self {
        Self([0; 160], [0; 120], [0; 224])
    }

    fn device(&mut self, renews: bool) -> Small<'_> {
        let buffers = Buffers { input: &mut self.0, output: &mut self.1, control: &mut self.2 };
        let mut device = Device::new(buffers, Options { seed: 42, renews, ..Options::default() }).unwrap();
        device.poll(1000);
        device.connect();
        device
    }

    /// Connected, and in room 0, whose position is 10.
    fn entered(&mut self) -> Small<'_> {
        let mut device = self.device(false);
        device.join(0, "arena", JoinOptions::BOTH).unwrap();
        open(&mut device);
        welcome(&mut device, false, 0);
        joined(&mut device, 0, 10);
        assert!(events(&mut device).last().unwrap().contains("Snapshot"));
        flush(&mut device);
        device
    }
}

/// Everything there is to send.
fn flush(device: &mut Small<'_>) -> Vec<u8> {
    let mut sent = Vec::new();
    loop {
        let len = device.output().len();
        sent.extend_from_slice(device.output());
        if len == 0 {
            return sent;
        }
        device.written(len);
    }
}

/// Everything that has happened, as text: an event borrows the device.
fn events(device: &mut Small<'_>) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = device.next_event() {
        seen.push(format!("{event:?}"));
    }
    seen
}

fn open(device: &mut Small<'_>) -> Vec<u8> {
    events(device);
    let now = device.time.now + device.wait();
    assert_eq!(device.poll(now), Action::Open);
    device.opened();
    flush(device)
}

fn breaks(device: &mut Small<'_>) {
    device.lost();
    assert_eq!(device.state(), State::Connecting);
    events(device);
}

fn tell(device: &mut Small<'_>, request: u64, command: Command<'_>) {
    let mut bytes = Vec::new();
    Control::new(RequestId(request), command).encode(&mut bytes);
    assert_eq!(device.feed(&bytes), bytes.len());
}

fn welcome(device: &mut Small<'_>, resumed: bool, accepted: u64) {
    let welcome = Welcome {
        capabilities: Capabilities(0x3b),
        flags: resumed.into(),
        time: 5_000_000,
        max_message: 100,
        ping: 15_000,
        accepted,
        extensions: Extensions::from_encoded(b"\x02\x03abc").unwrap(),
        ..Welcome::default()
    };
    tell(device, 1, Command::Welcome(welcome));
}

fn joined(device: &mut Small<'_>, outcome: u8, position: u64) {
    let joined = Joined {
        handle: Handle(1),
        room: RoomId(7),
        member: MemberNumber(1),
        mode: Mode::BOTH,
        outcome: Found(outcome),
        epoch: EPOCH,
        position: Position(position),
        period: 50_000,
        tick: 70_000,
        ..Joined::default()
    };
    tell(device, 4, Command::Joined(joined));
}

/// Byte by byte, taking what there is behind each.
fn say(device: &mut Small<'_>, hex: &str) -> Vec<String> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut seen = Vec::new();
    for pair in digits.chunks(2) {
        let byte = u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        assert_eq!(device.feed(&[byte]), 1);
        seen.extend(events(device));
    }
    seen
}

fn check(seen: &[String], expected: &[&str]) {
    assert_eq!(seen.len(), expected.len(), "{seen:#?}");
    for (seen, expected) in seen.iter().zip(expected) {
        assert!(expected.split(' ').all(|part| seen.contains(part)), "{seen} has not all of {expected}");
    }
}

#[test]
fn messages_come_byte_by_byte_and_ones_own_are_hidden() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    let seen = say(device, "01 00 14 00 07 0b 1170 04 02 73686f74 04 01 6f776e21 02 00 6869");
    check(&seen, &["Message MemberNumber(2) [115,", "Message MemberNumber(0) [104, tick:\u{20}"]);
    assert!(seen[0].contains("tick: 70000") && seen[0].contains("Position(11)"));
    let seen = say(device, "01 00 09 02 07 0b 1171 02 02 0b 6162 01 00 08 08 07 0b 0000 01 02 00 78");
    let snapshot = ["Value Key(11) 98] false", "Snapshot false", "Value Key(0) true", "Snapshot true"];
    check(&seen, &snapshot);
    check(&say(device, "01 00 0a 04 07 0c 1171 04 03 01 01 75 64"), &["Presence Here [117] [100]"]);
    check(&say(device, "03 00 02 00 05 00"), &[]);
    assert_eq!(flush(device)[..5], [3, 0, 3, 1, 5], "an answer with its time");
}

#[test]
fn a_message_that_is_too_large_is_skipped_and_what_follows_is_not() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    check(&say(device, "01 00 c3 00 07 0b 1170 b4 01 02"), &[]);
    let mut seen = Vec::new();
    for chunk in [[0; 90], [0; 90]] {
        assert_eq!(device.feed(&chunk), 90);
        seen.extend(events(device));
    }
    check(&seen, &["Skipped 180"]);
    check(&say(device, "03 02 616263 01 02 64"), &["Message 97, 98, 99]", "[100]"]);
}

#[test]
fn what_is_not_taken_is_said() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    assert_eq!(device.publish(0, &[0; 101]), Err(Refusal::TooLarge), "the server takes 100");
    assert_eq!(device.publish(0, &[0; 100]), Ok(()));
    assert_eq!(device.publish(0, &[0; 30]), Err(Refusal::Full));
    assert_eq!(device.publish_or_drop(0, &[0; 30]), Err(Refusal::Dropped));
    assert_eq!(device.publish(1, b""), Err(Refusal::NoRoom));
    assert_eq!(device.publish(9, b""), Err(Refusal::NoRoom));
    assert_eq!(device.join(0, "again", JoinOptions::BOTH), Err(Refusal::NoRoom));
    let mut short = [0; INPUT_MIN - 1];
    let buffers = Buffers { input: &mut short, output: &mut [], control: &mut [0; 192] };
    assert!(Device::<1>::new(buffers, Options::default()).is_err());
}

#[test]
fn of_values_the_last_one_waits_behind_events_and_the_last_frame_asks() {
    let mut memory = Memory::new();
    let device = &mut memory.device(false);
    device.join(0, "arena", JoinOptions::BOTH).unwrap();
    device.set(0, Key::member(1), b"a").unwrap();
    device.set(0, Key::member(2), b"z").unwrap();
    device.set(0, Key::member(1), b"bb").unwrap();
    device.publish(0, b"e").unwrap();
    assert_eq!(device.publish_or_drop(0, b"no"), Err(Refusal::Dropped));
    open(device);
    welcome(device, false, 0);
    events(device);
    assert_eq!(flush(device).first(), Some(&3), "a ping, and no data");
    joined(device, 0, 0);
    events(device);
    assert_eq!(flush(device), b"\x01\0\x02\0\x01e\x01\0\x03\x02\x01\x04z\x01\0\x04\x22\x01\x02bb");
    tell(device, 0, Command::Accepted(Accepted { number: 2, ..Accepted::default() }));
    check(&events(device), &[]);
    assert_eq!(device.pending(), 8);
    tell(device, 0, Command::Accepted(Accepted { number: 4, ..Accepted::default() }));
    check(&events(device), &["State Connecting", "Room Joining", "Protocol(Accepted)"]);
}

#[test]
fn a_resumed_session_sends_what_was_not_accepted_once_and_in_order() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"1").unwrap();
    device.publish(0, b"2").unwrap();
    flush(device);
    device.publish(0, b"3").unwrap();
    assert_eq!(device.output().len(), 6);
    device.written(3);
    breaks(device);
    let hello = open(device);
    assert!(hello.windows(5).any(|part| part == b"\x05\x03abc\0"[..5].as_ref()), "HELLO has the token");
    welcome(device, true, 1);
    check(&events(device), &["Connected"]);
    // PROTOCOL 12.2: before the room is joined again leaves what has a number, and only that.
    let sent = flush(device);
    assert!(sent.ends_with(b"\x01\0\x02\x20\x012") && device.pending() == 12, "{sent:?}");
    joined(device, 1, 10);
    check(&events(device), &["Room Joined", "Recovered"]);
    assert!(flush(device).ends_with(b"\x01\0\x02\x20\x013"));
}

#[test]
fn in_a_new_session_nobody_knows_and_it_is_said() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"1").unwrap();
    flush(device);
    device.publish(0, b"2").unwrap();
    breaks(device);
    open(device);
    welcome(device, false, 0);
    check(&events(device), &["Connected", "Unconfirmed [49]"]);
    joined(device, 2, 12);
    check(&events(device), &["Joined", "Gap(Position(11), Position(12))"]);
    assert!(flush(device).ends_with(b"\x012"));
    assert_eq!(device.queue.sent, 1);

    let mut memory = Memory::new();
    let device = &mut memory.device(false);
    open(device);
    welcome(device, true, 0);
    check(&events(device), &["Protocol(Resumed)"]);
}

#[test]
fn a_batch_that_was_shown_in_part_goes_on_where_it_broke_off() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    check(&say(device, "01 00 0a 40 07 0b 1170 01 02 61 01 02 62"), &["[97]", "[98]"]);
    breaks(device);
    open(device);
    welcome(device, false, 0);
    joined(device, 1, 10);
    events(device);
    check(&say(device, "01 00 0a 40 07 0b 1170 01 02 61 01 02 62 01 00 07 00 07 0b 1170 01 02 63"), &["[99]"]);
    let gap = Gap { room: RoomId(7), epoch: EPOCH, from: Position(12), to: Position(13), ..Gap::default() };
    tell(device, 0, Command::Gap(gap));
    check(&events(device), &["Gap(Position(12), Position(13))"]);
    check(&say(device, "01 00 04 00 07 0e 1170"), &[]);
    check(&say(device, "01 00 04 00 07 10 1170"), &["Connecting", "Joining", "Protocol(Position)"]);
    assert_eq!(flush(device), [2, 0, 4, 0, 8, 3, 0xc9, 1], "CLOSE 201");
}

#[test]
fn what_must_not_come_is_an_error() {
    let decode = format!("{:?}", Error::Protocol(Breach::Decode(DecodeError::Truncated)));
    for (hex, expected) in [
        ("01 00 04 01 07 0b 1170", "Protocol(Compressed)"),
        ("01 00 04 00 08 0b 1170", "Protocol(Room)"),
        ("01 00 07 00 07 0b 1170 ff 7f 01", &*decode),
        ("01 00 02 00 04 ff", &*decode),
        ("02 00 01 00 04", &*decode),
    ] {
        let mut memory = Memory::new();
        check(&say(&mut memory.entered(), hex), &["Connecting", "Joining", expected]);
    }
    for hex in ["02 00 02 00 6f 00", "03 00 04 00 00 00 7e 00", "01 00 00 0c", "09 00 01 00 55"] {
        let mut memory = Memory::new();
        check(&say(&mut memory.entered(), hex), &[]);
    }
    let mut memory = Memory::new();
    let device = &mut memory.device(false);
    open(device);
    check(&say(device, "48 54 54 50 2f 31"), &["Closed", "Version"]);
}

#[test]
fn refusals_are_told_with_what_they_are_of() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"1").unwrap();
    device.set(0, Key::member(4), b"22").unwrap();
    flush(device);
    let refused = |number, reason| Refused { number, reason: Reason(reason), extensions: Extensions::NONE };
    tell(device, 0, Command::Refused(refused(2, 106)));
    let event = device.next_event().unwrap();
    let message = Message { room: 0, target: Target::Value(Key::member(4)), payload: b"22" };
    assert_eq!(event, Event::Refused { message: Some(message), reason: Reason(106) });
    tell(device, 0, Command::Left(Left { handle: Handle(1), reason: Reason(7), extensions: Extensions::NONE }));
    check(&events(device), &["Room Joining Reason(7)"]);
    assert!(flush(device).is_empty() && (450..=1000).contains(&device.wait()));
    device.poll(device.time.now + 1000);
    assert_eq!(flush(device)[4], 3, "JOIN");
    device.publish(0, b"waits").unwrap();
    tell(device, 4, Command::Refused(refused(0, 240)));
    check(&events(device), &["Room Left Reason(240)"]);
    assert_eq!(device.publish(0, b"x"), Err(Refusal::NoRoom));
}

#[test]
fn backoff_grows_to_twenty_seconds_and_is_never_the_same() {
    let mut memory = Memory::new();
    let device = &mut memory.device(false);
    open(device);
    let (mut least, mut most) = (u64::MAX, 0);
    for attempt in 0..40 {
        device.lost();
        let wait = device.wait();
        let bound = if attempt < 6 { (500 + (500 << attempt)).min(20_000) } else { 20_000 };
        assert!((500..=bound).contains(&wait), "{wait} of at most {bound}");
        if attempt >= 6 {
            (least, most) = (least.min(wait), most.max(wait));
        }
        assert_eq!(device.poll(device.time.now + wait - 1), Action::Nothing);
        assert_eq!(device.poll(device.time.now + 1), Action::Open);
    }
    assert!(least < 5000 && most > 15_000, "{least} to {most}");
    assert_eq!(device.poll(device.time.now + 9999), Action::Nothing);
    assert_eq!(device.poll(device.time.now + 1), Action::Shut);
}

#[test]
fn the_servers_time_is_that_of_the_shortest_way() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    assert_eq!(device.server_time(), 5_000_000);
    device.poll(1002);
    // Asked at 1,000 ms, heard and answered at 6,001,000 us there.
    check(&say(device, "03 00 10 01 c0843d 00000007 e8a2ee02 e8a2ee02 00"), &[]);
    assert_eq!(device.server_time(), 6_001_000 + 1000);
}

#[test]
fn going_away_is_exact_and_an_end_may_be_for_good() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    tell(device, 0, Command::GoingAway(GoingAway { reconnect: 3725, closes: 10_000, ..GoingAway::default() }));
    check(&events(device), &["State Connecting Reason(100)", "Room Joining"]);
    assert_eq!(flush(device)[4], 8, "CLOSE");
    device.lost();
    assert_eq!((device.wait(), device.resume_len), (3725, 0));

    let close = |reason, extensions| Command::Close(Close { reason: Reason(reason), extensions });
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    let soon = Extensions::from_encoded(b"\x02\x04soon\x04\x02\xa0\x06").unwrap();
    tell(device, 0, close(101, soon));
    check(&events(device), &["State Reason(101) 115,", "Room"]);
    assert_eq!(device.poll(device.time.now), Action::Shut);
    device.lost();
    assert_eq!(device.wait(), 800);

    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"x").unwrap();
    tell(device, 0, close(243, Extensions::NONE));
    let seen = events(device);
    check(&seen, &["State Closed", "Room Left"]);
    assert!(seen[0].contains("dropped: 1"));
    assert!(device.join(1, "a", JoinOptions::BOTH).is_err());

    let mut memory = Memory::new();
    let device = &mut memory.device(true);
    device.set_token(b"old").unwrap();
    open(device);
    tell(device, 1, close(242, Extensions::NONE));
    check(&events(device), &["State Connecting Reason(242)", "TokenWanted"]);
    device.lost();
    assert_eq!(device.poll(device.time.now + 60_000), Action::Nothing);
    device.set_token(b"new").unwrap();
    open(device);
    tell(device, 1, close(242, Extensions::NONE));
    check(&events(device), &["State Closed"]);
    assert!(device.set_token(&[0; 100]).is_err());
}
