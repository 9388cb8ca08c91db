//! What the rooms of a shard keep together (PROTOCOL 12.1, 13).

use tickwire::class::HistoryBounds;
use tickwire::wire::{Capabilities, Epoch, Position};

use super::Desk;
use crate::model::Seen;

fn desk(kept: usize, history: HistoryBounds) -> Desk {
    Desk::with(|limits, class| (limits.kept_bytes, class.history) = (kept, history))
}

fn epoch(desk: &mut Desk, session: u64) -> Epoch {
    let Seen::Joined { epoch, .. } = desk.seen(session)[0] else { panic!("not joined") };
    Epoch(epoch)
}

/// What a newcomer that saw position `last` is told.
fn missed(desk: &mut Desk, session: u64, room: &str, epoch: Epoch, last: u64) -> String {
    desk.join_as(session, 1, room, 3, |join| {
        join.since = Some((epoch, Position(last)));
        join.capabilities = Capabilities::HISTORY;
    });
    desk.lines(session).remove(0)
}

#[test]
fn the_oldest_history_of_all_rooms_goes_first_and_is_told_as_a_gap() {
    let mut desk = desk(20_000, HistoryBounds::default());
    desk.run("1 join one, 2 join two");
    let (one, two) = (epoch(&mut desk, 1), epoch(&mut desk, 2));
    let long = "x".repeat(4000);
    // Alternately; the fifth is too much, so the first ones go.
    desk.run("tick");
    for session in [1, 2, 1, 2] {
        desk.run(&format!("{session} say {long}, tick"));
    }
    assert_eq!(desk.dispatcher.counters().evicted, 0);
    desk.run(&format!("1 say {long}, tick"));
    assert!(desk.dispatcher.kept_bytes() <= 20_000);
    // The two joins and the first long one.
    assert_eq!(desk.dispatcher.counters().evicted, 3);
    assert_eq!(missed(&mut desk, 3, "one", one, 0), "joined r2 h1 #1 me 2 @2 Gap(Some((1, 2)))");
    assert_eq!(missed(&mut desk, 4, "two", two, 1), "joined r2 h1 #2 me 2 @1 Recovered");
}

#[test]
fn values_drive_history_out_then_lingering_rooms_and_then_nothing_may_grow() {
    let mut desk = desk(9_500, HistoryBounds::default());
    desk.run("1 join one, 2 join two");
    let one = epoch(&mut desk, 1);
    let long = "x".repeat(3000);
    desk.run(&format!("tick, 2 say bye, 2 set r0 {long}, tick, 2 leave, tick, 1 say a, tick"));
    assert_eq!(desk.dispatcher.room_count(), 2);
    // Three values and the lingering one are more than there may be: first the past goes.
    desk.run(&format!("1 set k0 {long}, 1 set k1 {long}, tick"));
    assert_eq!(desk.dispatcher.room_count(), 2);
    assert!(desk.dispatcher.counters().evicted > 0 && desk.dispatcher.kept_bytes() <= 9_500);
    assert_eq!(missed(&mut desk, 3, "one", one, 1), "joined r2 h1 #1 me 2 @1 Recovered");
    desk.run("3 leave, tick");
    desk.run(&format!("1 set k2 {long}, tick"));
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.kept_bytes()), (1, 3 * (3000 + 64)));
    assert_eq!(missed(&mut desk, 4, "one", one, 2), "joined r2 h1 #1 me 3 @3 Gap(Some((3, 3)))");
    desk.skip();
    // One more fits no more, and is the last that may grow.
    desk.run(&format!("1 set k3 {long}, tick"));
    assert!(desk.recorder.take_refusals().is_empty());
    desk.run("1 set k4 a");
    assert_eq!(desk.lines(1).pop().unwrap(), "refused n6 106");
    desk.run(&format!("1 set k0 {long}y"));
    desk.check(1, &["refused n7 106"]);
    desk.run(&format!("1 set k0 {}, 1 del k3, tick, 1 set k4 b, tick", "z".repeat(3000)));
    assert!(desk.recorder.take_refusals().iter().all(|(_, handle)| handle.is_none()));
    assert!(desk.lines(1).iter().all(|line| !line.starts_with("refused")), "what does not grow is taken");
}

#[test]
fn what_a_room_kept_is_given_back_when_it_is_forgotten() {
    let mut desk = desk(1 << 20, HistoryBounds::default());
    desk.run("1 join, 1 say a, 1 set r0 b, tick, 1 leave, tick");
    assert!(desk.dispatcher.kept_bytes() > 0);
    desk.run("at 70000");
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.kept_bytes()), (0, 0));
}

#[test]
fn the_bounds_of_a_room_hold_without_the_servers() {
    let mut desk = desk(1 << 20, HistoryBounds { batches: 3, ..HistoryBounds::default() });
    desk.run("1 join, tick");
    let full = |desk: &mut Desk| {
        desk.run("1 say a, tick, 1 say a, tick, 1 say a, tick");
        desk.dispatcher.kept_bytes()
    };
    let kept = full(&mut desk);
    // A position takes a second byte from 128 on.
    (0..600).for_each(|_| assert!((kept..=kept + 3).contains(&full(&mut desk))));
    assert_eq!(desk.dispatcher.counters().evicted, 0);
}
