//! The flush: what a tick gathered becomes frames, once, and every receiver gets a reference.

use bytes::Bytes;

use super::members::MemberState;
use super::segment::Segment;
use super::{Direct, FrameClass, Outlet, Room, encode, push_here};
use crate::class::PresenceMode;
use crate::limits::Limits;
use crate::time::Time;
use crate::wire::control::{Command as Tell, Refused};
use crate::wire::header::flags;
use crate::wire::{Control, Extensions, Head, Kind, MemberNumber, Presence, Reason, Record, RequestId};

/// Buffers that one flush needs, kept by the owner of many rooms between flushes.
#[derive(Debug)]
pub(crate) struct FlushScratch {
    frames: Vec<Bytes>,
    came: Segment,
    left: Segment,
    values: Segment,
}

impl Default for FlushScratch {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            came: Segment::new(Kind::Presence),
            left: Segment::new(Kind::Presence),
            values: Segment::new(Kind::Value),
        }
    }
}

impl<H: Clone> Room<H> {
    /// Sends what was gathered, as one batch (PROTOCOL 8.3), and then the directs.
    pub(crate) fn flush(
        &mut self,
        urgent: bool,
        now: Time,
        limits: &Limits,
        scratch: &mut FlushScratch,
        out: &mut impl Outlet<H>,
    ) {
        let FlushScratch { frames, came, left, values } = scratch;
        let members = &mut self.members;
        self.values.flush(values, limits.max_frame, |owner| {
            if let Some(member) = members.get_mut(owner) {
                member.values = member.values.saturating_sub(1);
            }
        });
        self.gather_presence(came, left, limits);

        let tick = self.tick(now);
        let numbered = [&*came, &self.events, &*left].into_iter().any(|segment| !segment.is_empty());
        if numbered {
            self.position = self.position.next();
        }
        let head = Head { room: self.id, position: self.position, tick: Self::wire_tick(tick) };
        let options = if urgent { flags::URGENT } else { 0 };

        // PROTOCOL 8.3: who came, events, values, who left; all numbered frames but the last are
        // followed by more.
        let leaving = !left.is_empty();
        came.freeze(&head, options, leaving || !self.events.is_empty(), frames);
        self.events.freeze(&head, options, leaving, frames);
        let before_values = frames.len();
        values.freeze(&head, options, false, frames);
        let after_values = frames.len();
        left.freeze(&head, options, false, frames);

        for outlet in self.members.receivers() {
            for (index, frame) in frames.iter().enumerate() {
                let is_value = (before_values..after_values).contains(&index);
                let class = if is_value { FrameClass::Values } else { FrameClass::Numbered };
                out.frame(outlet, class, frame);
            }
        }
        frames.clear();
        self.flush_directs(tick, urgent, out);

        self.flushed_tick = tick;
        // PROTOCOL 8.4: they carry the tick of the last flush, also where it sent nothing to all.
        self.value_snapshot = None;
        self.member_snapshot = None;
        self.members.handle_flushed(now);
    }

    fn gather_presence(&self, came: &mut Segment, left: &mut Segment, limits: &Limits) {
        match self.class.presence {
            PresenceMode::Off => {}
            PresenceMode::Counts if self.members.has_touched() => {
                let mut payload = Vec::with_capacity(8);
                Presence::Count(self.members.len() as u64).encode(&mut payload);
                let record = Record { member: MemberNumber::ROOM, key: None, payload: &payload };
                came.push(&record, limits.max_frame);
            }
            PresenceMode::Counts => {}
            PresenceMode::Full => {
                for (number, member) in self.members.touched() {
                    // Who came and left within the tick is in both parts (PROTOCOL 11.5).
                    if !matches!(member.state, MemberState::Leaving { told: true, .. }) {
                        push_here(came, number, &member.subject, &member.presence, limits.max_frame);
                    }
                    if let MemberState::Leaving { reason, .. } = member.state {
                        let mut payload = Vec::with_capacity(4);
                        Presence::Left(reason).encode(&mut payload);
                        left.push(&Record { member: number, key: None, payload: &payload }, limits.max_frame);
                    }
                }
            }
        }
    }

    /// PROTOCOL 8.6: directs leave after the batch.
    fn flush_directs(&mut self, tick: u64, early: bool, out: &mut impl Outlet<H>) {
        for pending in self.directs.drain(..) {
            if let Some(to) = self.members.get(pending.to) {
                let direct = Direct {
                    room: self.id,
                    tick: Self::wire_tick(tick),
                    from: pending.from,
                    answers: 0,
                    payload: pending.payload,
                    urgent: pending.urgent && early,
                };
                out.direct(&to.outlet, &direct);
            } else if let Some(from) = self.members.get(pending.from) {
                // The receiver left before the tick: its sender is told.
                let reason = Reason::NO_SUCH_MEMBER;
                let refused = Refused { number: pending.number, reason, extensions: Extensions::NONE };
                let frame = encode(Control::new(RequestId(0), Tell::Refused(refused)));
                out.frame(&from.outlet, FrameClass::Control, &frame);
                out.refused(&from.outlet, None, false);
            }
        }
        self.direct_bytes = 0;
        self.presence_bytes = 0;
    }
}
