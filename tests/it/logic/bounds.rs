//! Logic meets the same bounds as members, and what it may not do is refused.

use bytes::Bytes;
use tickwire::limits::Limits;
use tickwire::logic::{Context, Harness, Heard, Message, RoomLogic, Verdict};
use tickwire::wire::{MemberNumber, Reason};

use super::room_with;

/// Does one thing when somebody says something, and tells how that went by its verdict.
struct Does(fn(&mut Context<'_>) -> Result<(), Reason>);

impl RoomLogic for Does {
    fn message(&mut self, _from: MemberNumber, _message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        (self.0)(room).map_or_else(Verdict::Refuse, |()| Verdict::Swallow)
    }
}

#[track_caller]
fn check(change: fn(&mut Limits), does: fn(&mut Context<'_>) -> Result<(), Reason>, expected: Result<(), Reason>) {
    let mut limits = Limits::default();
    change(&mut limits);
    let mut room = Harness::with("room", limits, Default::default(), move |_| Does(does));
    let anna = room.join("anna", b"").unwrap();
    room.tick();
    assert_eq!(room.event(anna, b"go"), expected);
    room.tick();
    assert!(room.is_open());
}

#[test]
fn what_logic_sends_is_bounded() {
    let large = Err(Reason::MESSAGE_TOO_LARGE);
    check(|_| {}, |room| room.send(&[0; 15_360]), Ok(()));
    check(|_| {}, |room| room.send(&[0; 15_361]), large);
    check(|_| {}, |room| room.set(0, &[0; 15_361]), large);
    check(|_| {}, |room| room.direct(MemberNumber(1), &[0; 15_361]), large);
    check(|_| {}, |room| (0..9).try_for_each(|_| room.send(&[0; 15_360])), Err(Reason::BATCH_FULL));
    check(|_| {}, |room| (0..257).try_for_each(|_| room.direct(MemberNumber(1), b"x")), Err(Reason::BATCH_FULL));
    check(|_| {}, |room| room.direct(MemberNumber(2), b"x"), Err(Reason::NO_SUCH_MEMBER));
    check(|_| {}, |room| room.direct(MemberNumber(0), b"x"), Err(Reason::NO_SUCH_MEMBER));
    check(
        |limits| limits.max_room_values = 2,
        |room| (0..3).try_for_each(|key| room.set(key, b"x")),
        Err(Reason::VALUES_FULL),
    );
    check(|_| {}, |room| room.set(1 << 52, b"x"), Err(Reason::ARGUMENT));
    check(|_| {}, |room| room.set((1 << 52) - 1, b"x"), Ok(()));
    check(|_| {}, |room| room.delete(1 << 60), Err(Reason::ARGUMENT));
}

#[test]
fn the_servers_budget_binds_logic_too() {
    let mut limits = Limits::default();
    limits.kept_bytes = 100;
    let mut room = Harness::with("room", limits, Default::default(), |_| Does(|room| room.set(room.tick(), &[0; 200])));
    let anna = room.join("anna", b"").unwrap();
    room.tick();
    room.event(anna, b"first").unwrap();
    room.tick();
    assert_eq!(room.event(anna, b"second"), Err(Reason::VALUES_FULL));
}

#[test]
fn a_changed_message_is_bounded() {
    struct Grows;
    impl RoomLogic for Grows {
        fn message(&mut self, _from: MemberNumber, message: &Message<'_>, _room: &mut Context<'_>) -> Verdict {
            Verdict::Change(Bytes::from(vec![b'x'; 15_360 + message.payload.len()]))
        }
    }
    let mut room = Harness::new(|_| Grows);
    let anna = room.join("anna", b"").unwrap();
    room.tick();
    room.skip();
    assert_eq!(room.event(anna, b"!"), Err(Reason::MESSAGE_TOO_LARGE));
    room.event(anna, b"").unwrap();
    room.tick();
    assert_eq!(room.heard(anna), [Heard::event(anna, vec![b'x'; 15_360])]);
}

#[test]
fn an_answer_that_is_too_long_refuses_its_join_alone() {
    let (mut room, _calls) = room_with(|_, _| {});
    let anna = room.join("anna", b"answer 1024").unwrap();
    assert_eq!(room.heard(anna)[0], Heard::Joined { answer: vec![b'a'; 1024] });
    assert_eq!(room.join("bert", b"answer 1025"), Err(Reason::ROOM_FAILED));
    assert_eq!(room.join("carl", b""), Ok(MemberNumber(2)));
}

#[test]
fn reasons_that_are_not_logics_to_give_are_others() {
    for (given, told) in
        [(Reason::SLOW, Reason::ROOM_CLOSED), (Reason(u64::MAX), Reason::ROOM_CLOSED), (Reason(999), Reason(999))]
    {
        let (mut room, _calls) = room_with(|_, _| {});
        let anna = room.join("anna", b"").unwrap();
        room.event(anna, format!("close {}", given.0).as_bytes()).unwrap();
        assert_eq!(room.heard(anna).last(), Some(&Heard::Left(told)));
    }
}
