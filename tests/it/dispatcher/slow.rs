//! Receivers that lag (PROTOCOL 12.5): what is left out for them, and what they are told when they have
//! drained.

use tickwire::class::SlowPolicy;
use tickwire::dispatcher::Outlet;
use tickwire::limits::Limits;
use tickwire::time::Time;
use tickwire::wire::{Kind, Reason};

use super::Desk;
use crate::model::Seen;

/// Two members, and six values of the second.
fn six() -> Desk {
    of(|_| {})
}

fn of(change: impl FnOnce(&mut Limits)) -> Desk {
    let mut desk = Desk::with(|limits, _| change(limits));
    desk.run("1 join, 2 join, tick");
    (0..6).for_each(|key| desk.run(&format!("2 set k{key} v{key}")));
    desk.run("tick");
    desk.skip();
    desk
}

#[test]
fn above_the_low_water_values_are_left_out_and_below_its_half_those_that_changed_come() {
    let mut desk = six();
    desk.run("1 stall 65536, 2 say a, 2 set k0 b, tick");
    desk.check(1, &[r#"events #1 @2 t3: 2="a""#, r#"values #1 @2 t3: 2k0="b""#]);
    assert_eq!(desk.dispatcher.deadline(), None);
    desk.run("2 say c, 2 set k1 d, tick, 2 set k1 e, tick, 2 set k0 b, tick");
    desk.check(1, &[r#"events #1 @3 t4: 2="c""#]);
    assert_eq!(desk.dispatcher.counters().behind, 1);
    let owed = 65_536 + 11 + 12 + 11;
    desk.run(&format!("1 drain {}, tend, tend", owed - 32_769));
    desk.check(1, &[]);
    desk.run("1 drain 1, tend");
    let seen = desk.seen(1);
    let [Seen::Data { kind: Kind::Value, more: false, position: 3, tick: 6, records, .. }] = &seen[..] else {
        panic!("{seen:?}")
    };
    let mut told: Vec<_> = records.iter().map(|told| (told.key, &told.payload[..])).collect();
    told.sort_unstable();
    assert_eq!(told, [(Some(0), &b"b"[..]), (Some(2), b"e")], "the latest, each once");
    desk.run("2 set k5 f, tick");
    desk.check(1, &[r#"values #1 @3 t7: 2k5="f""#]);
    assert_eq!(desk.dispatcher.counters().caught_up_by_changes, 1);
}

#[test]
fn who_was_behind_gets_a_snapshot_where_values_were_deleted_or_too_many_changed() {
    for changes in ["2 del k3", "2 set k0 a, 2 set k1 b, 2 set k2 c, 2 set k3 d"] {
        let mut desk = six();
        desk.run(&format!("1 stall 70000, {changes}, tick"));
        desk.check(1, &[]);
        desk.run("1 drain, tend");
        let seen = desk.seen(1);
        let [Seen::Data { kind: Kind::Snapshot, more: false, position: 1, tick: 3, records, .. }] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(records.len(), if changes.contains("del") { 5 } else { 6 });
        desk.run("2 set k5 f, tick");
        desk.check(1, &[r#"values #1 @1 t4: 2k5="f""#]);
    }
}

#[test]
fn a_value_that_was_made_and_deleted_meanwhile_is_not_told() {
    let mut desk = six();
    desk.run("1 stall 70000, 2 set k7 a, tick, 2 del k7, tick, 1 drain, tend");
    let seen = desk.seen(1);
    assert!(matches!(&seen[..], [Seen::Data { kind: Kind::Snapshot, records, .. }] if records.len() == 6), "{seen:?}");
}

#[test]
fn stragglers_are_a_deadline_and_nobody_else_is() {
    let mut desk = six();
    desk.run("1 stall 70000, 2 set k0 a, tick");
    let at = desk.now;
    assert_eq!(desk.dispatcher.deadline(), Some(Time::from_micros((at + 10) * 1000)));
    desk.run("tend");
    assert_eq!(desk.dispatcher.deadline(), Some(Time::from_micros((at + 20) * 1000)));
    desk.run("1 drain, tend");
    assert_eq!(desk.dispatcher.deadline(), None);
}

#[test]
fn who_owes_too_much_gets_no_batches_and_later_a_gap_the_members_and_a_snapshot() {
    let mut desk = Desk::with(|limits, _| limits.outbox_frames = 4096);
    desk.run("1 join room prm, 2 join, 2 set k0 a, tick");
    desk.skip();
    // The batch takes 11 bytes; three quarters of 256 KiB are 196,608.
    desk.run("1 stall 196597, 2 say a, tick");
    desk.check(1, &[r#"events #1 @2 t2: 2="a""#]);
    desk.run("2 say b, tick, 3 join, 2 set k0 b, tick, 2 say c, tick");
    desk.check(1, &[]);
    assert_eq!(desk.dispatcher.counters().skipped, 1);
    desk.run("1 drain 163839, tend");
    desk.check(1, &[]);
    desk.run("1 drain 1, tend");
    desk.check(
        1,
        &["gap #1 3..5", r#"members #1 @5 t5: 1 here "" 2 here "" 3 here """#, r#"snapshot #1 @5 t5: 2k0="b""#],
    );
    desk.run("2 say d, 2 set k0 c, tick");
    desk.check(1, &[r#"events #1 @6 t6: 2="d""#, r#"values #1 @6 t6: 2k0="c""#]);
    assert_eq!(desk.dispatcher.deadline(), None);
}

#[test]
fn who_did_not_ask_for_the_members_gets_none_after_a_gap() {
    let mut desk = six();
    desk.run("1 stall 196608, 2 say a, tick, 1 drain, tend");
    let lines = desk.lines(1);
    assert_eq!((lines.len(), &lines[0][..]), (2, "gap #1 2..2"));
    assert!(lines[1].starts_with("snapshot #1 @2 t3:"));
}

#[test]
fn a_receiver_with_too_many_frames_is_lost_too() {
    let mut desk = of(|limits| limits.outbox_frames = 16);
    desk.run("1 stall");
    (0..13).for_each(|_| desk.run("2 say a, tick"));
    assert_eq!(desk.lines(1).len(), 12);
    desk.run("1 drain, tend");
    assert_eq!(desk.lines(1)[0], "gap #1 14..14");
}

#[test]
fn a_room_may_close_those_who_owe_too_much() {
    let mut desk = Desk::with(|_, class| class.slow = SlowPolicy::Close);
    desk.run("1 join, 2 join, tick, 1 stall 196608, 2 say a, tick, 2 say b, tick");
    assert_eq!(desk.recorder.take_closed(), [(1, Reason::SLOW)]);
    assert_eq!(desk.dispatcher.counters().closed_by_class, 1);
    desk.skip();
    desk.run("1 end, tick");
    desk.check(2, &["presence #1 @4 t4: 1 left 3"]);
    desk.run("tend");
    assert_eq!(desk.dispatcher.deadline(), None);
}

#[test]
fn a_snapshot_above_the_low_water_goes_out_in_pieces_with_batches_but_no_values_between() {
    let mut desk = Desk::with(|limits, _| (limits.low_water, limits.max_frame) = (1024, 300));
    desk.run("1 join");
    (0..60).for_each(|key| desk.run(&format!("1 set k{key} {}", "v".repeat(40))));
    desk.run("tick, 2 stall, 2 join");
    let frames = desk.lines(2);
    assert!(frames.len() > 3 && frames[1..].iter().all(|frame| frame.starts_with("snapshot #1 @1 t1 more:")));
    desk.run("1 say a, 1 set k0 new, tick, tend");
    desk.check(2, &[r#"presence #1 @2 t2 more: 2 here """#, r#"events #1 @2 t2: 1="a""#]);
    let mut rest = Vec::new();
    for _ in 0..20 {
        desk.run("2 drain 500, tend");
        rest.append(&mut desk.lines(2));
    }
    let last = rest.pop().unwrap();
    assert_eq!(last, r#"values #1 @2 t2: 1k0="new""#, "what changed meanwhile comes behind it");
    let (end, middle) = rest.split_last().unwrap();
    assert!(end.starts_with("snapshot #1 @1 t1:"));
    assert!(!middle.is_empty() && middle.iter().all(|frame| frame.starts_with("snapshot #1 @1 t1 more:")));
    desk.run("1 set k1 new, tick");
    desk.check(2, &[r#"values #1 @2 t7: 1k1="new""#]);
}

/// A long list is sent at once: what follows it waits, whatever the low water.
#[test]
fn a_list_and_a_snapshot_never_fill_the_outbox_together() {
    let mut desk = Desk::with(|limits, _| limits.low_water = 196_608);
    desk.run("1 join room prm, 2 join, tick");
    for session in 10..490 {
        desk.run(&format!("{session} join, {session} show {}", "d".repeat(250)));
        desk.run(if session % 100 == 0 { "tick" } else { "1 show x" });
    }
    for key in 0..250 {
        desk.run(&format!("2 set k{key} {}", "v".repeat(1000)));
        desk.run(if key % 50 == 0 { "tick" } else { "2 say a" });
    }
    desk.run("tick, 1 stall 196608, 2 say a, tick, 1 drain 98304");
    desk.skip();
    let mut names = Vec::new();
    for _ in 0..10 {
        desk.run("tend");
        let owed = desk.recorder.lag(&1).bytes;
        assert!(owed <= 262_144, "{owed}");
        let frames = desk.lines(1);
        names.extend(frames.iter().map(|line| line.split([' ', ':']).next().unwrap_or_default().to_owned()));
        desk.run("1 drain 30000");
    }
    names.dedup();
    assert_eq!(names, ["gap", "members", "snapshot"]);
}
