//! The shapes of load: who sits in which room, who sends, and how often.
//!
//! ```text
//! A   arena     1 room, 100 members, each sends 32 bytes 20 times a second to all
//! B   ticker    1 sends 128 bytes 100 times a second to 1,000
//! C   lobbies   100 rooms of 10 members, each sends 32 bytes 20 times a second
//! D   fan-in    1,000 send 16 bytes 10 times a second to 1
//! A100          A at 100 times a second; each member gathers its messages for a tick, and sends them at once
//! VA VB VD VG   small and slow ones of these, of which every byte is checked
//! ```

/// What one connection is in a workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) index: u32,
    pub(crate) room: u32,
    /// Gets the room's messages.
    pub(crate) receives: bool,
    /// Sends to the room.
    pub(crate) sends: bool,
}

/// One shape of load.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) members: Vec<Who>,
    /// Indexes of those who send, in the order in which they take turns.
    pub(crate) senders: Vec<u32>,
    /// Messages that one sender sends in a second.
    pub(crate) rate: f64,
    /// Bytes of a message, at least 16.
    pub(crate) payload: usize,
    /// Senders of a room; those of room r begin at index r * `stride`.
    pub(crate) room_senders: u32,
    pub(crate) stride: u32,
    /// Receivers of one message, its sender not counted.
    pub(crate) others: u32,
    /// Whether the sender itself is in the room.
    pub(crate) self_receives: bool,
    /// Whether senders gather their messages for a tick.
    pub(crate) gathers: bool,
}

impl Workload {
    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "A" => Self::rooms(1, 100, 20.0, 32),
            "A100" => Self { gathers: true, ..Self::rooms(1, 100, 100.0, 32) },
            "B" => Self::split(1, 1000, 100.0, 128),
            "C" => Self::rooms(100, 10, 20.0, 32),
            "D" => Self::split(1000, 1, 10.0, 16),
            "VA" => Self::rooms(3, 7, 10.0, 32),
            "VB" => Self::split(1, 20, 20.0, 128),
            "VD" => Self::split(20, 1, 10.0, 16),
            "VG" => Self { gathers: true, ..Self::rooms(3, 7, 100.0, 32) },
            _ => return None,
        })
    }

    /// Rooms in which each member sends to all.
    pub(crate) fn rooms(rooms: u32, members: u32, rate: f64, payload: usize) -> Self {
        let all = rooms * members;
        let who = |index| Who { index, room: index / members, receives: true, sends: true };
        // One room after the other, so that each has as much in every tick. Within a room by a step that shares no factor
        // with its members: turns visit everybody.
        let step = [37, 41, 43, 1].into_iter().find(|step| !members.is_multiple_of(*step)).unwrap_or(1);
        let turn = |turn: u32| turn % rooms * members + turn / rooms * step % members;
        Self {
            members: (0..all).map(who).collect(),
            senders: (0..all).map(turn).collect(),
            rate,
            payload,
            room_senders: members,
            stride: members,
            others: members - 1,
            self_receives: true,
            gathers: false,
        }
    }

    /// One room of some that only send and some that only receive.
    fn split(senders: u32, receivers: u32, rate: f64, payload: usize) -> Self {
        let who = |index| Who { index, room: 0, receives: index >= senders, sends: index < senders };
        Self {
            members: (0..senders + receivers).map(who).collect(),
            senders: (0..senders).collect(),
            rate,
            payload,
            room_senders: senders,
            stride: 0,
            others: receivers,
            self_receives: false,
            gathers: false,
        }
    }

    /// Members of rooms of ten who say nothing.
    pub(crate) fn idle(connections: u32) -> Self {
        Self { rate: 0.0, ..Self::rooms(connections / 10, 10, 0.0, 32) }
    }

    /// How often one message is delivered.
    pub(crate) fn receivers(&self, echoes: bool) -> u64 {
        u64::from(self.others) + u64::from(echoes && self.self_receives)
    }

    /// Messages a second of all senders.
    pub(crate) fn total_rate(&self) -> f64 {
        self.rate * self.senders.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, connections: usize, per_second: f64, receivers: u64) {
        let work = Workload::named(name).unwrap();
        assert_eq!(work.members.len(), connections);
        assert_eq!((work.total_rate() * receivers as f64, work.receivers(true)), (per_second, receivers));
        let mut turns = work.senders.clone();
        turns.sort_unstable();
        turns.dedup();
        assert_eq!(turns.len(), work.senders.len(), "{name}: everybody has one turn in a round");
        assert!(turns.iter().all(|index| work.members[*index as usize].sends));
        for who in &work.members {
            assert!(!who.sends || who.index - who.room * work.stride < work.room_senders);
        }
    }

    #[test]
    fn the_shapes_are_as_documented() {
        check("A", 100, 200_000.0, 100);
        check("A100", 100, 1_000_000.0, 100);
        check("B", 1001, 100_000.0, 1000);
        check("C", 1000, 200_000.0, 10);
        check("D", 1001, 10_000.0, 1);
        check("VA", 21, 1470.0, 7);
        assert!(Workload::named("X").is_none());
        assert_eq!(Workload::named("A").unwrap().receivers(false), 99);
        assert_eq!(Workload::named("B").unwrap().receivers(false), 1000);
    }

    #[test]
    fn a_round_visits_everybody_at_every_size() {
        for (rooms, members) in [(1, 37), (37, 41), (10, 1000), (1000, 10), (1, 10_000), (37 * 41, 43)] {
            let mut turns = Workload::rooms(rooms, members, 1.0, 32).senders;
            turns.sort_unstable();
            assert!(turns.into_iter().eq(0..rooms * members), "{rooms} x {members}");
        }
    }

    #[test]
    fn rooms_take_turns_however_many_members_they_have() {
        for (rooms, members) in [(10, 1000), (1000, 10), (37, 41)] {
            let work = Workload::rooms(rooms, members, 1.0, 32);
            let in_turn = work.senders.iter().map(|sender| sender / members);
            assert!(in_turn.eq((0..rooms * members).map(|turn| turn % rooms)), "{rooms} x {members}");
        }
    }
}
