//! What a message costs beside its payload, on a WebSocket.

use tickwire::wire::{Head, Kind, MemberNumber, Position, Record, RoomId, ServerData};

use crate::dispatcher::Desk;
use crate::support::records;

const PAYLOAD: &[u8] = &[b'x'; 32];

/// RFC 6455 5.2: a server's header is 2 bytes, and 4 from 126 bytes of payload.
fn websocket_header(len: usize) -> usize {
    if len < 126 { 2 } else { 4 }
}

/// The frame of a batch of one event from each of `senders`, encoded by hand.
fn batch(room: u64, position: u64, tick: u16, senders: impl Iterator<Item = u64>) -> Vec<u8> {
    let record = |member| Record { member: MemberNumber(member), key: None, payload: PAYLOAD };
    let records = records(&senders.map(record).collect::<Vec<_>>());
    let head = Head { room: RoomId(room), position: Position(position), tick };
    let mut frame = Vec::new();
    ServerData { kind: Kind::Event, options: 0, head, records: &records }.encode(&mut frame);
    frame
}

/// Bytes beside the payloads, for each message of a batch at position 2^21 + 5.
fn overhead(messages: u64, first_sender: u64) -> f64 {
    let frame = batch(100, (1 << 21) + 5, 7, first_sender..first_sender + messages);
    let beside = frame.len() + websocket_header(frame.len()) - PAYLOAD.len() * messages as usize;
    beside as f64 / messages as f64
}

#[test]
fn a_room_sends_the_very_bytes_that_the_budget_is_computed_from() {
    for messages in [1, 10, 50] {
        let mut desk = Desk::new();
        (1..=messages).for_each(|session| desk.run(&format!("{session} join")));
        desk.run("tick");
        desk.recorder.take_all();
        let text = String::from_utf8(PAYLOAD.to_vec()).unwrap();
        (1..=messages).for_each(|session| desk.run(&format!("{session} say {text}")));
        desk.run("tick");
        assert_eq!(desk.recorder.take(1), [batch(1, 2, 2, 1..messages + 1)]);
    }
}

#[test]
fn ten_messages_cost_three_and_a_half_bytes_each_and_fifty_two_and_a_half() {
    println!("bytes beside a payload of 32, WebSocket header included, at position 2^21 + 5");
    println!("{:>9} {:>14} {:>14}", "messages", "members < 128", "1000 members");
    for messages in [1, 10, 50] {
        println!("{messages:>9} {:>14.2} {:>14.2}", overhead(messages, 1), overhead(messages, 900));
    }
    assert!(overhead(10, 1) <= 3.5, "{}", overhead(10, 1));
    assert!(overhead(50, 1) <= 2.5, "{}", overhead(50, 1));
}
