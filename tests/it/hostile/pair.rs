//! Two who behave, in a room of their own: every batch comes, once and in order.

use std::collections::VecDeque;

use bytes::Bytes;
use tickwire::wire::header::flags;
use tickwire::wire::{Frame, FrameType, Kind, ServerData};

use crate::server::hear::Membership;
use crate::server::peer::Peer;
use crate::server::say;

/// Two peers on handle 1 of one room.
pub struct Pair {
    members: [(Peer, Ear); 2],
    said: u32,
}

/// What a member has heard: positions without a hole, ticks that never go back (PROTOCOL 8.1, 8.3).
pub struct Ear {
    position: u64,
    /// Whether the batch of that position is whole.
    complete: bool,
    tick: Option<u16>,
    events: VecDeque<Bytes>,
}

impl Pair {
    pub fn new(members: [(Peer, Membership); 2]) -> Self {
        Self { members: members.map(|(peer, joined)| (peer, Ear::new(joined))), said: 0 }
    }

    /// Each says something, and both hear it: next, and nothing else.
    pub async fn talk(&mut self) {
        for speaker in 0..2 {
            self.said += 1;
            let said = self.said.to_be_bytes();
            self.members[speaker].0.send(&say::event(1, &said)).await;
            for (peer, ear) in &mut self.members {
                assert_eq!(ear.event(peer).await, said[..]);
            }
        }
    }
}

impl Ear {
    pub const fn new(joined: Membership) -> Self {
        Self { position: joined.position, complete: true, tick: None, events: VecDeque::new() }
    }

    /// Takes a frame down: its tick, where it has events.
    pub fn hear(&mut self, frame: &Frame) -> Option<u16> {
        assert_eq!(frame.header.frame_type, FrameType::Data, "{frame:?}");
        let data = ServerData::decode(frame.header.flags, &frame.payload).unwrap().unwrap();
        if matches!(data.kind, Kind::Presence | Kind::Event) {
            self.follow(data.head.position.0, data.head.tick, frame.header.flags & flags::MORE != 0);
        }
        if data.kind != Kind::Event {
            return None;
        }
        let events = data.records().map(|record| frame.payload.slice_ref(record.unwrap().payload));
        self.events.extend(events);
        Some(data.head.tick)
    }

    /// The oldest event that was heard and not yet taken.
    pub fn take(&mut self) -> Option<Bytes> {
        self.events.pop_front()
    }

    async fn event(&mut self, peer: &mut Peer) -> Bytes {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            let frame = peer.next().await.expect("a batch, and not the end");
            self.hear(&frame);
        }
    }

    fn follow(&mut self, position: u64, tick: u16, more: bool) {
        assert_eq!(position, self.position + u64::from(self.complete), "a batch is missing, or comes again");
        let ahead = tick.wrapping_sub(self.tick.unwrap_or(tick));
        assert!(ahead < 1 << 15, "tick {tick} after {:?}", self.tick);
        (self.position, self.complete, self.tick) = (position, !more, Some(tick));
    }
}
