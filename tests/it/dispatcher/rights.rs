//! What a member may be told: the same in live batches, history and snapshots (PROTOCOL 8.3, 12.1, 15).

use tickwire::class::HistoryBounds;
use tickwire::rights::{Authorise, Rights};
use tickwire::wire::control::Mode;
use tickwire::wire::{Capabilities, Epoch, Position, Reason};

use super::Desk;
use crate::model::Seen;

/// The subject names what it may not see; "none" may not come in, and "say" may not publish.
fn desk() -> Desk {
    let authorise = Authorise::new(|asking| {
        let mut rights = Rights::ALL;
        match asking.subject {
            b"presence" => rights.presence = false,
            b"events" => rights.events = false,
            b"values" => rights.values = false,
            b"history" => rights.history = false,
            b"say" if asking.mode.has(Mode::PUBLISH) => return Err(Reason::NOT_ALLOWED),
            b"none" => return Err(Reason::TOKEN_EXPIRED),
            _ => {}
        }
        Ok(rights)
    });
    Desk::with_rights(|_, class| class.history = HistoryBounds::default(), authorise)
}

fn join(desk: &mut Desk, session: u64, subject: &'static str, mode: u8, since: Option<(Epoch, Position)>) {
    desk.join_as(session, 1, "room", mode, |join| {
        (join.subject, join.since) = (subject.as_bytes().into(), since);
        join.capabilities = Capabilities::HISTORY;
    });
}

#[test]
fn hidden_kinds_keep_their_positions_in_live_batches() {
    let mut desk = desk();
    desk.run("1 join, tick");
    let subjects = ["presence", "events", "values"];
    (2..).zip(subjects).for_each(|(session, subject)| join(&mut desk, session, subject, 3, None));
    desk.run("tick");
    desk.skip();
    desk.run("5 join, 1 say a, 1 set k0 b, 5 leave, tick, 1 say c, tick, 1 set k0 d, tick");
    let came = r#"presence #1 @3 t3 more: 5 here """#;
    let (a, c) = (r#"events #1 @3 t3 more: 1="a""#, r#"events #1 @4 t4: 1="c""#);
    let (b, d) = (r#"values #1 @3 t3: 1k0="b""#, r#"values #1 @4 t5: 1k0="d""#);
    let left = "presence #1 @3 t3: 5 left 200";
    desk.check(2, &["presence #1 @3 t3 more:", a, b, "presence #1 @3 t3:", c, d]);
    desk.check(3, &[came, "events #1 @3 t3 more:", b, left, "events #1 @4 t4:", d]);
    desk.check(4, &[came, a, left, c]);
}

#[test]
fn history_shows_no_more_than_live_batches() {
    let mut desk = desk();
    desk.run("1 join");
    let Seen::Joined { epoch, .. } = desk.seen(1)[0] else { panic!("not joined") };
    desk.run("tick, 1 say a, 1 set k0 b, 2 join, tick, 1 say c, tick");
    let since = Some((Epoch(epoch), Position(1)));
    let subjects = ["presence", "events", "values", "history"];
    (3..).zip(subjects).for_each(|(session, subject)| join(&mut desk, session, subject, 3, since));
    let (came, a, c) =
        (r#"presence #1 @2 t2 more: 2 here """#, r#"events #1 @2 t2: 1="a""#, r#"events #1 @3 t3: 1="c""#);
    let snapshot = r#"snapshot #1 @3 t3: 1k0="b""#;
    let joined = |session, tail: &str| format!("joined r2 h1 #1 me {session} {tail}");
    let recovered = |session| joined(session, "@1 Recovered");
    desk.check(3, &[&recovered(3), "presence #1 @2 t2 more:", a, c, snapshot]);
    desk.check(4, &[&recovered(4), came, "events #1 @2 t2:", "events #1 @3 t3:", snapshot]);
    desk.check(5, &[&recovered(5), came, a, c, "snapshot #1 @3 t3:"]);
    desk.check(6, &[&joined(6, "@3 Gap(Some((2, 3)))"), snapshot]);
}

#[test]
fn snapshots_lists_and_pages_show_no_more_either() {
    let mut desk = desk();
    desk.run("1 join, 1 set k0 a, tick");
    join(&mut desk, 2, "presence", 7, None);
    join(&mut desk, 3, "values", 7, None);
    desk.check(2, &["joined r2 h1 #1 me 2 @1 Fresh", r#"snapshot #1 @1 t1: 1k0="a""#]);
    desk.check(3, &["joined r2 h1 #1 me 3 @1 Fresh", r#"members #1 @1 t1: 1 here """#, "snapshot #1 @1 t1:"]);
    desk.run("2 page 0, 3 page 0");
    desk.check(2, &["page r3 h1 @1 next 0:"]);
    desk.check(3, &[r#"page r3 h1 @1 next 0: 1 here """#]);
    // Who was lost and drained is shown no more.
    desk.run("2 stall 196608, 3 stall 196608, 1 say a, tick, 2 drain, 3 drain, tend");
    desk.check(2, &["gap #1 2..2", r#"snapshot #1 @2 t2: 1k0="a""#]);
    let lines = desk.lines(3);
    assert!(lines.len() == 3 && lines[1].starts_with("members") && lines[2] == "snapshot #1 @2 t2:", "{lines:?}");
}

#[test]
fn who_may_see_no_values_is_never_behind() {
    let mut desk = desk();
    desk.run("1 join, tick");
    join(&mut desk, 2, "values", 3, None);
    desk.run("tick, 2 stall 70000, 1 set k0 a, tick, 1 set k0 b, 1 say c, tick");
    assert_eq!(desk.lines(2).last().unwrap(), r#"events #1 @3 t4: 1="c""#);
    assert_eq!((desk.dispatcher.deadline(), desk.dispatcher.counters().behind), (None, 0));
}

#[test]
fn a_decision_may_depend_on_the_mode_and_is_told_with_its_reason() {
    let mut desk = desk();
    join(&mut desk, 1, "none", 3, None);
    desk.check(1, &["refused r2 242"]);
    assert_eq!(desk.dispatcher.room_count(), 0, "no room is made for it");
    join(&mut desk, 2, "say", 3, None);
    desk.check(2, &["refused r2 240"]);
    join(&mut desk, 2, "say", 2, None);
    assert_eq!(desk.lines(2)[0], "joined r2 h1 #1 me 1 @0 Fresh");
}
