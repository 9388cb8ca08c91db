//! A server that goes away: everything accepted is sent, and nothing moves after it (PROTOCOL 6.9).

use tickwire::command::SessionId;
use tickwire::time::Time;
use tickwire::wire::{Position, RoomId};

use super::Desk;

fn go_away(desk: &mut Desk) -> Vec<(u64, u64, u64)> {
    let now = Time::from_micros(desk.now * 1000);
    let finals = desk.dispatcher.handle_going_away(now, &mut desk.recorder);
    let mut finals: Vec<_> =
        finals.into_iter().map(|(SessionId(session), RoomId(room), Position(at))| (session, room, at)).collect();
    finals.sort_unstable();
    finals
}

#[test]
fn what_was_accepted_is_sent_before_its_tick_and_positions_are_final() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, 3 join room p, tick");
    desk.skip();
    desk.run("1 say a, 2 set k0 v, 1 tell 2 psst");
    // Who does not receive is told of no position.
    assert_eq!(go_away(&mut desk), [(1, 1, 2), (2, 1, 2)]);
    let sent = [r#"events #1 @2 t1: 1="a""#, r#"values #1 @2 t1: 2k0="v""#];
    desk.check(1, &sent);
    let lines = desk.lines(2);
    assert_eq!(lines[..2], sent);
    assert!(lines.len() == 3 && lines[2].contains("psst"), "{lines:?}");
    // Nothing is taken, nothing is told of who leaves, and no tick comes.
    desk.run("1 say late, 1 say! late, 2 set k0 late, 2 show red, 4 join, 4 join other");
    for (session, refusals) in [(1, 2), (2, 2), (4, 2)] {
        let lines = desk.lines(session);
        assert_eq!(lines.len(), refusals, "{lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("refused") && line.ends_with("100")), "{lines:?}");
    }
    desk.run("2 leave, 3 end, tick, tick, drained");
    assert_eq!(desk.lines(2), ["left r3 h1 200"]);
    desk.check(1, &[]);
    assert_eq!(go_away(&mut desk), [(1, 1, 2)]);
}

#[test]
fn who_is_behind_is_told_what_it_missed_afterwards() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, 1 set k0 old, tick");
    desk.skip();
    desk.run("2 stall 262144, 1 say a, 1 set k0 new");
    assert_eq!(go_away(&mut desk), [(1, 1, 2), (2, 1, 2)]);
    desk.check(2, &[]);
    desk.run("2 drain, tend, tend");
    let lines = desk.lines(2);
    assert!(lines.iter().any(|line| line.starts_with("gap")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("new")), "{lines:?}");
}

#[test]
fn rooms_of_period_0_too() {
    let mut desk = Desk::with(|_, class| class.period = std::time::Duration::ZERO);
    desk.run("1 join, 2 join, drained");
    desk.skip();
    desk.run("1 say a");
    assert_eq!(go_away(&mut desk), [(1, 1, 2), (2, 1, 2)]);
    assert_eq!(desk.lines(2).len(), 1);
    desk.run("1 say b, drained");
    desk.check(2, &[]);
}
