//! Lists of members page by page (PROTOCOL 6.15, 6.16).

use std::collections::BTreeMap;

use tickwire::class::PresenceMode;
use tickwire::wire::Presence;

use super::Desk;
use crate::model::Seen;

/// A page's position, where the next begins, and whom it tells of.
fn page(desk: &mut Desk, session: u64, after: u64) -> (u64, u64, Vec<u64>) {
    desk.skip();
    desk.run(&format!("{session} page {after}"));
    let frames = desk.recorder.take(session);
    assert!(frames.len() == 1 && frames[0].len() <= 4 + 16_384);
    let [Seen::Page { request: 3, handle: 1, position, next, records }] = &crate::model::see(&frames[0])[..] else {
        panic!("no page")
    };
    (*position, *next, records.iter().map(|told| told.member).collect())
}

#[test]
fn a_thousand_members_are_told_by_number_and_each_once() {
    let mut desk = Desk::new();
    (1..=1000).for_each(|session| {
        desk.run(&format!("{session} join, {session} show {session:-<200}"));
        if session % 100 == 0 {
            desk.run("tick");
        }
    });
    let (mut after, mut told, mut pages) = (0, Vec::new(), 0);
    loop {
        let (position, next, mut members) = page(&mut desk, 1, after);
        assert_eq!(position, 10);
        assert!(next == 0 || members.last() == Some(&next));
        told.append(&mut members);
        pages += 1;
        if next == 0 {
            break;
        }
        after = next;
    }
    assert_eq!(told, (1..=1000).collect::<Vec<_>>());
    assert!((13..20).contains(&pages), "{pages}");
    assert_eq!(page(&mut desk, 1, 1000), (10, 0, vec![]));
    assert_eq!(page(&mut desk, 1, u64::MAX >> 11), (10, 0, vec![]));
}

/// What a client that walks does with the presence that comes meanwhile.
#[test]
fn presence_between_two_pages_applies_on_top_of_both() {
    let mut desk = Desk::with(|limits, _| limits.max_frame = 140);
    (1..=20).for_each(|session| desk.run(&format!("{session} join room pr, {session} show {session:-<9}")));
    desk.run("tick");
    desk.skip();
    let mut people: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let (mut after, mut round) = (0, 0);
    loop {
        desk.run(&format!("1 page {after}"));
        let mut next = 0;
        for seen in desk.seen(1) {
            let records = match seen {
                Seen::Page { next: told, records, .. } => {
                    next = told;
                    records
                }
                Seen::Data { records, .. } => records,
                _ => continue,
            };
            for told in records {
                match Presence::decode(&told.payload).unwrap() {
                    Presence::Here { data, .. } => drop(people.insert(told.member, data.to_vec())),
                    _ => drop(people.remove(&told.member)),
                }
            }
        }
        if next == 0 {
            break;
        }
        after = next;
        // One before and one behind the walk leave, one comes, one changes; of some the diff has not told.
        round += 1;
        desk.run(&format!("{} leave, {} leave, {} join, 20 show new{round}", 1 + round, 19 - round, 30 + round));
        if round % 2 == 0 {
            desk.run("tick");
        }
    }
    desk.run("tick, 1 page 0");
    for seen in desk.seen(1) {
        let Seen::Data { records, .. } = seen else { continue };
        for told in records {
            match Presence::decode(&told.payload).unwrap() {
                Presence::Here { data, .. } => drop(people.insert(told.member, data.to_vec())),
                _ => drop(people.remove(&told.member)),
            }
        }
    }
    assert!(round > 2);
    desk.run("99 join room prm");
    let expected: BTreeMap<u64, Vec<u8>> = desk
        .seen(99)
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Data { kind: tickwire::wire::Kind::Members, records, .. } => Some(records),
            _ => None,
        })
        .flatten()
        .map(|told| match Presence::decode(&told.payload).unwrap() {
            Presence::Here { data, .. } => (told.member, data.to_vec()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(people, expected);
}

#[test]
fn who_came_after_the_last_flush_is_not_there_yet_and_who_left_still_is() {
    let mut desk = Desk::new();
    desk.run("1 join, 2 join, 2 show red, tick, 3 join, 2 leave, 1 show blue, 4 join");
    assert_eq!(page(&mut desk, 1, 0), (1, 0, vec![1, 2]));
    desk.run("tick");
    assert_eq!(page(&mut desk, 1, 0), (2, 0, vec![1, 3, 4]));
    assert_eq!(page(&mut desk, 4, 1), (2, 0, vec![3, 4]), "by who does not stand first, too");
}

#[test]
fn who_is_away_has_two_records_and_both_are_on_one_page() {
    let mut desk = Desk::with(|limits, _| limits.max_frame = 120);
    (1..=30).for_each(|session| desk.run(&format!("{session} join")));
    desk.run("tick");
    (2..=30).for_each(|session| desk.run(&format!("{session} away")));
    desk.run("tick");
    let (mut after, mut told) = (0, Vec::new());
    loop {
        let (_, next, mut members) = page(&mut desk, 1, after);
        told.append(&mut members);
        if next == 0 {
            break;
        }
        after = next;
    }
    assert_eq!(told, [1].into_iter().chain((2..=30).flat_map(|number| [number; 2])).collect::<Vec<_>>());
}

#[test]
fn a_page_is_empty_where_presence_is_not_full() {
    for mode in [PresenceMode::Off, PresenceMode::Counts] {
        let mut desk = Desk::with(|_, class| class.presence = mode);
        desk.run("1 join, 2 join, tick");
        assert_eq!(page(&mut desk, 1, 0).1, 0);
        assert!(page(&mut desk, 1, 0).2.is_empty());
    }
    let mut desk = Desk::new();
    desk.run("1 page 0");
    desk.check(1, &["refused r3 232"]);
}
