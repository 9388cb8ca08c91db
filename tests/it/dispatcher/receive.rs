//! Receiving more or less of a room (PROTOCOL 6.11).

use super::Desk;

/// Member 1 receives, member 2 has the values 0 to 3.
fn two() -> Desk {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, 2 set k0 a, tick");
    desk.skip();
    desk
}

#[test]
fn events_only_leaves_the_values_out_and_everything_again_brings_a_gap_and_a_snapshot() {
    let mut desk = two();
    desk.run("1 receive 1, 2 say a, 2 set k0 b, tick, 2 set k0 c, tick");
    desk.check(1, &["done r3", r#"events #1 @2 t2: 2="a""#]);
    assert_eq!(desk.dispatcher.deadline(), None);
    desk.run("1 receive 0");
    desk.check(1, &["done r3", "gap #1 3..2", r#"snapshot #1 @2 t3: 2k0="c""#]);
    desk.run("2 set k0 d, tick");
    desk.check(1, &[r#"values #1 @2 t4: 2k0="d""#]);
}

#[test]
fn a_pause_is_silent_and_ends_with_a_gap_and_a_snapshot() {
    for (what, behind) in [(0, true), (1, false)] {
        let mut desk = two();
        desk.run("1 receive 2, 2 say a, 2 set k0 b, tick, 2 say b, tick, 2 tell 1 psst, tick");
        desk.check(1, &["done r3", r#"direct #1 @1 t4: 2a0="psst""#]);
        assert_eq!(desk.dispatcher.deadline(), None, "nobody looks after who wants nothing");
        desk.run(&format!("1 receive {what}"));
        desk.check(1, &["done r3", "gap #1 2..3", r#"snapshot #1 @3 t4: 2k0="b""#]);
        desk.run("2 say c, 2 set k0 d, tick");
        let lines = desk.lines(1);
        assert_eq!((&lines[0][..], lines.len()), (r#"events #1 @4 t5: 2="c""#, if behind { 2 } else { 1 }));
    }
}

#[test]
fn a_pause_without_a_batch_ends_with_a_gap_of_nothing() {
    let mut desk = two();
    desk.run("1 receive 2, 2 set k0 b, tick, 1 receive 0");
    desk.check(1, &["done r3", "done r3", "gap #1 2..1", r#"snapshot #1 @1 t2: 2k0="b""#]);
}

#[test]
fn what_is_received_already_is_only_acknowledged() {
    let mut desk = two();
    desk.run("1 receive 0, 1 receive 1, 1 receive 1, 1 receive 2, 1 receive 2");
    desk.check(1, &["done r3"; 5]);
    desk.run("2 say a, tick, 1 receive 0");
    assert_eq!(desk.lines(1)[..2], ["done r3", "gap #1 2..2"]);
}

#[test]
fn who_was_behind_and_wants_events_only_is_not_looked_after() {
    let mut desk = two();
    desk.run("1 stall 70000, 2 set k0 b, tick, 1 receive 1, 1 drain, tend");
    desk.check(1, &["done r3"]);
    assert_eq!(desk.dispatcher.deadline(), None);
    desk.run("1 receive 0");
    desk.check(1, &["done r3", "gap #1 2..1", r#"snapshot #1 @1 t2: 2k0="b""#]);
}

#[test]
fn who_lost_batches_and_pauses_is_told_of_all_of_them_together() {
    let mut desk = two();
    desk.run("1 stall 196608, 2 say a, tick, 1 receive 2, 2 say b, tick, 1 drain, tend");
    desk.check(1, &["done r3"]);
    desk.run("1 receive 1");
    assert_eq!(desk.lines(1)[..2], ["done r3", "gap #1 2..3"]);
}

#[test]
fn a_slow_receiver_that_wants_everything_again_waits_until_it_has_drained() {
    let mut desk = two();
    desk.run("1 receive 1, 1 stall 40000, 2 set k0 b, tick, 1 receive 0, tend");
    desk.check(1, &["done r3", "done r3"]);
    desk.run("2 say a, 2 set k0 c, tick, 1 drain, tend");
    desk.check(1, &["gap #1 2..2", r#"snapshot #1 @2 t3: 2k0="c""#]);
}

#[test]
fn who_asked_for_the_members_gets_them_behind_each_gap() {
    let mut desk = Desk::new();
    desk.run("1 join room prm, tick, 1 receive 2, 2 join, tick");
    desk.skip();
    desk.run("1 receive 0");
    desk.check(1, &["done r3", "gap #1 2..2", r#"members #1 @2 t2: 1 here "" 2 here """#, "snapshot #1 @2 t2:"]);
}

#[test]
fn who_did_not_join_to_receive_cannot_ask_for_more_or_less() {
    let mut desk = Desk::new();
    desk.run("1 join room p, tick");
    desk.skip();
    for what in 0..=2 {
        desk.run(&format!("1 receive {what}"));
        desk.check(1, &["refused r3 224"]);
    }
    desk.run("2 receive 0");
    desk.check(2, &["refused r3 232"]);
}
