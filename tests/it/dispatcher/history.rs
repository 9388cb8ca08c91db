//! History: what a newcomer that tells its last position is sent again (PROTOCOL 12.1).

use std::time::Duration;

use tickwire::class::HistoryBounds;
use tickwire::wire::{Capabilities, Epoch, Position};

use super::Desk;
use crate::model::Seen;

fn bounds(batches: usize) -> HistoryBounds {
    HistoryBounds { batches, bytes: 256 * 1024, age: Duration::from_secs(60) }
}

/// A room that keeps so many batches and has said "a" to "d" in positions 2 to 5; and its epoch.
fn room(batches: usize) -> (Desk, Epoch) {
    let mut desk = Desk::with(|_, class| class.history = bounds(batches));
    desk.run("1 join");
    let Seen::Joined { epoch, .. } = desk.seen(1)[0] else { panic!("not joined") };
    desk.run("tick, 1 say a, 1 set k0 x, tick, 1 say b, tick, 1 say c, tick, 1 say d, tick");
    desk.skip();
    (desk, Epoch(epoch))
}

fn since(desk: &mut Desk, session: u64, mode: u8, epoch: Epoch, position: u64) {
    desk.join_as(session, 1, "room", mode, |join| {
        join.since = Some((epoch, Position(position)));
        join.capabilities = Capabilities::HISTORY;
    });
}

