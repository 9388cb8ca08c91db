//! Order inside and between batches, urgent messages and directs (PROTOCOL 8.3, 8.6, 11.1, 11.6).

use super::Desk;

/// Two members who have read everything so far, at position 1 and tick 1.
fn two() -> Desk {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, tick");
    desk.skip();
    desk
}

#[test]
fn a_batch_is_joins_events_values_leaves() {
    let mut desk = two();
    desk.run("2 set k0 a, 2 say b, 3 join, 2 leave, 1 say c, tick");
    desk.check(
        1,
        &[
            r#"presence #1 @2 t2 more: 3 here """#,
            r#"events #1 @2 t2 more: 2="b" 1="c""#,
            r#"presence #1 @2 t2: 2 left 200"#,
        ],
    );
    desk.run("3 set k1 d, 3 say e, 3 leave, tick");
    desk.check(1, &[r#"events #1 @3 t3 more: 3="e""#, r#"presence #1 @3 t3: 3 left 200"#]);
    desk.run("1 say f, 1 set r2 g, 4 join, 4 leave, tick");
    desk.check(
        1,
        &[
            r#"presence #1 @4 t4 more: 4 here """#,
            r#"events #1 @4 t4 more: 1="f""#,
            r#"values #1 @4 t4: 1r2="g""#,
            r#"presence #1 @4 t4: 4 left 200"#,
        ],
    );
}

#[test]
fn every_sender_keeps_its_order_and_hears_itself() {
    let mut desk = two();
    desk.run("1 say a, 2 say b, 1 say c, 2 say d, 1 set k9 e, 1 set k8 f, tick");
    let batch = [r#"events #1 @2 t2: 1="a" 2="b" 1="c" 2="d""#, r#"values #1 @2 t2: 1k9="e" 1k8="f""#];
    desk.check(1, &batch);
    desk.check(2, &batch);
}

#[test]
fn an_urgent_message_flushes_all_that_was_gathered_before_it() {
    let mut desk = two();
    desk.run("1 say a, 2 set k0 b, 1 say! c");
    let early = [r#"events #1 @2 t1 urgent: 1="a" 1="c""#, r#"values #1 @2 t1 urgent: 2k0="b""#];
    desk.check(1, &early);
    desk.check(2, &early);
    desk.run("tick");
    desk.check(1, &[]);
    desk.run("1 say d, tick");
    desk.check(2, &[r#"events #1 @3 t3: 1="d""#]);
}

#[test]
fn a_room_flushes_early_four_times_a_tick_and_then_waits() {
    let mut desk = two();
    desk.run("1 say! a, 1 say! b, 2 say! c, 1 set! k0 d, 1 say! e, 1 say! f");
    assert_eq!(desk.seen(2).len(), 4);
    desk.run("tick");
    desk.check(2, &[r#"events #1 @5 t2: 1="e" 1="f""#]);
    desk.run("1 say! g");
    desk.check(2, &[r#"events #1 @6 t2 urgent: 1="g""#]);
}

#[test]
fn the_tick_keeps_its_schedule_after_an_early_flush() {
    let mut desk = two();
    desk.run("at 1090, 1 say! a, 1 say b, at 1099");
    assert_eq!(desk.seen(1).len(), 1);
    desk.run("at 1100");
    desk.check(1, &[r#"events #1 @3 t2: 1="b""#]);
}

#[test]
fn directs_leave_after_the_batch_and_only_to_one() {
    let mut desk = two();
    desk.run("1 tell 2 psst, 1 say a, 1 set k0 b, tick");
    let batch = [r#"events #1 @2 t2: 1="a""#, r#"values #1 @2 t2: 1k0="b""#];
    desk.check(1, &batch);
    desk.check(2, &[batch[0], batch[1], r#"direct #1 @1 t2: 1a0="psst""#]);
    desk.run("1 tell! 2 now");
    desk.check(2, &[r#"direct #1 @2 t2 urgent: 1a0="now""#]);
    desk.check(1, &[]);
}

#[test]
fn an_urgent_direct_that_had_to_wait_did_not_leave_early() {
    let mut desk = two();
    desk.run("1 say! a, 1 say! b, 1 say! c, 1 say! d");
    desk.skip();
    desk.run("1 tell! 2 late, tick");
    desk.check(2, &[r#"direct #1 @1 t2: 1a0="late""#]);
}

#[test]
fn a_direct_that_waited_goes_with_an_early_flush_and_is_not_urgent_itself() {
    let mut desk = two();
    desk.run("1 tell 2 psst, 1 say! a");
    desk.check(2, &[r#"events #1 @2 t1 urgent: 1="a""#, r#"direct #1 @1 t1: 1a0="psst""#]);
}

#[test]
fn a_direct_whose_receiver_has_left_is_refused() {
    let mut desk = two();
    desk.run("1 tell 3 a");
    desk.check(1, &["refused n1 238"]);
    desk.run("1 tell 0 a");
    desk.check(1, &["refused n2 238"]);
    desk.run("1 tell 2 a, 2 leave, tick");
    desk.check(1, &["presence #1 @2 t2: 2 left 200", "refused n3 238"]);
    assert_eq!(desk.recorder.take_refusals(), [(1, None); 3]);
    desk.check(2, &["left r3 h1 200"]);
}

#[test]
fn a_direct_whose_sender_has_left_still_comes() {
    let mut desk = two();
    desk.run("1 tell 2 bye, 1 leave, tick");
    desk.check(2, &["presence #1 @2 t2: 1 left 200", r#"direct #1 @1 t2: 1a0="bye""#]);
}

#[test]
fn a_member_that_only_publishes_gets_directs_and_no_batches() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join room p, tick");
    desk.check(2, &["joined r2 h1 #1 me 2 @0 Fresh"]);
    desk.skip();
    desk.run("2 say a, 2 set k0 b, 1 tell 2 c, tick");
    desk.check(2, &[r#"direct #1 @1 t2: 1a0="c""#]);
    desk.check(1, &[r#"events #1 @2 t2: 2="a""#, r#"values #1 @2 t2: 2k0="b""#]);
}

#[test]
fn positions_are_consecutive_and_values_take_none() {
    let mut desk = two();
    desk.run("1 set k0 a, tick");
    desk.check(2, &[r#"values #1 @1 t2: 1k0="a""#]);
    desk.run("1 say b, 1 set k0 c, tick, tick");
    desk.check(2, &[r#"events #1 @2 t3: 1="b""#, r#"values #1 @2 t3: 1k0="c""#]);
    desk.run("1 set k0 d, tick, 1 say e, tick");
    desk.check(2, &[r#"values #1 @2 t5: 1k0="d""#, r#"events #1 @3 t6: 1="e""#]);
}

#[test]
fn after_left_nothing_of_the_room_follows() {
    let mut desk = two();
    desk.run("1 say a, 2 tell 1 b, 1 leave, 2 say! c, tick");
    desk.check(1, &["left r3 h1 200"]);
}
