//! Members whose connection is gone and comes back (PROTOCOL 12.2, 8.5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tickwire::command::{Command, JoinCommand, SessionId};
use tickwire::name::RoomName;
use tickwire::rights::{Authorise, Rights};
use tickwire::time::Time;
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, MemberNumber, Reason, RequestId};

use super::Desk;

/// Members 1 and 2, who has a value.
fn two() -> Desk {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, 2 show red, 2 set k0 a, tick");
    desk.skip();
    desk
}

#[test]
fn a_member_is_away_once_keeps_its_values_and_comes_back_with_its_number() {
    let mut desk = two();
    desk.run("2 away, tick, tick, 1 say a, tick");
    desk.check(1, &["presence #1 @2 t2: 2 away", r#"events #1 @3 t4: 1="a""#]);
    desk.check(2, &[]);
    desk.run("3 join room prm");
    let lines = desk.lines(3);
    assert_eq!(lines[1], r#"members #1 @3 t4: 1 here "" 2 here "red" 2 away"#);
    assert_eq!(lines[2], r#"snapshot #1 @3 t4: 2k0="a""#);
    desk.run("2 back");
    desk.check(2, &["joined r2 h1 #1 me 2 @3 Fresh", r#"snapshot #1 @3 t4: 2k0="a""#]);
    desk.run("tick");
    desk.check(1, &[r#"presence #1 @4 t5: 3 here "" 2 here "red""#]);
    desk.run("1 page 0");
    desk.check(1, &[r#"page r3 h1 @4 next 0: 1 here "" 2 here "red" 3 here """#]);
}

#[test]
fn away_and_back_in_one_tick_is_told_as_here() {
    let mut desk = two();
    desk.run("2 away, 2 back, tick, tick");
    desk.check(1, &[r#"presence #1 @2 t2: 2 here "red""#]);
    desk.run("2 away, 2 back, 2 away, tick");
    desk.check(1, &["presence #1 @3 t4: 2 away"]);
    desk.run("2 back, 2 away, tick");
    let lines = desk.lines(1);
    assert!(lines.len() == 1 && lines[0].ends_with("2 away"), "{lines:?}");
}

#[test]
fn each_member_is_told_of_once_whatever_happened_in_the_tick() {
    let mut desk = two();
    desk.run("2 away, 2 back, 2 leave, tick");
    desk.check(1, &[r#"values #1 @2 t2: 2k0="""#, "presence #1 @2 t2: 2 left 200"]);
    desk.run("3 join, tick, 3 away, 3 back, 3 show blue, 3 away, tick");
    desk.check(1, &[r#"presence #1 @3 t3: 3 here """#, r#"presence #1 @4 t4: 3 here "blue" 3 away"#]);
    desk.run("4 join, 4 away, tick");
    desk.check(1, &[r#"presence #1 @5 t5: 4 here "" 4 away"#]);
}

#[test]
fn who_does_not_come_back_leaves_with_its_values() {
    let mut desk = two();
    desk.run("2 away, tick, 2 end, tick");
    desk.check(1, &["presence #1 @2 t2: 2 away", r#"values #1 @3 t3: 2k0="""#, "presence #1 @3 t3: 2 left 3"]);
    // Its membership has ended: it is a join like any other.
    desk.run("2 back");
    desk.check(2, &["joined r2 h1 #1 me 3 @3 Fresh", "snapshot #1 @3 t3:"]);
}

#[test]
fn a_room_is_silent_for_who_is_away_and_data_and_directs_go_through() {
    let mut desk = two();
    desk.run("2 away, tick, 2 say a, 2 set k0 b, 1 tell 2 psst, tick");
    desk.check(1, &["presence #1 @2 t2: 2 away", r#"events #1 @3 t3: 2="a""#, r#"values #1 @3 t3: 2k0="b""#]);
    desk.check(2, &[r#"direct #1 @1 t3: 1a0="psst""#]);
    desk.run("2 receive 0");
    desk.check(2, &["refused r3 224"]);
}

#[test]
fn a_handle_comes_back_to_its_own_room_only() {
    let mut desk = two();
    desk.run("2 away, 2 back other");
    desk.check(2, &["refused r2 231"]);
    desk.run("3 join other, 2 back other");
    desk.check(2, &["refused r2 231"]);
}

#[test]
fn who_may_not_come_back_is_a_member_no_more() {
    let allowed = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&allowed);
    let authorise = Authorise::new(move |asking| {
        let may = asking.subject.is_empty() || asked.load(Ordering::Relaxed);
        if may { Ok(Rights::ALL) } else { Err(Reason::NOT_ALLOWED) }
    });
    let mut desk = Desk::with_rights(|_, _| {}, authorise);
    desk.run("1 join");
    desk.join_as(2, 1, "room", 3, |join| join.subject = b"two"[..].into());
    desk.run("tick, 2 away, tick");
    desk.skip();
    allowed.store(false, Ordering::Relaxed);
    let returning = |join: &mut JoinCommand| (join.subject, join.returning) = (b"two"[..].into(), true);
    desk.join_as(2, 1, "room", 3, returning);
    desk.check(2, &["refused r2 240"]);
    assert_eq!(desk.recorder.take_refusals(), [(2, Some(Handle(1)))], "its session frees the handle");
    desk.run("tick");
    desk.check(1, &["presence #1 @3 t3: 2 left 240"]);
    allowed.store(true, Ordering::Relaxed);
    desk.join_as(2, 1, "room", 3, returning);
    assert_eq!(desk.lines(2)[0], "joined r2 h1 #1 me 3 @3 Fresh");
}

#[test]
fn a_list_that_has_become_too_long_is_refused_to_who_comes_back_too() {
    let mut desk = Desk::with(|limits, _| limits.outbox_bytes = 200);
    desk.run("1 join, 2 join room prm, tick, 2 away");
    (10..40).for_each(|session| desk.run(&format!("{session} join")));
    desk.run("tick");
    desk.skip();
    desk.run("2 back room prm");
    desk.check(2, &["refused r2 223"]);
}

/// The member still has the outlet of the old connection.
#[test]
fn a_page_goes_to_the_connection_that_asks() {
    let mut desk = two();
    desk.run("2 away");
    let (request, handle, after) = (RequestId(3), Handle(1), MemberNumber(0));
    let now = Time::from_micros(desk.now * 1000);
    let page = Command::Members { request, handle, after };
    desk.dispatcher.handle_command(SessionId(2), &102, page, now, &mut desk.recorder);
    desk.check(102, &[r#"page r3 h1 @1 next 0: 1 here "" 2 here "red""#]);
    let mut join = JoinCommand::new(RequestId(2), Handle(1), RoomName::new(b"room").unwrap(), Mode::BOTH);
    join.returning = true;
    desk.dispatcher.handle_command(SessionId(2), &102, Command::Join(Box::new(join)), now, &mut desk.recorder);
    desk.skip();
    desk.run("1 say a, tick");
    assert_eq!((desk.lines(102).len(), desk.lines(2).len()), (2, 0), "batches go to the new one");
}
