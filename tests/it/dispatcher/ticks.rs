//! Ticks come from the clock (PROTOCOL 1, 11.6).

use std::time::Duration;

use tickwire::class::{PresenceMode, RoomClass, RoomClasses};
use tickwire::dispatcher::{Dispatcher, DispatcherConfig};
use tickwire::limits::Limits;
use tickwire::name::Pattern;
use tickwire::time::Time;
use tickwire::wire::Target;

use super::Desk;

#[test]
fn a_silent_room_sends_nothing_and_sets_no_timer() {
    let mut desk = Desk::new();
    desk.run("1 join, tick");
    desk.skip();
    assert_eq!(desk.dispatcher.deadline(), None);
    desk.run("tick, tick, at 60000");
    desk.check(1, &[]);
}

#[test]
fn a_stall_of_five_seconds_gives_one_flush_with_the_tick_of_the_clock() {
    let mut desk = Desk::new();
    desk.run("1 join, tick");
    desk.skip();
    desk.run("1 say a, 1 say b, at 6120");
    desk.check(1, &[r#"events #1 @2 t102: 1="a" 1="b""#]);
    desk.run("1 say c");
    assert_eq!(desk.dispatcher.deadline(), Some(Time::from_micros(6_150_000)));
    desk.run("at 6149");
    desk.check(1, &[]);
    desk.run("at 6150");
    desk.check(1, &[r#"events #1 @3 t103: 1="c""#]);
}

/// Otherwise a flush that has once taken too long finds twice as much to send the next time, and takes too long again.
#[test]
fn what_comes_while_a_tick_is_written_does_not_wait_for_another_edge_than_the_one_that_has_passed() {
    let mut desk = Desk::new();
    desk.run("1 join, tick");
    desk.skip();
    desk.run("1 say a, at 1100, written 1160, 1 say b");
    desk.check(1, &[r#"events #1 @2 t2: 1="a""#]);
    desk.run("caught up");
    desk.check(1, &[r#"events #1 @3 t3: 1="b""#]);
    desk.run("written 1170, 1 say c, caught up, at 1199");
    desk.check(1, &[]);
    desk.run("at 1200");
    desk.check(1, &[r#"events #1 @4 t4: 1="c""#]);
}

#[test]
fn a_room_of_period_zero_flushes_when_its_input_is_drained() {
    let mut desk = Desk::with(|_, class| class.period = Duration::ZERO);
    desk.run("1 join, drained");
    desk.skip();
    desk.run("at 1007, 1 say a, 1 say b, at 1008");
    desk.check(1, &[]);
    desk.run("drained, drained");
    desk.check(1, &[r#"events #1 @2 t8: 1="a" 1="b""#]);
    desk.run("1 say! c, drained");
    desk.check(1, &[r#"events #1 @3 t8 urgent: 1="c""#]);
}

#[test]
fn rooms_of_one_period_flush_at_the_same_edges() {
    let mut desk = Desk::new();
    desk.run("at 1013, 1 join one, at 1044, 2 join two");
    assert_eq!(desk.dispatcher.deadline(), Some(Time::from_micros(1_050_000)));
    desk.skip();
    desk.run("at 1050");
    desk.check(1, &[r#"presence #1 @1 t1: 1 here """#]);
    desk.check(2, &[r#"presence #2 @1 t1: 1 here """#]);
}

#[test]
fn periods_from_5_ms_to_1_s_live_together_on_one_shard() {
    let periods = [5, 16, 50, 1000];
    let mut desk = Desk::new();
    let classes = periods.map(|period| {
        let mut class = RoomClass::default();
        class.period = Duration::from_millis(period);
        (Pattern::new(&format!("p{period}")).unwrap(), class)
    });
    let mut config = DispatcherConfig::new(Limits::default(), RoomClasses::default(), 1);
    config.classes.by_pattern = classes.into();
    desk.dispatcher = Dispatcher::new(config);
    for period in periods {
        desk.join(period, 1, &format!("p{period}"), 3, None);
    }
    desk.at(3000);
    desk.skip();
    // Every millisecond of two seconds everyone says something: each room sends at its own edges only.
    let mut flushes = [0; 4];
    for now in 3001..=5000 {
        for period in periods {
            desk.publish(period, Target::Event, false, b"x");
        }
        desk.at(now);
        for (period, count) in periods.into_iter().zip(&mut flushes) {
            let seen = desk.seen(period).len();
            assert!(seen == 0 || now % period == 0, "period {period} at {now}");
            *count += u64::from(seen > 0);
        }
    }
    assert_eq!(flushes, [400, 125, 40, 2]);
}

#[test]
fn joined_tells_when_the_current_tick_began() {
    use tickwire::wire::control::Command;
    use tickwire::wire::{Control, Sender, split_frame};
    let mut desk = Desk::new();
    desk.run("at 1013, 1 join, at 1234, 2 join");
    for (session, tick, tick_time) in [(1, 0, 1_000_000), (2, 4, 1_200_000)] {
        let frames = desk.recorder.take(session);
        let (frame, _) = split_frame(&frames[0], 16_384, Sender::Server).unwrap().unwrap();
        let Command::Joined(joined) = Control::decode(frame.payload).unwrap().command else { panic!("JOINED") };
        assert_eq!((joined.period, joined.tick, joined.tick_time), (50_000, tick, tick_time));
    }
}

#[test]
fn the_tick_on_the_wire_wraps_at_sixteen_bits() {
    let mut desk = Desk::with(|_, class| class.presence = PresenceMode::Off);
    desk.run("1 join, tick");
    desk.skip();
    desk.now = 1000 + 65_536 * 50 - 50;
    desk.run("1 say a, tick");
    desk.check(1, &[r#"events #1 @1 t0: 1="a""#]);
}
