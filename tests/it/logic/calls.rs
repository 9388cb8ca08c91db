//! Each call, with what it is given and what becomes of its result.

use tickwire::logic::{Harness, Heard, Relay};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, MemberNumber, Reason, Target};

use super::{OWN, check, room, room_with};

const ROOM: MemberNumber = MemberNumber::ROOM;

#[test]
fn a_join_is_asked_about_and_answered() {
    let (mut room, calls) = room();
    let anna = room.join("anna", b"hello").unwrap();
    let answer = b"welcome to room".to_vec();
    assert_eq!(room.heard(anna), [Heard::Joined { answer }, Heard::Snapshot(Vec::new())]);
    check(&calls, &[r#"joined 1 "hello" of 1"#]);
}

#[test]
fn a_refused_join_leaves_no_trace() {
    let (mut room, calls) = room_with(|limits, _| limits.max_batch = 2 * (4 + 19) + 10);
    let anna = room.join("anna", b"").unwrap();
    room.tick();
    room.skip();
    for _ in 0..100 {
        assert_eq!(room.join("eve!", b"refuse me"), Err(OWN));
    }
    room.tick();
    assert_eq!(room.heard(anna), [], "nobody is told, and its presence takes no place in the batch");
    let bert = room.join("bert", b"").unwrap();
    assert_eq!(bert, MemberNumber(2), "its number is the next one's");
    room.tick();
    assert_eq!(room.heard(anna), [Heard::Here { member: bert, subject: b"bert".to_vec() }]);
    assert_eq!(calls.try_iter().filter(|call| call.starts_with("left")).count(), 0);
}

#[test]
fn a_number_that_had_rested_can_be_refused_and_given_again() {
    let (mut room, _calls) = room_with(|_, class| class.history = tickwire::class::HistoryBounds::NONE);
    let members: Vec<_> = ["a", "b", "c"].map(|name| room.join(name, b"").unwrap()).into();
    room.leave(members[0]).unwrap();
    room.tick();
    room.stall(std::time::Duration::from_secs(31));
    assert_eq!(room.join("eve", b"refuse me"), Err(OWN));
    assert_eq!(room.join("d", b""), Ok(MemberNumber(1)));
    assert_eq!(room.join("e", b""), Ok(MemberNumber(4)));
}

#[test]
fn what_was_told_to_a_refused_member_reaches_nobody() {
    let (make, _reports) = super::Probe::new();
    let mut room = Harness::new(move |_| Gate(make("")));
    assert_eq!(room.join("eve", b""), Err(OWN));
    let bert = room.join("bert", b"in").unwrap();
    assert_eq!(bert, MemberNumber(1), "the number that eve had");
    room.tick();
    let heard = room.heard(bert);
    assert!(!heard.iter().any(|heard| matches!(heard, Heard::Direct { .. } | Heard::Left(_))), "{heard:?}");
}

/// Tells and kicks whoever has no ticket, and refuses them too.
struct Gate(super::Probe);

impl tickwire::logic::RoomLogic for Gate {
    fn joined(
        &mut self,
        member: MemberNumber,
        data: &[u8],
        room: &mut tickwire::logic::Context<'_>,
    ) -> Result<bytes::Bytes, Reason> {
        if data.is_empty() {
            room.direct(member, b"a ticket, please").unwrap();
            room.kick(member, OWN);
            return Err(OWN);
        }
        self.0.joined(member, data, room)
    }
}

#[test]
fn a_refused_join_alone_leaves_a_room_that_is_forgotten() {
    let (mut room, _calls) = room();
    assert_eq!(room.join("eve", b"refuse me"), Err(OWN));
    room.tick();
    assert!(!room.is_open());
}

#[test]
fn messages_are_relayed_changed_swallowed_or_refused() {
    let (mut room, calls) = room();
    let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
    room.tick();
    room.skip();
    calls.try_iter().count();
    room.event(anna, b"hello").unwrap();
    room.event(anna, b"change goodbye").unwrap();
    room.event(anna, b"swallow").unwrap();
    assert_eq!(room.event(anna, b"refuse"), Err(OWN));
    assert_eq!(room.event(anna, b"refuse 5000"), Err(Reason::NOT_ALLOWED), "no such reason is told");
    room.value(bert, Key::member(7), b"change 9").unwrap();
    room.direct(bert, anna, b"change psst").unwrap();
    assert_eq!(room.direct(bert, MemberNumber(9), b"x"), Err(Reason::NO_SUCH_MEMBER));
    check(
        &calls,
        &[
            r#"message 1 Event "hello" t1"#,
            r#"message 1 Event "change goodbye" t1"#,
            r#"message 1 Event "swallow" t1"#,
            r#"message 1 Event "refuse" t1"#,
            r#"message 1 Event "refuse 5000" t1"#,
            r#"message 2 Value(Key(14)) "change 9" t1"#,
            r#"message 2 Direct(MemberNumber(1)) "change psst" t1"#,
        ],
    );
    room.tick();
    let all = [Heard::event(anna, "hello"), Heard::event(anna, "goodbye"), Heard::value(bert, 7, "9")];
    assert_eq!(room.heard(bert), all);
    assert_eq!(room.heard(anna), [&all[..], &[Heard::direct(bert, "psst")]].concat());
}

#[test]
fn who_may_not_publish_does_not_reach_logic() {
    let (mut room, calls) = room();
    let mute = room.join_as("mute", b"", Mode::RECEIVE).unwrap();
    assert_eq!(room.event(mute, b"hello"), Err(Reason::NOT_PUBLISHING));
    assert_eq!(room.request(mute, b"hello"), Err(Reason::NOT_PUBLISHING));
    check(&calls, &[r#"joined 1 "" of 1"#]);
}

#[test]
fn logic_sends_sets_deletes_and_tells() {
    let (mut room, _calls) = room();
    let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
    room.tick();
    room.skip();
    for order in ["say hear hear", "set 3 x", "tell 2 psst"] {
        room.event(anna, order.as_bytes()).unwrap();
    }
    room.tick();
    let all = [Heard::event(ROOM, "hear hear"), Heard::room_value(3, "3 x")];
    assert_eq!(room.heard(anna), all);
    assert_eq!(room.heard(bert), [&all[..], &[Heard::direct(ROOM, "2 psst")]].concat());
    let late = room.join("late", b"").unwrap();
    assert_eq!(room.heard(late)[1], Heard::Snapshot(vec![(ROOM, Key::room(3), b"3 x".to_vec())]));
    room.event(anna, b"delete 3").unwrap();
    room.tick();
    assert!(room.heard(bert).contains(&Heard::room_value(3, "")));
}

#[test]
fn what_logic_sends_beside_a_refusal_is_sent() {
    let (mut room, _calls) = room();
    let anna = room.join("anna", b"").unwrap();
    room.tick();
    room.skip();
    // No tick is wanted, and nothing else has come: what was sent puts the room down for its flush.
    assert_eq!(room.event(anna, b"but no shouting"), Err(OWN));
    room.tick();
    assert_eq!(room.heard(anna), [Heard::event(ROOM, "no shouting")]);
}

#[test]
fn requests_are_answered_by_their_number() {
    let (mut room, calls) = room();
    let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
    room.tick();
    room.skip();
    calls.try_iter().count();
    room.event(anna, b"one").unwrap();
    assert_eq!(room.request(anna, b"score?"), Ok(2));
    assert_eq!(room.request(anna, b"never"), Err(OWN));
    assert_eq!(room.request(bert, b"later"), Ok(1));
    check(&calls, &[r#"message 1 Event "one" t1"#, "request 1 2", "request 1 3", "request 2 1"]);
    room.tick();
    assert_eq!(room.heard(anna), [Heard::event(anna, "one"), Heard::answer(2, "re: score?")]);
    assert_eq!(room.heard(bert), [Heard::event(anna, "one"), Heard::answer(1, "at last")]);
}

#[test]
fn a_relay_takes_no_requests_and_adds_nothing() {
    let mut room = Harness::new(|_| Relay);
    let anna = room.join("anna", b"data").unwrap();
    assert_eq!(room.heard(anna)[0], Heard::Joined { answer: Vec::new() });
    assert_eq!(room.request(anna, b"hello?"), Err(Reason::NO_SUCH_MEMBER));
    room.tick();
    room.skip();
    room.event(anna, b"a").unwrap();
    room.value(anna, Key::member(0), b"b").unwrap();
    room.tick();
    assert_eq!(room.heard(anna), [Heard::event(anna, "a"), Heard::value(anna, 0, "b")]);
}

#[test]
fn leaving_and_being_away_are_told() {
    let (mut room, calls) = room();
    let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
    room.away(bert).unwrap();
    room.event(anna, b"who").unwrap();
    room.back(bert).unwrap();
    room.leave(bert).unwrap();
    room.end(anna, Reason::SLOW).unwrap();
    calls.try_iter().take(2).count();
    check(&calls, &["away 2", r#"message 1 Event "who" t0"#, "back 2 false", "left 2 200 of 1", "left 1 5 of 0"]);
    room.tick();
    check(&calls, &["flush 1 +1", "idle 0"]);
}

#[test]
fn logic_knows_who_is_there() {
    let (mut room, _calls) = room();
    let names = ["anna", "bert", "carl", "dora"];
    let members: Vec<_> = names.iter().map(|name| room.join(name, b"").unwrap()).collect();
    room.leave(members[1]).unwrap();
    room.away(members[2]).unwrap();
    room.event(members[0], b"who").unwrap();
    room.tick();
    assert!(room.heard(members[3]).contains(&Heard::event(ROOM, "1=anna 3=carl? 4=dora")));
}

#[test]
fn an_urgent_message_flushes_what_logic_made_of_it() {
    let (mut room, calls) = room();
    let anna = room.join("anna", b"").unwrap();
    room.tick();
    room.skip();
    calls.try_iter().count();
    room.publish(anna, Target::Event, true, b"say now").unwrap();
    assert_eq!(room.heard(anna), [Heard::event(ROOM, "now")]);
    room.publish(anna, Target::Event, true, b"swallow").unwrap();
    check(&calls, &[r#"message 1 Event "say now" t1"#, "flush 1 +0", r#"message 1 Event "swallow" t1"#]);
}

#[test]
fn logic_can_flush_early_as_often_as_members_may() {
    let (mut room, _calls) = room_with(|limits, _| limits.max_early_flushes = 2);
    let anna = room.join("anna", b"").unwrap();
    room.tick();
    room.skip();
    for number in ["one", "two", "three"] {
        room.event(anna, format!("now {number}").as_bytes()).unwrap();
    }
    assert_eq!(room.heard(anna), [Heard::event(ROOM, "one"), Heard::event(ROOM, "two")]);
    room.tick();
    assert_eq!(room.heard(anna), [Heard::event(ROOM, "three")]);
}
