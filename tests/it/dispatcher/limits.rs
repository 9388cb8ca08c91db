//! What rooms refuse (PROTOCOL 7.4, 13): the reason, the handle that is free again, and nothing published.

use tickwire::limits::Limits;
use tickwire::wire::Handle;

use super::Desk;

/// Runs `script` with other limits; the last step must be refused with `reason`, and nobody may
/// notice.
#[track_caller]
fn check(change: impl FnOnce(&mut Limits), script: &str, refused: &str) {
    let mut desk = Desk::with(|limits, class| {
        change(limits);
        class.urgent = false;
    });
    let (before, last) = script.rsplit_once(", ").unwrap();
    desk.run(before);
    desk.skip();
    desk.recorder.take_refusals();
    desk.run(last);
    let session = last.split(' ').next().unwrap().parse().unwrap();
    desk.check(session, &[refused]);
    let freed = last.contains(" join").then_some(Handle(1));
    assert_eq!(desk.recorder.take_refusals(), [(session, freed)]);
    desk.run("tick, 9 join log rm, tick");
    assert!(desk.recorder.take(session).iter().all(|frame| !frame.ends_with(b"NO")), "it was published");
}

#[test]
fn a_full_room_refuses_joins_until_someone_leaves() {
    check(|limits| limits.max_members = 2, "1 join, 2 join, 3 join", "refused r2 104");
    let mut desk = Desk::with(|limits, _| limits.max_members = 1);
    desk.run("1 join, 2 join, 1 leave, 2 join");
    assert_eq!(desk.seen(2)[1].to_string(), "joined r2 h1 #1 me 2 @0 Fresh");
}

#[test]
fn a_full_shard_refuses_new_rooms_and_still_serves_old_ones() {
    let full = |limits: &mut Limits| limits.max_shard_rooms = 2;
    check(full, "1 join one, 2 join two, 3 join three", "refused r2 107");
    let mut desk = Desk::with(|limits, _| full(limits));
    desk.run("1 join one, 2 join two, 3 join three, 3 join two");
    assert_eq!(desk.seen(3)[1].to_string(), "joined r2 h1 #2 me 2 @0 Fresh");
}

#[test]
fn a_full_room_of_values_refuses_new_keys_and_updates_old_ones() {
    let room = |limits: &mut Limits| limits.max_room_values = 2;
    check(room, "1 join, 1 set k0 a, 1 set r0 b, 1 set k1 NO", "refused n3 106");
    check(room, "1 join, 1 set k0 a, 1 set r0 b, tick, 1 set r1 NO", "refused n3 106");
    let mut desk = Desk::with(|limits, _| room(limits));
    desk.run("1 join, 1 set k0 a, 1 set r0 b, tick, 1 set k0 c, 1 del r0, tick, 1 set r1 d, tick");
    assert!(desk.recorder.take_refusals().is_empty());
}

#[test]
fn a_member_with_too_many_values_is_refused_and_others_are_not() {
    let member = |limits: &mut Limits| limits.max_member_values = 2;
    check(member, "1 join, 1 set k0 a, 1 set k1 b, 1 set k2 NO", "refused n3 106");
    let mut desk = Desk::with(|limits, _| member(limits));
    desk.run("1 join, 2 join, 1 set k0 a, 1 set k1 b, 1 set r2 c, 2 set k2 d, 1 del k0, tick, 1 set k3 e, tick");
    assert!(desk.recorder.take_refusals().is_empty());
}

#[test]
fn the_bytes_of_all_values_are_bounded_for_known_keys_too() {
    let bytes = |limits: &mut Limits| limits.max_value_bytes = 2 * 64 + 10;
    check(bytes, "1 join, 1 set k0 12345, 1 set k1 1234, 1 set k1 123456", "refused n3 106");
    check(bytes, "1 join, 1 set k0 12345, 1 set k1 12345, tick, 1 set k0 123456", "refused n3 106");
    let mut desk = Desk::with(|limits, _| bytes(limits));
    desk.run("1 join, 1 set k0 12345, 1 set k1 12345, 1 set k0 123, 1 set k1 1234567, tick, 1 leave, tick");
    desk.run("2 join, 2 set k0 12345, 2 set k1 12345, tick");
    assert!(desk.recorder.take_refusals().is_empty(), "deleted values leave their place");
}

#[test]
fn a_batch_that_is_full_refuses_messages_of_every_kind_until_it_is_flushed() {
    let small = |limits: &mut Limits| (limits.max_batch, limits.max_early_flushes) = (112, 0);
    check(small, "1 join, 1 say 0123456789, 1 set k0 0123456789, 1 tell 1 0123456789, 1 say NO", "refused n4 105");
    check(small, "1 join, 1 say 0123456789, 1 set k0 0123456789, 1 tell 1 0123456789, 1 set k1 NO", "refused n4 105");
    let mut desk = Desk::with(|limits, _| small(limits));
    desk.run("1 join");
    for _ in 0..5 {
        desk.run("1 say 0123456789, 1 set k0 0123456789, 1 tell 1 0123456789, tick");
    }
    assert!(desk.recorder.take_refusals().is_empty());
}