#[test]
fn everything_behind_the_last_position_comes_again_as_it_was_sent_and_then_the_snapshot() {
    let (mut desk, epoch) = room(100);
    since(&mut desk, 2, 3, epoch, 3);
    desk.check(
        2,
        &[
            "joined r2 h1 #1 me 2 @3 Recovered",
            r#"events #1 @4 t4: 1="c""#,
            r#"events #1 @5 t5: 1="d""#,
            r#"snapshot #1 @5 t5: 1k0="x""#,
        ],
    );
    desk.run("1 say e, tick");
    desk.check(2, &[r#"presence #1 @6 t6 more: 2 here """#, r#"events #1 @6 t6: 1="e""#]);
    assert_eq!(desk.dispatcher.counters().replayed, 2);
}

#[test]
fn the_members_come_between_what_is_replayed_and_the_values() {
    let (mut desk, epoch) = room(100);
    since(&mut desk, 2, 7, epoch, 4);
    let lines = desk.lines(2);
    let starts = ["joined", "events #1 @5", r#"members #1 @5 t5: 1 here """#, "snapshot #1 @5"];
    assert!(lines.len() == 4 && lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines:?}");
}

#[test]
fn what_is_not_kept_any_more_is_told_and_what_is_kept_behind_it_comes() {
    let (mut desk, epoch) = room(2);
    since(&mut desk, 2, 3, epoch, 1);
    desk.check(
        2,
        &[
            "joined r2 h1 #1 me 2 @3 Gap(Some((2, 3)))",
            r#"events #1 @4 t4: 1="c""#,
            r#"events #1 @5 t5: 1="d""#,
            r#"snapshot #1 @5 t5: 1k0="x""#,
        ],
    );
    // Its oldest batch is just the next one.
    since(&mut desk, 3, 3, epoch, 3);
    assert_eq!(desk.lines(3)[0], "joined r2 h1 #1 me 3 @3 Recovered");
}

#[test]
fn another_life_and_a_position_from_the_future_are_gaps_of_everything() {
    let (mut desk, epoch) = room(100);
    since(&mut desk, 2, 3, Epoch([9; 8]), 3);
    since(&mut desk, 3, 3, epoch, 6);
    since(&mut desk, 4, 3, epoch, u64::MAX >> 11);
    for session in 2..=4 {
        let joined = format!("joined r2 h1 #1 me {session} @5 Gap(None)");
        desk.check(session, &[&joined, r#"snapshot #1 @5 t5: 1k0="x""#]);
    }
}

#[test]
fn without_the_capability_or_without_receiving_nothing_is_replayed() {
    let (mut desk, epoch) = room(100);
    desk.join(2, 1, "room", 3, Some((epoch, Position(3))));
    desk.check(2, &["joined r2 h1 #1 me 2 @5 Gap(Some((4, 5)))", r#"snapshot #1 @5 t5: 1k0="x""#]);
    desk.join(3, 1, "room", 3, Some((epoch, Position(5))));
    assert_eq!(desk.lines(3)[0], "joined r2 h1 #1 me 3 @5 Recovered");
    since(&mut desk, 4, 1, epoch, 3);
    desk.check(4, &["joined r2 h1 #1 me 4 @5 Gap(Some((4, 5)))"]);
}

#[test]
fn what_is_too_old_is_not_replayed() {
    let (mut desk, epoch) = room(100);
    desk.at(61_100);
    since(&mut desk, 2, 3, epoch, 2);
    // Positions 1 and 2 are 60 s old and more, 3 is not.
    desk.at(61_160);
    since(&mut desk, 3, 3, epoch, 2);
    assert_eq!(desk.lines(2)[0], "joined r2 h1 #1 me 2 @2 Recovered");
    assert_eq!(desk.lines(3)[0], "joined r2 h1 #1 me 3 @3 Gap(Some((3, 3)))");
}

#[test]
fn a_replay_waits_for_a_slow_receiver_and_what_is_let_go_of_meanwhile_is_a_gap() {
    let mut desk = Desk::with(|limits, class| {
        limits.low_water = 1024;
        class.history = bounds(4);
    });
    desk.run("1 join");
    let Seen::Joined { epoch, .. } = desk.seen(1)[0] else { panic!("not joined") };
    let long = "x".repeat(600);
    desk.run(&format!("tick, 1 say {long}, tick, 1 say {long}, tick, 1 say {long}, tick, 2 stall"));
    since(&mut desk, 2, 3, Epoch(epoch), 0);
    let positions = |desk: &mut Desk| -> Vec<String> {
        desk.lines(2).iter().map(|line| line.split_once(':').map_or(&line[..], |(head, _)| head).to_owned()).collect()
    };
    assert_eq!(
        positions(&mut desk),
        ["joined r2 h1 #1 me 2 @0 Recovered", "presence #1 @1 t1", "events #1 @2 t2", "events #1 @3 t3"]
    );
    // Its own coming is position 5; 4 to 6 are let go of.
    desk.run("tick, 1 say a, tick, 1 say b, tick, 1 say c, tick, 1 say d, tick, tend");
    assert_eq!(positions(&mut desk), [""; 0]);
    desk.run("2 drain, tend");
    assert_eq!(
        positions(&mut desk),
        [
            "gap #1 4..5",
            "events #1 @6 t6",
            "events #1 @7 t7",
            "events #1 @8 t8",
            "events #1 @9 t9",
            "snapshot #1 @9 t9"
        ]
    );
    desk.run("1 say e, tick");
    assert_eq!(positions(&mut desk), ["events #1 @10 t10"]);
}

/// One batch can be longer than what batches may take of an outbox: thousands leave in one tick.
#[test]
fn a_batch_that_fits_no_outbox_is_left_out_of_a_replay_too() {
    let mut desk = Desk::with(|limits, class| {
        limits.outbox_frames = 16;
        limits.max_frame = 100;
        class.history = bounds(100);
    });
    desk.run("1 join");
    let Seen::Joined { epoch, .. } = desk.seen(1)[0] else { panic!("not joined") };
    desk.run("tick");
    (0..16).for_each(|_| desk.run(&format!("1 say {}", "x".repeat(70))));
    desk.run("tick, 1 say a, tick, 2 stall");
    since(&mut desk, 2, 3, Epoch(epoch), 1);
    desk.check(
        2,
        &["joined r2 h1 #1 me 2 @1 Recovered", "gap #1 2..2", r#"events #1 @3 t3: 1="a""#, "snapshot #1 @3 t3:"],
    );
}

#[test]
fn a_batch_that_fits_no_more_for_now_waits() {
    let mut desk = Desk::with(|limits, class| {
        limits.outbox_frames = 16;
        limits.max_frame = 100;
        class.history = bounds(100);
    });
    desk.run("1 join");
    let Seen::Joined { epoch, .. } = desk.seen(1)[0] else { panic!("not joined") };
    desk.run("tick");
    (0..6).for_each(|_| desk.run("1 say a, tick"));
    (0..6).for_each(|_| desk.run(&format!("1 say {}", "x".repeat(70))));
    desk.run("tick, 2 stall");
    since(&mut desk, 2, 3, Epoch(epoch), 1);
    // JOINED and six more; batches may have twelve, and the next has six.
    let lines = desk.lines(2);
    assert_eq!(lines.len(), 7, "{lines:?}");
    desk.run("tend");
    assert_eq!(desk.lines(2).len(), 0);
    desk.run("2 drain 0, tend");
    let lines = desk.lines(2);
    assert!(lines[..6].iter().all(|line| line.starts_with("events #1 @8")), "{lines:?}");
}

#[test]
fn a_number_is_not_used_again_while_history_names_it() {
    let mut desk = Desk::with(|_, class| class.history = bounds(3));
    desk.run("1 join, 2 join, tick, 2 leave, tick, 1 say a, tick, at 40000, 3 join");
    let number = |desk: &mut Desk, session| match desk.seen(session)[0] {
        Seen::Joined { member, .. } => member,
        ref other => panic!("not joined: {other:?}"),
    };
    assert_eq!(number(&mut desk, 3), 3, "position 2 tells that 2 has left");
    // Position 4 tells of 3; 5 makes history forget 2.
    desk.run("tick, 1 say b, tick, 4 join");
    assert_eq!(number(&mut desk, 4), 2);
}
