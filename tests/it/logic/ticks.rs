//! When `flush` is called, and how much time it is told to have passed.

use std::time::Duration;

use tickwire::class::RoomClasses;
use tickwire::dispatcher::{Dispatcher, DispatcherConfig};
use tickwire::limits::Limits;
use tickwire::logic::{Heard, Logics, RoomLogic};
use tickwire::name::Pattern;
use tickwire::time::Time;
use tickwire::wire::MemberNumber;

use super::{check, room, room_with};
use crate::dispatcher::Desk;

#[test]
fn logic_that_wants_ticks_is_called_at_each_while_somebody_is_there() {
    let (mut room, calls) = room();
    let anna = room.join("anna", b"ticks on").unwrap();
    room.advance(Duration::from_millis(200));
    check(&calls, &[r#"joined 1 "ticks on" of 1"#, "flush 1 +1", "flush 2 +1", "flush 3 +1", "flush 4 +1"]);
    room.leave(anna).unwrap();
    room.advance(Duration::from_millis(500));
    check(&calls, &["left 1 200 of 0", "flush 5 +1", "idle 0"]);
}

#[test]
fn silent_ticks_send_nothing_and_take_no_position() {
    struct Ticking;
    impl RoomLogic for Ticking {}
    let mut desk = Desk::new();
    let mut config = DispatcherConfig::new(Limits::default(), RoomClasses::default(), 1);
    config.logics = Logics::none().with(Pattern::new("*").unwrap(), |_| Ticking);
    desk.dispatcher = Dispatcher::new(config);
    desk.run("1 join, tick");
    desk.skip();
    for _ in 0..100 {
        assert_eq!(desk.dispatcher.deadline().map(Time::micros), Some((desk.now + 50) * 1000));
        desk.run("tick");
    }
    desk.check(1, &[]);
    desk.run("1 say after, tick");
    desk.check(1, &[r#"events #1 @2 t102: 1="after""#]);
}

#[test]
fn a_stall_is_one_call_with_the_ticks_that_have_passed() {
    let (mut room, calls) = room();
    room.join("anna", b"ticks on").unwrap();
    room.tick();
    room.stall(Duration::from_secs(5));
    room.tick();
    check(&calls, &[r#"joined 1 "ticks on" of 1"#, "flush 1 +1", "flush 101 +100", "flush 102 +1"]);
}

#[test]
fn logic_that_wants_no_ticks_is_called_where_something_has_come() {
    let (mut room, calls) = room();
    let anna = room.join("anna", b"").unwrap();
    room.advance(Duration::from_secs(1));
    room.event(anna, b"swallow").unwrap();
    room.advance(Duration::from_secs(1));
    check(&calls, &[r#"joined 1 "" of 1"#, "flush 1 +1", r#"message 1 Event "swallow" t20"#, "flush 21 +20"]);
}

#[test]
fn ticks_can_be_wanted_for_a_while() {
    let (mut room, calls) = room();
    let anna = room.join("anna", b"").unwrap();
    room.advance(Duration::from_millis(100));
    room.event(anna, b"ticks on").unwrap();
    room.advance(Duration::from_millis(100));
    room.event(anna, b"ticks off").unwrap();
    room.advance(Duration::from_secs(1));
    let flushes: Vec<String> = calls.try_iter().filter(|call| call.starts_with("flush")).collect();
    assert_eq!(flushes, ["flush 1 +1", "flush 3 +2", "flush 4 +1", "flush 5 +1"]);
}

#[test]
fn time_in_an_empty_room_does_not_count() {
    let (mut room, calls) = room();
    let anna = room.join("anna", b"ticks on").unwrap();
    room.leave(anna).unwrap();
    room.advance(Duration::from_secs(10));
    calls.try_iter().count();
    room.join("bert", b"ticks on").unwrap();
    room.tick();
    check(&calls, &[r#"joined 2 "ticks on" of 1"#, "flush 201 +1"]);
}

#[test]
fn a_room_of_period_zero_flushes_when_something_has_come() {
    let (mut room, calls) = room_with(|_, class| class.period = Duration::ZERO);
    let anna = room.join("anna", b"ticks on").unwrap();
    room.advance(Duration::from_secs(1));
    room.event(anna, b"say now").unwrap();
    assert_eq!(room.heard(anna).last(), Some(&Heard::event(MemberNumber::ROOM, "now")));
    check(
        &calls,
        &[r#"joined 1 "ticks on" of 1"#, "flush 0 +0", r#"message 1 Event "say now" t1000"#, "flush 1000 +1000"],
    );
}
