//! Values: last write wins, deletions, snapshots (PROTOCOL 8.4, 11.2).

use super::Desk;
use crate::model::{Seen, hear};

fn one() -> Desk {
    let mut desk = Desk::new();
    desk.run("1 join, tick");
    desk.skip();
    desk
}

#[test]
fn inside_a_tick_the_last_write_of_a_key_wins() {
    let mut desk = one();
    desk.run("1 set k0 a, 1 set k1 b, 1 set k0 c, tick");
    desk.check(1, &[r#"values #1 @1 t2: 1k0="c" 1k1="b""#]);
}

#[test]
fn values_of_a_member_and_of_the_room_with_one_number_are_different() {
    let mut desk = one();
    desk.run("2 join, 1 set k3 a, 1 set r3 b, 2 set r3 c, 2 set k3 d, tick");
    let seen = desk.seen(1);
    assert_eq!(seen[1].to_string(), r#"values #1 @2 t2: 1k3="a" 2r3="c" 2k3="d""#);
}

#[test]
fn a_deletion_arrives_if_the_value_was_there_before_the_tick() {
    let mut desk = one();
    desk.run("1 set k0 a, tick, 1 del k0, tick");
    desk.check(1, &[r#"values #1 @1 t2: 1k0="a""#, r#"values #1 @1 t3: 1k0="""#]);
    desk.run("1 set k0 a, 1 del k0, tick, 1 del k0, tick");
    desk.check(1, &[]);
    desk.run("1 set k0 a, tick, 1 set k0 b, 1 del k0, tick");
    desk.check(1, &[r#"values #1 @1 t6: 1k0="a""#, r#"values #1 @1 t7: 1k0="""#]);
    desk.run("1 set k0 a, 1 del k0, 1 set k0 b, tick");
    desk.check(1, &[r#"values #1 @1 t8: 1k0="b""#]);
}

#[test]
fn a_members_values_are_deleted_one_by_one_before_it_is_told_to_have_left() {
    let mut desk = one();
    desk.run("2 join, 2 set k0 a, 2 set k5 b, 2 set r0 c, tick");
    desk.skip();
    desk.run("2 say bye, 2 leave, tick");
    let seen = desk.seen(1);
    let texts: Vec<String> = seen.iter().map(ToString::to_string).collect();
    assert_eq!(texts[0], r#"events #1 @3 t3 more: 2="bye""#);
    let Seen::Data { records, more: false, .. } = &seen[1] else { panic!("values: {texts:?}") };
    let mut keys: Vec<_> = records.iter().map(|record| (record.member, record.key, record.payload.len())).collect();
    keys.sort_unstable();
    assert_eq!(keys, [(2, Some(0), 0), (2, Some(10), 0)]);
    assert_eq!(texts[2], "presence #1 @3 t3: 2 left 200");
}

#[test]
fn a_rooms_values_stay_when_who_wrote_them_leaves() {
    let mut desk = one();
    desk.run("2 join, 2 set r0 c, tick, 2 leave, tick");
    desk.skip();
    desk.run("3 join");
    desk.check(3, &["joined r2 h1 #1 me 3 @3 Fresh", r#"snapshot #1 @3 t3: 2r0="c""#]);
}

#[test]
fn a_snapshot_is_the_last_flush_and_a_newcomer_sees_nothing_twice() {
    let mut desk = one();
    desk.run("1 set k0 a, 1 set k1 b, tick, 1 set k0 c, 1 del k1, 1 say d, 2 join");
    let seen = desk.seen(2);
    assert_eq!(seen.len(), 2);
    let heard = hear(seen, &mut 0);
    assert!(format!("{:?}", heard[1]).contains("entries: {(1, 0): (1, [97]), (1, 2): (1, [98])}"), "{heard:?}");
    desk.run("tick");
    desk.check(
        2,
        &[r#"presence #1 @2 t3 more: 2 here """#, r#"events #1 @2 t3: 1="d""#, r#"values #1 @2 t3: 1k0="c" 1k1="""#],
    );
    desk.run("tick");
    desk.check(2, &[]);
}

#[test]
fn a_snapshot_may_be_empty_and_is_for_receivers_only() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join room p, 3 join room r");
    desk.check(1, &["joined r2 h1 #1 me 1 @0 Fresh", "snapshot #1 @0 t0:"]);
    desk.check(2, &["joined r2 h1 #1 me 2 @0 Fresh"]);
    desk.check(3, &["joined r2 h1 #1 me 3 @0 Fresh", "snapshot #1 @0 t0:"]);
}

#[test]
fn a_big_snapshot_is_split_and_all_but_its_last_frame_say_more() {
    let mut desk = Desk::with(|limits, _| limits.max_frame = 200);
    desk.run("1 join");
    (0..100).for_each(|key| desk.run(&format!("1 set k{key} value-{key}")));
    desk.run("tick");
    desk.skip();
    desk.run("2 join");
    let frames = desk.recorder.take(2);
    assert!(frames.iter().all(|frame| frame.len() <= 4 + 200));
    let seen: Vec<Seen> = frames.iter().flat_map(|frame| crate::model::see(frame)).collect();
    assert!(seen.len() > 5, "{}", seen.len());
    // `hear` asserts the flags.
    let heard = hear(seen, &mut 0);
    let crate::model::Heard::Values(snapshot) = &heard[1].1 else { panic!("{heard:?}") };
    assert_eq!(snapshot.entries.len(), 100);
}

#[test]
fn a_value_written_to_what_it_was_is_sent_again() {
    let mut desk = one();
    desk.run("1 set k0 a, tick, 1 set k0 a, tick");
    desk.check(1, &[r#"values #1 @1 t2: 1k0="a""#, r#"values #1 @1 t3: 1k0="a""#]);
}
