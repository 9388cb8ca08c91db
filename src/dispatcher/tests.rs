//! That work and memory follow what happens, and not how many rooms and members there are.

use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::command::{Hold, JoinCommand};
use crate::name::RoomName;
use crate::wire::Target;
use crate::wire::control::Mode;

/// Takes everything, but of batches nothing for one session.
struct Sink {
    stalled: u64,
}

impl Outlet<u64> for Sink {
    fn frame(&mut self, _to: &u64, _class: FrameClass, _frame: &Bytes) {}

    fn batch(&mut self, to: &u64, _batch: &Batch<'_>) -> Taken {
        if *to == self.stalled { Taken::Nothing } else { Taken::All }
    }

    fn lag(&mut self, to: &u64) -> Lag {
        Lag { bytes: if *to == self.stalled { usize::MAX / 2 } else { 0 }, frames: 0 }
    }

    fn direct(&mut self, _to: &u64, _direct: &Direct) {}

    fn refuse(&mut self, _to: &u64, refusal: &Refusal) {
        panic!("{refusal:?}");
    }

    fn released(&mut self, _to: &u64, hold: Hold, _left: &Bytes) {
        panic!("{hold:?}");
    }

    fn close(&mut self, _to: &u64, reason: Reason) {
        panic!("{reason:?}");
    }
}

/// A dispatcher and a clock.
struct Desk {
    dispatcher: Dispatcher<u64>,
    sink: Sink,
    now: Time,
}

impl Desk {
    /// So many rooms with so many members each. Sessions count from 0, room after room.
    fn new(rooms: u64, members: u64) -> Self {
        let dispatcher = Dispatcher::new(DispatcherConfig::new(Limits::default(), RoomClasses::default(), 1));
        let mut desk = Self { dispatcher, sink: Sink { stalled: u64::MAX }, now: Time::from_micros(1_000_000) };
        for session in 0..rooms * members {
            let name = RoomName::new(format!("room{}", session / members).as_bytes()).unwrap();
            let join = JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH);
            desk.ask(session, Command::Join(Box::new(join)));
        }
        desk
    }

    fn ask(&mut self, session: u64, command: Command) {
        self.dispatcher.handle_command(SessionId(session), &session, command, self.now, &mut self.sink);
    }

    fn say(&mut self, session: u64) {
        self.ask(
            session,
            Command::Publish(Publish {
                handle: Handle(0),
                number: 1,
                target: Target::Event,
                urgent: false,
                acknowledge: false,
                compressed: false,
                payload: Bytes::from_static(b"x"),
            }),
        );
    }

    /// Time passes, with a look every millisecond. Rooms and receivers that were looked at.
    fn pass(&mut self, time: Duration) -> usize {
        let before = self.dispatcher.looks;
        for _ in 0..time.as_millis() {
            self.now = self.now.after(Duration::from_millis(1));
            self.dispatcher.handle_timeout(self.now, &mut self.sink);
        }
        self.dispatcher.looks - before
    }
}

#[test]
fn a_tick_looks_at_no_room_but_those_that_have_something_to_send() {
    for rooms in [10, 1000] {
        let mut desk = Desk::new(rooms, 2);
        // Each once: it tells who has come, rests, and lets go of its past.
        assert_eq!(desk.pass(Duration::from_secs(120)) as u64, 3 * rooms);
        assert_eq!((desk.dispatcher.deadline(), desk.dispatcher.rests_at()), (None, None));
        assert_eq!(desk.pass(Duration::from_secs(10)), 0, "nobody says anything");
        desk.say(0);
        assert_eq!(desk.pass(Duration::from_millis(100)), 1);
        assert_eq!(desk.pass(Duration::from_secs(120)), 2, "it rests, and lets go of its past");
    }
}

#[test]
fn a_busy_room_is_looked_at_for_its_ticks_and_seldom_for_its_rest() {
    let mut desk = Desk::new(1, 2);
    desk.pass(Duration::from_secs(120));
    let mut looks = 0;
    for _ in 0..20 * 60 {
        desk.say(0);
        looks += desk.pass(Duration::from_millis(50));
    }
    // Sixty seconds of twenty ticks each.
    assert_eq!(looks, 1200 + 60 / 4 - 1);
}

#[test]
fn only_receivers_that_wait_are_looked_after() {
    for members in [10, 1000] {
        let mut desk = Desk::new(1, members);
        desk.pass(Duration::from_secs(120));
        desk.sink.stalled = members / 2;
        desk.say(0);
        assert_eq!(desk.pass(Duration::from_millis(55)), 1, "the tick finds it");
        let rounds = desk.pass(Duration::from_millis(1000));
        assert_eq!(rounds, 100, "every ten milliseconds, of {members} members");
        desk.sink.stalled = u64::MAX;
        assert_eq!(desk.pass(Duration::from_millis(10)), 1);
        assert_eq!(desk.dispatcher.deadline(), None);
    }
}

