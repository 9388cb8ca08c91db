//! What clients have published, as the rooms themselves saw it: over all servers since the reset.
//!
//! ```text
//! client ──event──> room: Ear (relays) ──queue──> Witness: room -> events, in the order of the room
//! ```
//!
//! An ear is the logic of a room and no member of it: it changes no count, no position and no message.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tickwire::logic::{Context, Message, RoomLogic, Verdict};
use tickwire::name::RoomName;
use tickwire::wire::{MemberNumber, Target};
use tokio::sync::mpsc;

/// Events that wait to be written down. 4,096: what rooms take in some hundred milliseconds of a busy machine.
const WAITING: usize = 4096;

/// Events that are kept. 65,536: scenarios publish a few.
const MOST: usize = 65_536;

/// Their bytes. 16 MiB.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// An event of a client.
type Heard = (RoomName, Box<[u8]>);

/// Keeps what clients have published.
#[derive(Debug)]
pub(super) struct Witness {
    queue: mpsc::Receiver<Heard>,
    ears: Ears,
    events: HashMap<RoomName, Vec<Box<[u8]>>>,
    count: usize,
    bytes: usize,
}

/// Makes the ears of rooms.
#[derive(Clone, Debug)]
pub(super) struct Ears {
    queue: mpsc::Sender<Heard>,
    missed: Arc<AtomicBool>,
}

impl Witness {
    /// One that has heard nothing.
    pub(super) fn new() -> Self {
        let (sender, queue) = mpsc::channel(WAITING);
        let ears = Ears { queue: sender, missed: Arc::default() };
        Self { queue, ears, events: HashMap::new(), count: 0, bytes: 0 }
    }

    /// For the rooms of a server.
    pub(super) fn ears(&self) -> Ears {
        self.ears.clone()
    }

    /// Writes down the next event. Cancel safe.
    pub(super) async fn hear(&mut self) {
        if let Some(heard) = self.queue.recv().await {
            self.keep(heard);
        }
    }

    /// The events of a room; `None` where more was published than is kept.
    pub(super) fn events(&mut self, room: &RoomName) -> Option<&[Box<[u8]>]> {
        while let Ok(heard) = self.queue.try_recv() {
            self.keep(heard);
        }
        let whole = !self.ears.missed.load(Ordering::Relaxed);
        whole.then(|| self.events.get(room).map_or(&[][..], Vec::as_slice))
    }

    fn keep(&mut self, (room, payload): Heard) {
        self.count += 1;
        self.bytes += payload.len();
        if self.count > MOST || self.bytes > MOST_BYTES {
            self.ears.missed.store(true, Ordering::Relaxed);
            return;
        }
        self.events.entry(room).or_default().push(payload);
    }
}

impl Ears {
    /// The logic of a room.
    pub(super) fn of(&self, room: &RoomName) -> Ear {
        Ear { room: room.clone(), ears: self.clone() }
    }
}

/// Relays, and tells what it relays.
#[derive(Debug)]
pub(super) struct Ear {
    room: RoomName,
    ears: Ears,
}

impl RoomLogic for Ear {
    fn wants_ticks(&self) -> bool {
        false
    }

    fn message(&mut self, _from: MemberNumber, message: &Message<'_>, _room: &mut Context<'_>) -> Verdict {
        if message.target == Target::Event
            && self.ears.queue.try_send((self.room.clone(), message.payload.into())).is_err()
        {
            self.ears.missed.store(true, Ordering::Relaxed);
        }
        Verdict::Relay
    }
}

#[cfg(test)]
mod tests {
    use tickwire::class::RoomClass;
    use tickwire::limits::Limits;
    use tickwire::logic::Harness;
    use tickwire::wire::Key;

    use super::*;

    fn named(name: &str) -> RoomName {
        RoomName::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn events_are_heard_in_order_and_values_are_not() {
        let mut witness = Witness::new();
        let ears = witness.ears();
        let mut room = Harness::with("r", Limits::default(), RoomClass::default(), move |room| ears.of(room));
        let ann = room.join("ann", b"").unwrap();
        room.event(ann, b"one").unwrap();
        room.value(ann, Key::member(1), b"v").unwrap();
        room.event(ann, b"two").unwrap();
        assert_eq!(witness.events(&named("r")).unwrap(), [Box::from(&b"one"[..]), Box::from(&b"two"[..])]);
        assert_eq!(witness.events(&named("s")).unwrap().len(), 0);
    }

    #[test]
    fn what_was_not_heard_is_known() {
        let mut witness = Witness::new();
        let ears = witness.ears();
        let mut room = Harness::with("r", Limits::default(), RoomClass::default(), move |room| ears.of(room));
        let ann = room.join("ann", b"").unwrap();
        for _ in 0..=WAITING {
            room.event(ann, b"").unwrap();
        }
        assert_eq!(witness.events(&named("r")), None);
    }
}