/// PROTOCOL 11.6: it counts as an early flush, of which a tick has so many.
#[test]
fn a_batch_that_is_full_leaves_early_where_it_may() {
    let full = |limits: &mut Limits| (limits.max_batch, limits.max_early_flushes) = (112, 2);
    let mut desk = Desk::with(|limits, _| full(limits));
    desk.run("1 join, tick");
    desk.skip();
    desk.run("1 say one1111111111111111111111, 1 say two2222222222222222222222");
    assert_eq!(desk.lines(1), [""; 0]);
    desk.run("1 say three3333333333333333333");
    let urgent = "events #1 @2 t1 urgent: 1=\"one1111111111111111111111\" 1=\"two2222222222222222222222\"";
    desk.check(1, &[urgent]);
    desk.run("tick");
    desk.check(1, &["events #1 @3 t2: 1=\"three3333333333333333333\""]);
    let mut desk = Desk::with(|limits, _| full(limits));
    desk.run("1 join, tick");
    let message = "1 say 1111111111111111111111111111111111111111111111111111111111111111111111111111";
    desk.run(&[message; 3].join(", "));
    assert!(desk.recorder.take_refusals().is_empty());
    check(full, &format!("1 join, tick, {message}, {message}, {message}, 1 say NO"), "refused n4 105");
}

#[test]
fn handles_that_name_no_room_are_refused() {
    let same = |_: &mut Limits| {};
    check(same, "1 join, 2 say NO", "refused n1 232");
    check(same, "1 join, 2 leave", "refused r3 232");
    check(same, "1 join, 2 show NO", "refused r3 232");
    check(same, "1 join, 1 leave, 1 say NO", "refused n1 232");
}

#[test]
fn what_a_member_may_not_do_is_refused() {
    let same = |_: &mut Limits| {};
    check(same, "1 join, 1 join", "refused r2 233");
    check(same, "1 join room r, 1 say NO", "refused n1 237");
    check(same, "1 join room r, 1 tell 1 NO", "refused n1 237");
    check(same, "1 join, 1 tell 2 NO", "refused n1 238");
    check(same, "1 join, 1 say! NO", "refused n1 240");
}

/// A client that sends LEAVE behind a JOIN that will be refused, and joins with the same handle
/// again, makes its session take the refusal for the second join. The rooms still hold the bound.
#[test]
fn a_session_that_forgot_memberships_cannot_join_without_bound() {
    let mut desk = Desk::with(|limits, _| limits.max_rooms = 2);
    desk.join(1, 5, "a", 3, None);
    desk.join(1, 5, "b", 3, None);
    desk.join(1, 6, "b", 3, None);
    desk.join(1, 7, "c", 3, None);
    desk.skip();
    let refused = desk.recorder.take_refusals();
    assert_eq!(refused, [(1, Some(Handle(5))), (1, Some(Handle(7)))]);
}

#[test]
fn presence_counts_in_the_batch() {
    let small = |limits: &mut Limits| limits.max_batch = 80;
    check(small, "1 join, 1 show 0123456789, 1 show 0123456789, 1 show 01234567NO", "refused r3 105");
    check(small, "1 join, 2 join, 3 join, 4 join, 5 join", "refused r2 105");
    let mut desk = Desk::with(|limits, _| small(limits));
    desk.run("1 join, 2 join, 3 join, 4 join, tick, 5 join, 1 show 0123456789, tick");
    assert!(desk.recorder.take_refusals().is_empty());
}

#[test]
fn directs_are_bounded_by_their_number_too() {
    check(
        |limits| (limits.max_directs, limits.max_early_flushes) = (2, 0),
        "1 join, 1 tell 1 a, 1 tell 1 b, 1 tell 1 NO",
        "refused n3 105",
    );
    let mut desk = Desk::with(|limits, _| limits.max_directs = 2);
    desk.run("1 join, 1 tell 1 a, 1 tell 1 b, tick, 1 tell 1 c, 1 tell 1 d, tick");
    assert!(desk.recorder.take_refusals().is_empty());
}

#[test]
fn those_who_come_and_go_cannot_make_a_room_grow() {
    let mut desk = Desk::with(|limits, _| limits.max_members = 1);
    for _ in 0..4 {
        desk.run("1 join, 1 leave, tick");
    }
    desk.skip();
    desk.run("1 join");
    desk.check(1, &["refused r2 104"]);
    desk.at(40_000);
    desk.run("1 join");
    desk.check(1, &["joined r2 h1 #1 me 1 @4 Fresh", "snapshot #1 @4 t4:"]);
}
