//! Sleeping, leaving, and what is lost meanwhile.

use super::*;

#[test]
fn who_leaves_before_the_answer_stays_connected() {
    let mut memory = Memory::new();
    let device = &mut memory.device(false);
    device.join(0, "arena", JoinOptions::BOTH).unwrap();
    open(device);
    welcome(device, false, 0);
    events(device);
    device.leave(0);
    assert!(flush(device).starts_with(&[2, 0, 3, 0, 5]), "LEAVE");
    joined(device, 0, 10);
    check(&events(device), &["Left Reason(200)"]);
    // A snapshot, and a direct.
    check(&say(device, "01 00 08 08 07 0a 1170 01 02 00 78 01 00 08 06 07 01 1170 01 02 00 61"), &[]);
    let gap = Gap { room: RoomId(7), epoch: EPOCH, from: Position(11), to: Position(12), ..Gap::default() };
    tell(device, 0, Command::Gap(gap));
    device.join(0, "other", JoinOptions::BOTH).unwrap();
    check(&events(device), &["Joining"]);
    check(&say(device, "01 00 08 06 07 02 1170 01 02 00 61"), &[]);
    tell(device, 5, Command::Left(Left { handle: Handle(1), reason: Reason(200), extensions: Extensions::NONE }));
    check(&events(device), &[]);
    assert_eq!(flush(device)[4], 3, "JOIN");
    joined(device, 0, 3);
    check(&events(device), &["Joined", "Snapshot"]);

    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.leave(0);
    flush(device);
    let refused = Refused { number: 0, reason: Reason(232), extensions: Extensions::NONE };
    tell(device, 5, Command::Refused(refused));
    check(&events(device), &["Left"]);
    check(&say(device, "01 00 04 00 07 0b 1170"), &["Connecting", "Protocol(Room)"]);
}

#[test]
fn what_leaves_again_goes_before_leave() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"1").unwrap();
    flush(device);
    breaks(device);
    device.leave(0);
    open(device);
    welcome(device, true, 0);
    events(device);
    let again_and_leave = b"\x01\0\x02\x20\x011\x02\0\x03\0\x05\x05\x01";
    let sent = flush(device);
    assert!(sent.windows(13).any(|part| part == again_and_leave), "{sent:?}");

    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"1").unwrap();
    flush(device);
    breaks(device);
    assert!(open(device).windows(5).any(|part| part == b"arena"), "JOIN");
    device.leave(0);
    assert!(flush(device).is_empty(), "WELCOME has not come");
    welcome(device, true, 0);
    events(device);
    let sent = flush(device);
    assert!(sent.windows(13).any(|part| part == again_and_leave), "{sent:?}");
}

/// In room 0, with half of a message at the socket; then that room is left, and another one is to be in its place, with a
/// message.
fn half_sent(memory: &mut Memory) -> Small<'_> {
    let mut device = memory.entered();
    device.publish(0, b"1").unwrap();
    assert_eq!(device.output().len(), 6);
    device.written(3);
    device.leave(0);
    device.join(0, "other", JoinOptions::BOTH).unwrap();
    device.publish(0, b"2").unwrap();
    device
}

#[test]
fn what_was_half_sent_when_its_room_was_left_is_sent_to_its_end_or_given_up() {
    let mut memory = Memory::new();
    let device = &mut half_sent(&mut memory);
    let sent = flush(device);
    assert!(sent.starts_with(b"\x20\x011\x02\0\x03\0\x05"), "the rest, and LEAVE: {sent:?}");

    let mut memory = Memory::new();
    let device = &mut half_sent(&mut memory);
    device.lost();
    assert!(events(device)[0].contains("dropped: 1"));
    open(device);
    welcome(device, true, 0);
    check(&events(device), &["Connected"]);
    let sent = flush(device);
    assert_eq!(sent[..8], *b"\x02\0\x03\0\x05\x05\x01\x03", "LEAVE, and a ping behind it");
    tell(device, 5, Command::Left(Left { handle: Handle(1), reason: Reason(200), extensions: Extensions::NONE }));
    check(&events(device), &[]);
    assert_eq!(flush(device)[4], 3, "JOIN");
    joined(device, 0, 3);
    check(&events(device), &["Joined", "Snapshot"]);
    assert_eq!(flush(device), b"\x01\0\x02\x20\x012", "and nothing else");
}

#[test]
fn whatever_has_left_and_was_not_accepted_is_told_at_the_end() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"1").unwrap();
    device.publish(0, b"2").unwrap();
    flush(device);
    device.publish(0, b"3").unwrap();
    let close = Close { reason: Reason(243), extensions: Extensions::NONE };
    tell(device, 0, Command::Close(close));
    let seen = events(device);
    check(&seen, &["Closed", "Left", "Unconfirmed [49]", "Unconfirmed [50]"]);
    assert!(seen[0].contains("dropped: 1"));
    assert_eq!(device.pending(), 0);

    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.publish(0, b"1").unwrap();
    device.publish(0, b"2").unwrap();
    flush(device);
    breaks(device);
    open(device);
    welcome(device, false, 0);
    assert!(matches!(device.next_event(), Some(Event::State { .. })));
    assert!(matches!(device.next_event(), Some(Event::Unconfirmed { message }) if message.payload == b"1"));
    device.close();
    check(&events(device), &["Closed", "Left", "Unconfirmed [50]"]);
    assert_eq!(flush(device)[4], 8, "CLOSE");
}

