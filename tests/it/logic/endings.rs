//! How memberships and rooms end by their logic, and that its failing costs its room alone.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use tickwire::class::{RoomClass, RoomClasses};
use tickwire::command::{Command, JoinCommand, SessionId};
use tickwire::dispatcher::{Dispatcher, DispatcherConfig};
use tickwire::limits::Limits;
use tickwire::logic::{Context, Heard, Logics, RoomLogic, Tick};
use tickwire::name::{Pattern, RoomName};
use tickwire::rights::{Authorise, Rights};
use tickwire::time::Time;
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, MemberNumber, Reason, RequestId, Target};

use super::{OWN, PLACES, Probe, check, room};
use crate::dispatcher::Desk;

const ROOM: MemberNumber = MemberNumber::ROOM;

#[test]
fn a_kicked_member_is_told_and_the_others_learn_it() {
    let (mut room, calls) = room();
    let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
    room.tick();
    room.skip();
    calls.try_iter().count();
    room.event(anna, b"kick 2").unwrap();
    assert_eq!(room.heard(bert), [Heard::Left(OWN)]);
    assert_eq!(room.event(bert, b"hello?"), Err(Reason::NOT_JOINED));
    room.tick();
    assert_eq!(room.heard(anna), [Heard::Gone { member: bert, reason: OWN }]);
    assert_eq!(room.heard(bert), []);
    check(&calls, &[r#"message 1 Event "kick 2" t1"#, "left 2 960 of 1", "flush 2 +1"]);
}

#[test]
fn a_member_can_be_kicked_by_its_own_join() {
    let (mut room, _calls) = room();
    let anna = room.join("anna", b"kick 1").unwrap();
    let heard = room.heard(anna);
    assert_eq!((heard.len(), heard.last()), (3, Some(&Heard::Left(OWN))), "JOINED, the snapshot, LEFT: {heard:?}");
    room.tick();
    assert!(room.is_open(), "it lingers");
}

#[test]
fn a_closed_room_sends_what_it_has_and_its_next_life_is_new() {
    let (mut room, calls) = room();
    let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
    room.tick();
    room.skip();
    room.event(bert, b"hello").unwrap();
    room.event(anna, b"close").unwrap();
    let all = [Heard::event(bert, "hello"), Heard::event(ROOM, "the end"), Heard::Left(Reason::ROOM_CLOSED)];
    assert_eq!(room.heard(anna), all);
    assert_eq!(room.heard(bert), all);
    assert!(!room.is_open());
    room.tick();
    calls.try_iter().count();
    assert_eq!(room.join("carl", b""), Ok(MemberNumber(1)), "a new life");
    check(&calls, &[r#"joined 1 "" of 1"#]);
}

#[test]
fn an_idle_room_can_be_closed_at_once() {
    let (mut room, calls) = room();
    let anna = room.join("anna", b"idle").unwrap();
    room.leave(anna).unwrap();
    assert!(room.is_open());
    room.tick();
    assert!(!room.is_open());
    check(&calls, &[r#"joined 1 "idle" of 1"#, "left 1 200 of 0", "flush 1 +1", "idle 0"]);
}

#[test]
fn what_logic_orders_when_a_session_ends_is_done_next() {
    let (mut room, _calls) = room();
    let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
    room.skip();
    room.end(bert, Reason::PONG_TIMEOUT).unwrap();
    assert_eq!(room.heard(anna).last(), Some(&Heard::Left(OWN)));
    assert!(!room.is_open());
}

/// Two rooms on one dispatcher, one of which has a probe that panics at one place. Sessions 1 and 2 are
/// in both; their handle of "bad" is 1, of "good" 2.
fn two_rooms(place: &'static str) -> Desk {
    two_rooms_reporting(place).0
}

fn two_rooms_reporting(place: &'static str) -> (Desk, Receiver<String>) {
    let (make, reports) = Probe::new();
    let good = make.clone();
    let mut config = DispatcherConfig::new(Limits::default(), classes(), 1);
    config.logics = Logics::none()
        .with(Pattern::new("bad").unwrap(), move |_| make(place))
        .with(Pattern::new("good").unwrap(), move |_| good(""));
    let mut desk = Desk::new();
    desk.dispatcher = Dispatcher::new(config);
    (desk, reports)
}

fn classes() -> RoomClasses {
    RoomClasses { default: RoomClass::default(), by_pattern: Vec::new() }
}

fn join(desk: &mut Desk, session: u64, handle: u64, room: &str, returning: bool) {
    let name = RoomName::new(room.as_bytes()).unwrap();
    let mut join = JoinCommand::new(RequestId(2), Handle(handle), name, Mode(3));
    join.returning = returning;
    desk.ask(session, Command::Join(Box::new(join)));
}

/// What makes the probe panic.
fn provoke(desk: &mut Desk, place: &str) {
    let now = Time::from_micros(desk.now * 1000);
    match place {
        "joined" | "ticks" | "drop" => {}
        "left" => desk.ask(2, Command::Leave { request: RequestId(3), handle: Handle(1) }),
        "away" => desk.dispatcher.handle_away(SessionId(2), now),
        "back" => {
            desk.dispatcher.handle_away(SessionId(2), now);
            join(desk, 2, 1, "bad", true);
            join(desk, 2, 2, "good", true);
        }
        "message" => desk.publish(2, Target::Event, false, b"hello"),
        "request" => desk.publish(2, Target::Direct(ROOM), false, b"hello"),
        "flush" => {}
        "idle" => [1, 2].into_iter().for_each(|session| {
            desk.ask(session, Command::Leave { request: RequestId(3), handle: Handle(1) });
        }),
        _ => panic!("no place: {place}"),
    }
    desk.run("tick, drained, tick");
}

#[test]
fn a_panic_closes_its_room_and_nothing_else() {
    for place in PLACES.into_iter().filter(|place| *place != "drop") {
        let mut desk = two_rooms(place);
        for session in [1, 2] {
            join(&mut desk, session, 2, "good", false);
            join(&mut desk, session, 1, "bad", false);
        }
        provoke(&mut desk, place);
        let panics = desk.dispatcher.counters().logic_panics;
        // A room that fails at its joins fails with each of them.
        let expected = if ["joined", "ticks"].contains(&place) { 2 } else { 1 };
        assert_eq!(panics, expected, "{place}");
        assert_eq!(desk.dispatcher.room_count(), 1, "{place}: the room is forgotten at once");
        let released: Vec<_> = desk.recorder.take_released();
        let lefts = |desk: &mut Desk, session| {
            let told: Vec<String> = desk.seen(session).iter().map(ToString::to_string).collect();
            told.into_iter()
                .filter(|line| line.starts_with("left r0") || line.starts_with("refused r2"))
                .collect::<Vec<_>>()
        };
        let told = [lefts(&mut desk, 1), lefts(&mut desk, 2)];
        match place {
            "joined" | "ticks" => {
                assert_eq!((told, released), ([vec!["refused r2 6".into()], vec!["refused r2 6".into()]], vec![]));
            }
            "idle" => assert_eq!((told, released), ([vec![], vec![]], vec![]), "nobody was there"),
            "left" => assert_eq!((told, released), ([vec!["left r0 h1 6".into()], vec![]], vec![(1, Handle(1))])),
            _ => {
                let left = vec!["left r0 h1 6".to_owned()];
                assert_eq!((told, released), ([left.clone(), left], vec![(1, Handle(1)), (2, Handle(1))]), "{place}");
            }
        }
        // The other room goes on, and its members have kept it.
        let number = 99;
        let publish = tickwire::command::Publish {
            handle: Handle(2),
            number,
            target: Target::Event,
            urgent: false,
            acknowledge: false,
            compressed: false,
            payload: bytes::Bytes::from_static(b"still here"),
        };
        desk.skip();
        desk.ask(1, Command::Publish(publish));
        desk.run("tick");
        for session in [1, 2].into_iter().filter(|session| place != "away" || *session == 1) {
            let told: Vec<String> = desk.seen(session).iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|line| line.ends_with(r#"1="still here""#)), "{place} {session}: {told:?}");
        }
        // And the handle can be used for the next life of the name.
        if !["joined", "ticks"].contains(&place) {
            desk.skip();
            join(&mut desk, 1, 1, "bad", false);
            let told = desk.seen(1)[0].to_string();
            assert!(told.starts_with("joined r2 h1") && told.contains("me 1 @0"), "{place}: {told}");
        }
    }
}

#[test]
fn a_panic_when_logic_is_let_go_of_harms_nobody() {
    let mut desk = two_rooms("drop");
    join(&mut desk, 1, 1, "bad", false);
    join(&mut desk, 1, 2, "good", false);
    desk.ask(1, Command::Leave { request: RequestId(3), handle: Handle(1) });
    desk.run("tick, at 100000");
    assert_eq!(desk.dispatcher.room_count(), 1);
}

#[test]
fn a_factory_that_panics_refuses_the_join() {
    let mut config = DispatcherConfig::new(Limits::default(), classes(), 1);
    let make = |name: &RoomName| -> tickwire::logic::Relay { panic!("no rules for {name}") };
    config.logics = Logics::none().with(Pattern::new("bad").unwrap(), make);
    let mut desk = Desk::new();
    desk.dispatcher = Dispatcher::new(config);
    desk.run("1 join bad");
    desk.check(1, &["refused r2 6"]);
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.counters().logic_panics), (0, 1));
    desk.run("1 join other");
    assert!(desk.seen(1)[0].to_string().starts_with("joined"));
}

#[test]
fn what_was_accepted_before_a_panic_is_sent() {
    let mut desk = two_rooms("request");
    join(&mut desk, 1, 1, "bad", false);
    desk.run("tick");
    desk.skip();
    desk.publish(1, Target::Event, false, b"hello");
    desk.publish(1, Target::Direct(ROOM), false, b"boom");
    desk.check(1, &[r#"events #1 @2 t1: 1="hello""#, "left r0 h1 6", "refused n2 6"]);
}

#[test]
fn a_room_in_the_place_of_a_closed_one_does_not_inherit_its_tick() {
    let (mut desk, reports) = two_rooms_reporting("message");
    join(&mut desk, 1, 1, "bad", false);
    // Put down for its tick, closed before it, and its place taken by another room.
    desk.publish(1, Target::Event, false, b"boom");
    join(&mut desk, 1, 1, "good", false);
    reports.try_iter().count();
    desk.run("tick");
    check(&reports, &["flush 1 +1"]);
    desk.run("tick, tick");
    check(&reports, &[]);
}

/// Removes member 2 in the first flush that comes after it is there.
struct Bouncer;

impl RoomLogic for Bouncer {
    fn flush(&mut self, _tick: Tick, room: &mut Context<'_>) {
        if room.members().any(|member| member.number == MemberNumber(2)) {
            room.kick(MemberNumber(2), OWN);
        }
    }
}

#[test]
fn a_room_of_period_zero_goes_on_after_a_member_was_removed_in_its_flush() {
    let mut config = DispatcherConfig::new(Limits::default(), RoomClasses::default(), 1);
    config.classes.default.period = Duration::ZERO;
    config.logics = Logics::default().with(Pattern::new("room").unwrap(), |_| Bouncer);
    let mut desk = Desk::new();
    desk.dispatcher = Dispatcher::new(config);
    desk.run("1 join, 2 join, drained, drained");
    desk.skip();
    desk.run("1 say a, drained");
    assert!(desk.seen(1).iter().any(|seen| seen.to_string().contains("events")), "the room still flushes");
}

#[test]
fn a_panic_of_who_decides_of_joins_refuses_the_join_and_nothing_else() {
    let mut config = DispatcherConfig::new(Limits::default(), RoomClasses::default(), 1);
    config.authorise = Authorise::new(|asking| {
        assert_ne!(asking.room.as_str(), "bad", "told to");
        Ok(Rights::ALL)
    });
    let mut desk = Desk::new();
    desk.dispatcher = Dispatcher::new(config);
    desk.run("1 join bad");
    desk.check(1, &["refused r2 6"]);
    desk.run("1 join good, tick");
    assert_eq!((desk.dispatcher.counters().logic_panics, desk.seen(1).is_empty()), (1, false));
}