#[test]
fn what_many_rooms_have_taken_is_given_back() {
    let mut desk = Desk::new(5000, 1);
    desk.pass(Duration::from_millis(100));
    for session in 0..5000 {
        desk.dispatcher.handle_ended(SessionId(session), Reason::FINISHED, desk.now);
    }
    assert!(desk.dispatcher.seats.capacity() < 2 * FEW, "seats go with their sessions");
    desk.pass(Duration::from_secs(120));
    let Dispatcher { rooms, schedule, due, straggling, .. } = &desk.dispatcher;
    assert_eq!((rooms.len(), rooms.count()), (0, 0));
    let [places, names, free] = rooms.capacities();
    assert!(places == 0 && names < 2 * FEW && free <= FEW, "{places} {names} {free}");
    assert!(due.capacity() <= FEW && straggling.capacity() <= FEW && schedule.places() <= FEW);
    assert_eq!(desk.dispatcher.kept_bytes(), 0);
    // And it goes on as before, with the smallest places and numbers.
    desk.now = desk.now.after(Duration::from_secs(1));
    let name = RoomName::new(b"again").unwrap();
    desk.ask(1, Command::Join(Box::new(JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH))));
    assert_eq!((desk.dispatcher.rooms.len(), desk.dispatcher.ids.take().0), (1, 2));
}

#[test]
fn places_in_the_middle_are_taken_again() {
    let mut desk = Desk::new(100, 1);
    desk.pass(Duration::from_millis(100));
    // Places 90 to 99 go by their end, 20 and 30 stay free in the middle.
    for session in [20, 95, 30, 99, 98, 97, 96, 94, 93, 92, 91, 90] {
        desk.dispatcher.handle_ended(SessionId(session), Reason::FINISHED, desk.now);
        desk.pass(Duration::from_millis(100));
    }
    desk.pass(Duration::from_secs(70));
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.rooms.len()), (88, 90));
    for session in 100..115_u64 {
        let name = RoomName::new(format!("new{session}").as_bytes()).unwrap();
        desk.ask(session, Command::Join(Box::new(JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH))));
    }
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.rooms.len()), (103, 103));
    assert_eq!(desk.dispatcher.rooms.iter().count(), 103);
    desk.pass(Duration::from_millis(100));
    for session in (0..20).chain(100..115) {
        desk.say(session);
    }
    assert_eq!(desk.pass(Duration::from_millis(60)), 35, "each has its own room");
}

#[test]
fn a_room_that_is_left_and_joined_again_and_again_leaves_little_behind() {
    let mut desk = Desk::new(2, 1);
    for _ in 0..1000 {
        desk.dispatcher.handle_ended(SessionId(1), Reason::FINISHED, desk.now);
        desk.pass(Duration::from_millis(50));
        let name = RoomName::new(b"room1").unwrap();
        desk.ask(1, Command::Join(Box::new(JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH))));
        desk.pass(Duration::from_millis(1));
    }
    assert!(desk.dispatcher.lingering.len() < 3 * FEW, "{}", desk.dispatcher.lingering.len());
    desk.pass(Duration::from_secs(120));
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.lingering.len()), (2, 0));
    desk.dispatcher.handle_ended(SessionId(1), Reason::FINISHED, desk.now);
    desk.pass(Duration::from_secs(120));
    assert_eq!((desk.dispatcher.room_count(), desk.dispatcher.lingering.len()), (1, 0));
}

#[test]
fn a_page_goes_with_its_last_room_and_comes_again() {
    let mut desk = Desk::new(200, 1);
    desk.pass(Duration::from_millis(100));
    assert_eq!(desk.dispatcher.rooms.capacities()[0], 256, "four pages of 64");
    // The second page, and one room of the third.
    for session in 64..129 {
        desk.dispatcher.handle_ended(SessionId(session), Reason::FINISHED, desk.now);
    }
    desk.pass(Duration::from_secs(70));
    assert_eq!((desk.dispatcher.rooms.len(), desk.dispatcher.rooms.capacities()[0]), (200, 192));
    let names = || (200..280_u64).map(|session| (session, RoomName::new(format!("new{session}").as_bytes()).unwrap()));
    for (session, name) in names() {
        desk.ask(session, Command::Join(Box::new(JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH))));
    }
    let rooms = &desk.dispatcher.rooms;
    assert_eq!((rooms.count(), rooms.len(), rooms.capacities()[0]), (215, 215, 256));
    for (_, name) in names() {
        let index = rooms.find(&name).unwrap();
        assert_eq!(rooms.get(index).unwrap().room.name, name);
    }
    assert!(rooms.find(&RoomName::new(b"new280").unwrap()).is_none());
}