#[test]
fn directs_that_the_server_has_lost_are_told_once() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    check(&say(device, "01 00 08 06 07 01 1170 01 02 00 61"), &["Direct"]);
    for (extensions, expected) in [
        (&b"\x02\x03abc\x06\x02\x02\x05"[..], &["Connected", "LostDirects from: 2, to: 5"][..]),
        (b"\x06\x02\x02\x05", &["Connected"]),
    ] {
        breaks(device);
        open(device);
        let extensions = Extensions::from_encoded(extensions).unwrap();
        let welcome = Welcome { capabilities: Capabilities(0x3b), flags: 1, extensions, ..Welcome::default() };
        tell(device, 1, Command::Welcome(welcome));
        check(&events(device), expected);
    }
    check(&say(device, "01 00 0c 06 07 05 1170 01 02 00 61 01 02 00 62"), &["Direct [98]"]);
}

#[test]
fn an_attempt_that_the_server_ends_is_told_and_no_wait_is_longer_than_a_day() {
    let mut memory = Memory::new();
    let device = &mut memory.device(false);
    open(device);
    let full = Extensions::from_encoded(b"\x02\x04full\x04\x02\xa0\x06\x06\x03b:1").unwrap();
    tell(device, 1, Command::Close(Close { reason: Reason(101), extensions: full }));
    let (text, address, dropped) = (&b"full"[..], &b"b:1"[..], 0);
    let (before, after, reason) = (State::Connecting, State::Connecting, Some(Reason(101)));
    assert_eq!(device.next_event(), Some(Event::State { before, after, reason, text, address, dropped }));
    device.lost();
    check(&events(device), &[]);
    assert_eq!(device.wait(), 800);

    let mut memory = Memory::new();
    let device = &mut memory.entered();
    let never = Extensions::from_encoded(b"\x04\x07\xff\xff\xff\xff\xff\xff\x7f").unwrap();
    tell(device, 0, Command::Close(Close { reason: Reason(101), extensions: never }));
    events(device);
    assert_eq!(device.time.at - device.time.now, 86_400_000);
}

#[test]
fn behind_a_ping_there_is_more_to_read_when_its_answer_has_left() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    device.poll(device.time.now + 1);
    let both = b"\x03\0\x02\0\x05\0\x01\0\x07\0\x07\x0b\x11\x70\x01\x02a";
    assert_eq!(device.feed(both), both.len());
    check(&events(device), &[]);
    assert!(device.wait() > 0, "nothing can be read before the answer has left: no loop spins");
    flush(device);
    assert_eq!(device.wait(), 0);
    check(&events(device), &["Message [97]"]);
    assert!(device.wait() > 0);
    device.feed(b"\x01\0\x07\0\x07");
    assert_eq!(device.wait(), 0);
    check(&events(device), &[]);
    assert!(device.wait() > 0, "half a frame is nothing that can be read");
    device.feed(b"\x0c\x11\x70\x01\x02b\x03\0\x02\0\x05\0\x01\0\x07");
    check(&events(device), &["Message [98]"]);
    breaks(device);
    assert!(device.wait() >= 500);
}

#[test]
fn a_silent_server_is_left_but_who_slept_asks_first() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    for _ in 0..34 {
        assert_eq!(device.poll(device.time.now + 1000), Action::Nothing);
    }
    assert_eq!(device.poll(device.time.now + 1000), Action::Shut);
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    assert_eq!(device.poll(device.time.now + 3_600_000), Action::Nothing);
    assert_eq!(flush(device).first(), Some(&3));
    assert_eq!(device.poll(device.time.now + 4999), Action::Nothing);
    assert_eq!(device.poll(device.time.now + 1), Action::Shut);
}

#[test]
fn who_slept_asks_once_until_something_comes() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    assert_eq!(device.poll(device.time.now + 3_600_000), Action::Nothing);
    check(&say(device, "03 00 02 00 05 00"), &[]);
    assert_eq!(device.poll(device.time.now + 3_600_000), Action::Nothing);
    assert_eq!(device.poll(device.time.now + 3_600_000), Action::Shut);
}

#[test]
fn a_silent_server_is_left_by_who_sleeps_as_long_as_it_may() {
    let mut memory = Memory::new();
    let device = &mut memory.entered();
    let began = device.time.now;
    let mut rounds = 0;
    while device.poll(device.time.now + device.wait()) == Action::Nothing && rounds < 100 {
        flush(device);
        // A loop that has received nothing.
        assert_eq!(device.feed(&[]), 0);
        rounds += 1;
    }
    assert_eq!((device.time.now - began, device.link), (35_000, Link::Shut));
}
