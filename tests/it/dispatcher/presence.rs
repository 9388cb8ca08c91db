//! Presence: full, counts and off (PROTOCOL 8.5, 11.5).

use tickwire::class::PresenceMode;

use super::Desk;

fn desk(mode: PresenceMode) -> Desk {
    Desk::with(|_, class| class.presence = mode)
}

#[test]
fn full_presence_tells_of_everyone_who_comes_changes_or_leaves() {
    let mut desk = desk(PresenceMode::Full);
    desk.run("1 join, tick, 2 join, 2 show red, tick");
    desk.check(
        1,
        &[
            "joined r2 h1 #1 me 1 @0 Fresh",
            "snapshot #1 @0 t0:",
            r#"presence #1 @1 t1: 1 here """#,
            r#"presence #1 @2 t2: 2 here "red""#,
        ],
    );
    desk.run("2 show blue, 2 show green, 1 show grey, tick");
    desk.check(1, &["done r3", r#"presence #1 @3 t3: 2 here "green" 1 here "grey""#]);
    desk.run("2 show black, 2 leave, tick");
    desk.check(1, &["presence #1 @4 t4: 2 left 200"]);
}

#[test]
fn the_reason_of_an_ended_session_is_its_members_last_word() {
    let mut desk = desk(PresenceMode::Full);
    desk.run("1 join, 2 join, tick");
    desk.skip();
    desk.run("2 end, tick");
    desk.check(1, &["presence #1 @2 t2: 2 left 3"]);
    desk.check(2, &[]);
    assert_eq!(desk.dispatcher.session_count(), 1);
}

#[test]
fn who_comes_and_leaves_within_a_tick_is_in_both_parts() {
    let mut desk = desk(PresenceMode::Full);
    desk.run("1 join, tick");
    desk.skip();
    desk.run("2 join, 2 show red, 2 leave, tick");
    desk.check(1, &[r#"presence #1 @2 t2 more: 2 here "red""#, "presence #1 @2 t2: 2 left 200"]);
}

#[test]
fn who_leaves_and_comes_back_within_a_tick_is_another_member() {
    let mut desk = desk(PresenceMode::Full);
    desk.run("1 join, 2 join, tick");
    desk.skip();
    desk.run("2 leave, 2 join, tick");
    desk.check(1, &[r#"presence #1 @2 t2 more: 3 here """#, "presence #1 @2 t2: 2 left 200"]);
}

#[test]
fn a_snapshot_of_members_is_the_last_flush() {
    let mut desk = desk(PresenceMode::Full);
    desk.run("1 join, 2 join, 1 show red, 2 show blue, tick, 1 show grey, 2 leave, 3 join, 4 join room prm");
    desk.check(
        4,
        &["joined r2 h1 #1 me 4 @1 Fresh", r#"members #1 @1 t1: 1 here "red" 2 here "blue""#, "snapshot #1 @1 t1:"],
    );
    desk.run("tick");
    desk.check(4, &[r#"presence #1 @2 t2 more: 1 here "grey" 3 here "" 4 here """#, "presence #1 @2 t2: 2 left 200"]);
    desk.run("5 join room prm");
    let members = desk.seen(5)[1].to_string();
    assert_eq!(members, r#"members #1 @2 t2: 1 here "grey" 3 here "" 4 here """#);
}

#[test]
fn a_snapshot_of_members_comes_also_without_receiving() {
    let mut desk = desk(PresenceMode::Full);
    desk.run("1 join room pm");
    desk.check(1, &["joined r2 h1 #1 me 1 @0 Fresh", "members #1 @0 t0:"]);
}

#[test]
fn counts_tell_only_how_many_there_are() {
    let mut desk = desk(PresenceMode::Counts);
    desk.run("1 join, 2 join, tick");
    assert_eq!(desk.seen(1)[2].to_string(), "presence #1 @1 t1: 0 count 2");
    desk.run("3 join, 4 join, 2 leave, 1 say a, tick");
    desk.check(1, &["presence #1 @2 t2 more: 0 count 3", r#"events #1 @2 t2: 1="a""#]);
    desk.run("5 join room prm");
    assert_eq!(desk.seen(5)[1].to_string(), "members #1 @2 t2:");
}

#[test]
fn a_room_without_presence_tells_nothing_and_takes_no_position() {
    let mut desk = desk(PresenceMode::Off);
    desk.run("1 join, 2 join, tick, 1 show red, 2 set k0 a, tick, 2 leave, tick");
    desk.check(
        1,
        &[
            "joined r2 h1 #1 me 1 @0 Fresh",
            "snapshot #1 @0 t0:",
            "done r3",
            r#"values #1 @0 t2: 2k0="a""#,
            r#"values #1 @0 t3: 2k0="""#,
        ],
    );
}
