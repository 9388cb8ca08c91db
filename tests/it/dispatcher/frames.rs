//! How batches become frames: shared, split between records, and flagged (PROTOCOL 8.3).

use tickwire::dispatcher::FrameClass;

use super::Desk;
use crate::model::{Heard, Seen, hear, see};

#[test]
fn all_receivers_get_the_very_same_bytes() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, 3 join, tick");
    desk.skip();
    desk.run("1 say a, 2 set k0 b, 3 leave, tick");
    let (first, second) = (desk.recorder.take(1), desk.recorder.take(2));
    assert_eq!(first.len(), 3);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!((first.as_ptr(), first.len()), (second.as_ptr(), second.len()), "encoded once");
    }
}

#[test]
fn newcomers_share_a_snapshot_until_a_flush_changes_it() {
    let mut desk = Desk::new();
    desk.run("1 join, 1 set k0 a, tick, 2 join room r, 3 join room r");
    let snapshot = |desk: &mut Desk, session| desk.recorder.take(session).pop().unwrap();
    assert_eq!(snapshot(&mut desk, 2).as_ptr(), snapshot(&mut desk, 3).as_ptr());
    desk.run("1 set k0 b, tick, 4 join room r");
    let snapshot = see(&snapshot(&mut desk, 4));
    assert_eq!(snapshot[0].to_string(), r#"snapshot #1 @2 t2: 1k0="b""#);
}

#[test]
fn large_segments_are_split_between_records_and_all_numbered_frames_but_the_last_say_more() {
    let mut desk = Desk::with(|limits, _| limits.max_frame = 100);
    desk.run("1 join");
    (2..12).for_each(|session| desk.run(&format!("{session} join")));
    desk.run("tick");
    desk.skip();
    for session in 2..12 {
        desk.run(&format!("{session} say 0123456789-0123456789, {session} set k0 0123456789-0123456789"));
        desk.run(&format!("{} join, {session} leave", session + 20));
    }
    desk.run("1 set r0 0123456789-0123456789, 1 set r1 0123456789-0123456789, 1 set r2 0123456789-0123456789");
    desk.run("1 set r3 0123456789-0123456789, tick");
    let frames = desk.recorder.take(1);
    assert!(frames.iter().all(|frame| frame.len() <= 4 + 100));
    let seen: Vec<Seen> = frames.iter().flat_map(|frame| see(frame)).collect();
    let more = |seen: &Seen| matches!(seen, Seen::Data { more: true, .. });
    let numbered = |seen: &&Seen| !matches!(seen, Seen::Data { kind: tickwire::wire::Kind::Value, .. });
    let flags: Vec<bool> = seen.iter().filter(numbered).map(more).collect();
    assert!(flags.len() > 5 && flags.iter().filter(|more| !**more).count() == 1 && !flags.last().unwrap());
    let values: Vec<bool> = seen.iter().filter(|seen| !numbered(seen)).map(more).collect();
    assert_eq!(values, [true, false], "values count by themselves");
    let heard = hear(seen, &mut 0);
    let [(1, Heard::Batch(batch))] = &heard[..] else { panic!("one batch: {heard:?}") };
    assert_eq!((batch.came.len(), batch.events.len(), batch.left.len()), (10, 10, 10));
}

#[test]
fn every_frame_says_what_it_is_to_a_receiver_that_lags() {
    use FrameClass::{Control, Numbered, Snapshot, Values};
    let mut desk = Desk::new();
    desk.run("1 join room prm, 1 say a, 1 set k0 b, tick, 1 leave");
    let classes: Vec<FrameClass> = desk.recorder.take_classed(1).into_iter().map(|(class, _)| class).collect();
    assert_eq!(classes, [Control, Snapshot, Snapshot, Numbered, Numbered, Values, Control]);
}

#[test]
fn a_large_message_fits_one_frame_of_the_default_size() {
    let mut desk = Desk::new();
    desk.run("1 join, tick");
    desk.skip();
    let payload = [b'x'; 15_360];
    desk.publish(1, tickwire::wire::Target::Event, false, &payload);
    desk.publish(1, tickwire::wire::Target::Value(tickwire::wire::Key::member(1 << 51)), false, &payload);
    desk.run("tick");
    let frames = desk.recorder.take(1);
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().all(|frame| frame.len() <= 4 + 16_384 && frame.ends_with(&payload)));
}
