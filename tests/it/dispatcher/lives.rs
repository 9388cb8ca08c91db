//! Lives of rooms: epochs, lingering, room numbers, member numbers (PROTOCOL 11.3, 11.4, 12.1).

use tickwire::wire::{Epoch, Position};

use super::Desk;
use crate::model::Seen;

/// Joins, and gives the room's number, its epoch and the member's number.
fn join(desk: &mut Desk, session: u64, room: &str) -> (u64, Epoch, u64) {
    desk.run(&format!("{session} join {room}"));
    let seen = desk.seen(session);
    let Some(&Seen::Joined { room, epoch, member, .. }) = seen.iter().find(|seen| matches!(seen, Seen::Joined { .. }))
    else {
        panic!("not joined: {seen:?}")
    };
    (room, Epoch(epoch), member)
}

#[test]
fn an_empty_room_lingers_with_epoch_position_and_room_values() {
    let mut desk = Desk::new();
    let (_, epoch, _) = join(&mut desk, 1, "room");
    desk.run("1 set r0 a, 1 set k0 b, 1 say c, tick, 1 leave, tick, at 61000");
    assert_eq!(desk.dispatcher.room_count(), 1);
    assert_eq!(join(&mut desk, 2, "room").1, epoch);
    desk.run("3 join");
    desk.check(3, &["joined r2 h1 #1 me 2 @2 Fresh", r#"snapshot #1 @2 t2: 1r0="a""#]);
}

#[test]
fn a_room_is_forgotten_after_its_linger_and_its_next_life_has_another_epoch() {
    let mut desk = Desk::new();
    let (_, epoch, _) = join(&mut desk, 1, "room");
    desk.run("1 set r0 a, 1 leave, tick, at 61049");
    assert_eq!(desk.dispatcher.room_count(), 1);
    desk.run("at 61050");
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.deadline()), (0, None));
    desk.skip();
    assert_ne!(join(&mut desk, 2, "room").1, epoch);
    desk.run("3 join");
    desk.check(3, &["joined r2 h1 #1 me 2 @0 Fresh", "snapshot #1 @0 t0:"]);
}

#[test]
fn a_join_ends_the_lingering() {
    let mut desk = Desk::new();
    let (_, epoch, _) = join(&mut desk, 1, "room");
    desk.run("1 leave, tick, at 60000, 1 join, at 200000");
    assert_eq!(join(&mut desk, 2, "room").1, epoch);
}

#[test]
fn a_rooms_number_is_used_again_only_when_no_frame_of_the_old_room_can_come() {
    let mut desk = Desk::new();
    let (number, ..) = join(&mut desk, 1, "old");
    desk.run("1 leave, tick");
    let waiting = desk.recorder.take(1);
    desk.run("at 100000");
    assert_eq!(desk.dispatcher.room_count(), 0);
    let (other, ..) = join(&mut desk, 2, "new");
    assert_ne!(other, number, "LEFT of the old room is still on its way");
    drop(waiting);
    assert_eq!(join(&mut desk, 3, "newer").0, number);
}

#[test]
fn a_members_number_rests_for_thirty_seconds() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, tick, 2 leave, tick");
    assert_eq!(join(&mut desk, 3, "room").2, 3);
    desk.run("at 31099");
    assert_eq!(join(&mut desk, 4, "room").2, 4);
    desk.run("at 31100");
    assert_eq!(join(&mut desk, 5, "room").2, 2);
    assert_eq!(join(&mut desk, 6, "room").2, 5);
}

#[test]
fn a_newcomer_who_tells_what_it_knows_learns_what_it_missed() {
    let mut desk = Desk::new();
    let (_, epoch, _) = join(&mut desk, 1, "room");
    desk.run("tick, 1 say a, tick, 1 say b, tick");
    let other = Epoch([9; 8]);
    let cases = [
        (epoch, 3, "Recovered"),
        (epoch, 1, "Gap(Some((2, 3)))"),
        (epoch, 0, "Gap(Some((1, 3)))"),
        (epoch, 4, "Gap(None)"),
        (other, 3, "Gap(None)"),
    ];
    for (session, (epoch, position, expected)) in (2..).zip(cases) {
        desk.join(session, 1, "room", 3, Some((epoch, Position(position))));
        let seen = desk.seen(session);
        assert_eq!(seen[0].to_string(), format!("joined r2 h1 #1 me {session} @3 {expected}"));
        assert_eq!(seen.len(), 2, "the snapshot follows");
    }
}

#[test]
fn rooms_do_not_share_members_or_messages() {
    let mut desk = Desk::new();
    desk.run("1 join one, 2 join two, tick");
    desk.skip();
    desk.run("1 say a, 2 say b, tick");
    desk.check(1, &[r#"events #1 @2 t2: 1="a""#]);
    desk.check(2, &[r#"events #2 @2 t2: 1="b""#]);
}
