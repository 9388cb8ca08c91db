//! Links against a server that says exactly what a test wants: rooms that are left, and batches that are through.

use super::link::{check, data, hear, join, publish, told, welcome};
use super::script::*;
use crate::client::link::{Events, LinkEvent, Outcome as Told, RoomOptions, RoomState};

/// Reads a LEAVE, and answers it.
async fn leave(script: &mut Script) {
    let frame = hear(script).await;
    let control = Control::decode(&frame.payload).unwrap();
    let Command::Leave(leave) = control.command else { panic!("{control:?}") };
    let left = Left { handle: leave.handle, reason: Reason::FINISHED, extensions: Extensions::NONE };
    script.send(Command::Left(left), control.request).await;
}

/// What is told, ticks and rooms with it, until the link is closed or the room was left for good.
async fn told_with_ticks(events: &mut Events, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < count {
        let Some(event) = events.next().await else { break };
        told.push(match event {
            LinkEvent::Tick { tick, position, .. } => format!("tick {tick} {position}"),
            LinkEvent::Outcome(_, Told::Gap(from, to)) => format!("gap {from} {to}"),
            LinkEvent::Message(message) => String::from_utf8_lossy(&message.payload).into_owned(),
            LinkEvent::Room(_, changed) if changed.after == RoomState::Left => "left".into(),
            LinkEvent::Dropped(_, messages) => format!("dropped {}", messages.len()),
            _ => continue,
        });
    }
    told
}

/// A frame of events, alone in its batch.
fn batch(position: u64, payload: &[u8], out: &mut Vec<u8>) {
    let records = records(Kind::Event, &[payload]);
    let head = Head { room: ROOM, position: Position(position), tick: 4 };
    ServerData { kind: Kind::Event, options: 0, head, records: &records }.encode(out);
}

fn control(command: Command<'_>, out: &mut Vec<u8>) {
    Control::new(RequestId(0), command).encode(out);
}

#[tokio::test]
async fn what_was_published_before_a_leave_goes_before_the_join_behind_it() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            assert_eq!((data(&mut script).await, data(&mut script).await), (b"a".to_vec(), b"b".to_vec()));
            leave(&mut script).await;
            join(&mut script, Joined { room: RoomId(8), ..JOINED }).await;
            assert_eq!(data(&mut script).await, b"c");
            script.accepted(3).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, room, mut events| {
            assert_eq!(told(&mut events, 1).await, ["snapshot"]);
            publish(&room, "a");
            publish(&room, "b");
            room.leave();
            let room = link.join("room", RoomOptions::default().members(false)).unwrap();
            publish(&room, "c");
            assert_eq!(link.waiting(), 3);
            assert_eq!(told(&mut events, 1).await, ["snapshot"]);
            link.settled().await.unwrap();
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn what_waits_for_a_room_that_is_refused_is_told() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            let frame = hear(&mut script).await;
            let request = Control::decode(&frame.payload).unwrap().request;
            script.refuse(request, 0, Reason::NOT_ALLOWED).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, room, mut events| {
            publish(&room, "a");
            publish(&room, "b");
            assert_eq!(told(&mut events, 2).await, ["dropped 1 2", "refused"]);
            assert_eq!((link.waiting(), link.close()), (0, 0));
        },
    )
    .await;
}

#[tokio::test]
async fn what_waits_when_the_link_is_closed_for_good_is_told() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            hear(&mut script).await;
            script.send(close(Reason::REMOVED), RequestId(0)).await;
            while script.try_receive().await.is_some() {}
        },
        async |_link, room, mut events| {
            publish(&room, "a");
            assert_eq!(told(&mut events, 9).await, ["dropped 1", "closed 243"]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_batch_is_through_before_what_follows_it() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            // Each in one write, so that they are read together.
            let mut out = Vec::new();
            batch(1, b"a", &mut out);
            let (room, epoch, from, to) = (ROOM, EPOCH, Position(2), Position(4));
            control(Command::Gap(Gap { room, epoch, from, to, extensions: Extensions::NONE }), &mut out);
            batch(5, b"b", &mut out);
            let left = Left { handle: Handle(1), reason: Reason::NOT_ALLOWED, extensions: Extensions::NONE };
            control(Command::Left(left), &mut out);
            script.write(&out).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, _room, mut events| {
            let expected = ["a", "tick 4 1", "gap 2 4", "b", "tick 4 5", "left"];
            assert_eq!(told_with_ticks(&mut events, expected.len()).await, expected);
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn the_last_batch_of_a_connection_is_through_and_only_once() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            let mut out = Vec::new();
            batch(1, b"a", &mut out);
            control(close(Reason::SLOW), &mut out);
            script.write(&out).await;
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, flags::RESUMED, 0).await;
            let joined = Joined { outcome: Outcome::RECOVERED, position: Position(1), ..JOINED };
            join(&mut script, joined).await;
            let mut out = Vec::new();
            batch(2, b"b", &mut out);
            control(close(Reason::REMOVED), &mut out);
            script.write(&out).await;
            while script.try_receive().await.is_some() {}
        },
        async |_link, _room, mut events| {
            let expected = ["a", "tick 4 1", "b", "tick 4 2", "left"];
            assert_eq!(told_with_ticks(&mut events, 9).await, expected);
        },
    )
    .await;
}

#[tokio::test]
async fn a_room_that_is_joined_anew_does_not_wait_for_the_one_before() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            let (first, second) = (hear(&mut script).await, hear(&mut script).await);
            let first = Control::decode(&first.payload).unwrap().request;
            let second = Control::decode(&second.payload).unwrap().request;
            let mut after = Vec::new();
            // An hour.
            put_extension(kind::AFTER, &[0x80, 0xdd, 0xdb, 0x01], &mut after);
            let extensions = Extensions::from_encoded(&after).unwrap();
            script.send(Command::Refused(Refused { number: 0, reason: Reason::RATE, extensions }), second).await;
            script.send(joined(Handle(1)), first).await;
            join(&mut script, Joined { room: RoomId(8), ..JOINED }).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, room, mut events| {
            let other = link.join("other", RoomOptions::default().members(false)).unwrap();
            assert_eq!(told(&mut events, 1).await, ["snapshot"], "the refusal came before");
            other.joined().await.unwrap();
            room.leave();
            let room = link.join("room", RoomOptions::default().members(false)).unwrap();
            room.joined().await.unwrap();
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}
