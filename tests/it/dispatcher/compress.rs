//! Compression, both ways (PROTOCOL 12.4).

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use tickwire::class::HistoryBounds;
use tickwire::command::{Command, Publish};
use tickwire::deflate::{Inflater, MAX_RECORDS};
use tickwire::wire::header::flags;
use tickwire::wire::{Capabilities, Epoch, Handle, Header, Key, Position, ServerData, Target};

use super::Desk;
use crate::model::{Seen, see};

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    Compress::new(Compression::fast(), false).compress_vec(bytes, &mut out, FlushCompress::Finish).unwrap();
    out
}

fn publish(desk: &mut Desk, session: u64, target: Target, payload: Vec<u8>) {
    let (handle, payload) = (Handle(1), payload.into());
    let publish = Publish { handle, number: 1, target, urgent: false, acknowledge: false, compressed: true, payload };
    desk.ask(session, Command::Publish(publish));
}

fn join(desk: &mut Desk, session: u64, since: Option<(Epoch, Position)>) {
    desk.join_as(session, 1, "room", 3, |join| {
        join.capabilities = Capabilities(Capabilities::DEFLATE.0 | Capabilities::HISTORY.0);
        join.since = since;
    });
}

/// The frame without compression, and whether it had any.
fn inflate(frame: &Bytes) -> (Vec<u8>, bool) {
    let compressed = frame[0] == 1 && frame[3] & flags::COMPRESSED != 0;
    if !compressed {
        return (frame.to_vec(), false);
    }
    let data = ServerData::decode(frame[3], &frame[Header::LEN..]).unwrap().unwrap();
    let mut records = Vec::new();
    Inflater::default().inflate(data.records, MAX_RECORDS, &mut records).unwrap();
    let mut plain = Vec::new();
    ServerData { records: &records, options: data.options & !flags::COMPRESSED, ..data }.encode(&mut plain);
    (plain, true)
}

/// A text that becomes smaller, and another one for each number.
fn text(number: usize) -> String {
    format!("message-{number}-").repeat(30)
}

#[test]
fn compressed_messages_of_every_kind_are_published_as_they_were() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, tick");
    desk.skip();
    publish(&mut desk, 1, Target::Event, deflate(b"hi"));
    publish(&mut desk, 1, Target::Value(Key::member(3)), deflate(b"there"));
    publish(&mut desk, 1, Target::Direct(tickwire::wire::MemberNumber(2)), deflate(b"psst"));
    desk.run("tick");
    desk.check(2, &[r#"events #1 @2 t2: 1="hi""#, r#"values #1 @2 t2: 1k3="there""#, r#"direct #1 @1 t2: 1a0="psst""#]);
    // What inflates to nothing deletes.
    publish(&mut desk, 1, Target::Value(Key::member(3)), deflate(b""));
    desk.run("tick");
    desk.check(2, &[r#"values #1 @2 t3: 1k3="""#]);
}

#[test]
fn what_inflates_too_far_or_not_at_all_is_refused_and_the_right_to_publish_is_looked_at_first() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join room r, tick");
    desk.skip();
    let (bomb, largest) = (deflate(&[0; 15_361]), deflate(&[0; 15_360]));
    let garbage = || vec![0xff; 20];
    let cut = largest[..largest.len() - 1].to_vec();
    for (session, payload, reason) in [
        (1, bomb.clone(), 236),
        (1, garbage(), 226),
        (1, cut, 226),
        (1, vec![], 226),
        (2, bomb, 237),
        (2, garbage(), 237),
    ] {
        publish(&mut desk, session, Target::Event, payload);
        desk.check(session, &[&format!("refused n1 {reason}")]);
    }
    publish(&mut desk, 1, Target::Event, largest);
    desk.run("tick");
    assert!(desk.recorder.take(2)[0].ends_with(&[0; 15_360]));
}

#[test]
fn who_negotiated_it_gets_the_plain_frames_compressed() {
    let mut desk = Desk::new();
    desk.run("1 join, tick");
    join(&mut desk, 2, None);
    desk.run("3 join, tick");
    desk.skip();
    for number in 0..5 {
        let long = text(number);
        desk.run(&format!("1 say {long}, 1 set k{number} {long}, {} join, tick", 10 + number));
    }
    desk.run("1 say short, tick");
    let (mut first, mut compressed) = (0, 0);
    let (deflated, plain) = (desk.recorder.take(2), desk.recorder.take(3));
    assert_eq!(deflated.len(), plain.len());
    for (deflated, plain) in deflated.iter().zip(&plain) {
        let (inflated, was) = inflate(deflated);
        assert_eq!(inflated, plain[..]);
        assert!(!was || deflated.len() < plain.len());
        compressed += usize::from(was);
        first = if first == 0 && was { deflated.len() } else { first };
    }
    assert!(compressed == 10 && first > 0, "events and values, and nothing short: {compressed}");
}

#[test]
fn snapshots_are_compressed_and_what_history_gives_is_not() {
    let mut desk = Desk::with(|_, class| class.history = HistoryBounds::default());
    desk.run("1 join");
    let Seen::Joined { epoch, .. } = desk.seen(1)[0] else { panic!("not joined") };
    (0..8).for_each(|number| desk.run(&format!("1 set k{number} {}", text(number))));
    desk.run(&format!("tick, 1 say {}, tick", text(0)));
    join(&mut desk, 2, Some((Epoch(epoch), Position(1))));
    desk.run("3 join");
    let (mut deflated, mut plain) = (desk.recorder.take(2), desk.recorder.take(3));
    let (snapshot, was) = inflate(&deflated.pop().unwrap());
    assert_eq!((snapshot, was), (plain.pop().unwrap().to_vec(), true));
    let replayed = deflated.pop().unwrap();
    assert!(!inflate(&replayed).1 && see(&replayed)[0].to_string().starts_with("events #1 @2 t2: 1="));
}

#[test]
fn a_class_may_turn_it_off() {
    let mut desk = Desk::with(|_, class| class.compress = false);
    desk.run("1 join, tick");
    join(&mut desk, 2, None);
    desk.run(&format!("1 say {}, 1 set k0 {}, tick", text(0), text(1)));
    join(&mut desk, 3, None);
    for session in [2, 3] {
        assert!(desk.recorder.take(session).iter().all(|frame| !inflate(frame).1));
    }
}
