//! The flush: what a tick gathered becomes frames, once, and every receiver gets a reference.

use bytes::Bytes;

use super::members::MemberState;
use super::receivers::{Receiver, Standing, What};
use super::segment::{Fate, Segment};
use super::snapshot::{push, push_away, push_here};
use super::volume::Messages;
use super::{Batch, Direct, Outlet, Refusal, Room, Taken, Turn};
use crate::class::{PresenceMode, SlowPolicy};
use crate::deflate::Deflater;
use crate::limits::Limits;
use crate::rights::{Shown, Sight};
use crate::wire::header::flags;
use crate::wire::{Head, Kind, MemberNumber, Position, Presence, Reason, RequestId};

/// Buffers that one flush needs, kept by the owner of many rooms between flushes.
#[derive(Debug)]
pub(crate) struct FlushScratch {
    plain: Frames,
    deflated: Frames,
    shown: Frames,
    came: Segment,
    left: Segment,
    values: Segment,
}

/// The frames of a batch, in their order.
#[derive(Debug, Default)]
struct Frames {
    frames: Vec<Bytes>,
    values: std::ops::Range<usize>,
    numbered_bytes: usize,
    value_bytes: usize,
}

impl Default for FlushScratch {
    fn default() -> Self {
        Self {
            plain: Frames::default(),
            deflated: Frames::default(),
            shown: Frames::default(),
            came: Segment::new(Kind::Presence),
            left: Segment::new(Kind::Presence),
            values: Segment::new(Kind::Value),
        }
    }
}

impl Frames {
    fn clear(&mut self) {
        self.frames.clear();
        self.values = 0..0;
    }

    /// Counts the bytes, once the frames are there.
    fn measure(&mut self) {
        self.value_bytes = self.frames[self.values.clone()].iter().map(Bytes::len).sum();
        self.numbered_bytes = self.frames.iter().map(Bytes::len).sum::<usize>() - self.value_bytes;
    }

    fn numbered(&self) -> impl Iterator<Item = &Bytes> {
        let is_value = |index: &usize| self.values.contains(index);
        self.frames.iter().enumerate().filter(move |(index, _)| !is_value(index)).map(|(_, frame)| frame)
    }

    const fn batch(&self, wants_values: bool) -> Batch<'_> {
        Batch {
            frames: self.frames.as_slice(),
            values: self.values.start..self.values.end,
            wants_values,
            numbered_bytes: self.numbered_bytes,
            value_bytes: self.value_bytes,
        }
    }

    const fn all_bytes(&self) -> usize {
        self.numbered_bytes + self.value_bytes
    }

    /// `plain`, each frame compressed where that makes it smaller (PROTOCOL 12.4).
    fn deflate(&mut self, plain: &Self, deflater: &mut Deflater) {
        let deflated = |frame: &Bytes| deflater.deflate_frame(frame).unwrap_or_else(|| frame.clone());
        self.frames.extend(plain.frames.iter().map(deflated));
        self.values = plain.values.clone();
        self.measure();
    }

    /// What of `whole` somebody who sees these kinds is shown.
    fn show(&mut self, whole: &Self, sight: Sight) {
        self.clear();
        for (index, frame) in whole.frames.iter().enumerate() {
            if index == whole.values.start {
                self.values = self.frames.len()..self.frames.len();
            }
            match sight.show(frame) {
                Shown::Whole => self.frames.push(frame.clone()),
                Shown::Blank(blank) => self.frames.push(blank),
                Shown::Nothing => {}
            }
            if whole.values.contains(&index) {
                self.values.end = self.frames.len();
            }
        }
        self.measure();
    }
}

impl<H: Clone> Room<H> {
    /// Sends what was gathered, as one batch (PROTOCOL 8.3), and then the directs.
    pub(crate) fn flush(&mut self, urgent: bool, scratch: &mut FlushScratch, turn: &mut Turn<'_, impl Outlet<H>>) {
        let FlushScratch { plain, deflated, shown, came, left, values } = scratch;
        let (value_count, conflated) = self.gathering.values.take_counts();
        let messages = Messages { events: self.gathering.event_count, values: value_count as u64 };
        turn.tools.volume.conflated += conflated;
        self.gathering.values.flush(values, turn.limits.max_frame);
        self.gather_presence(came, left, turn.limits);

        let tick = self.tick(turn.now);
        let numbered = [&*came, &self.gathering.events, &*left].into_iter().any(|segment| !segment.is_empty());
        if numbered {
            self.position = self.position.next();
        }
        self.flushed_tick = tick;
        let head = self.snapshot_head();
        let options = if urgent { flags::URGENT } else { 0 };

        // PROTOCOL 8.3: who came, events, values, who left; all numbered frames but the last are
        // followed by more.
        let (leaving, events) = (!left.is_empty(), &mut self.gathering.events);
        let fate = if self.class.history.batches == 0 { Fate::Sent } else { Fate::Kept };
        let buffers = &mut turn.tools.buffers;
        let more = leaving || !events.is_empty();
        came.freeze(&head, options, more, buffers, fate, &mut plain.frames);
        events.freeze(&head, options, leaving, buffers, fate, &mut plain.frames);
        plain.values.start = plain.frames.len();
        values.freeze(&head, options, false, buffers, Fate::Sent, &mut plain.frames);
        plain.values.end = plain.frames.len();
        left.freeze(&head, options, false, buffers, fate, &mut plain.frames);
        plain.measure();
        self.sent.0 += messages.events + messages.values;
        self.sent.1 += plain.all_bytes() as u64;

        if self.deflates(plain, turn.limits.deflate_threshold) {
            deflated.deflate(plain, &mut turn.tools.deflater);
            self.deflation.handle(plain.all_bytes(), deflated.all_bytes());
            turn.tools.volume.deflate_in += plain.all_bytes() as u64;
            turn.tools.volume.deflate_out += deflated.all_bytes() as u64;
        }
        self.fan_out(plain, deflated, shown, messages, turn);
        if numbered {
            let buffers = &mut turn.tools.buffers;
            self.history.push(self.position, plain.numbered(), turn.now, self.class.history, buffers);
        }
        plain.clear();
        deflated.clear();
        shown.clear();
        self.flush_directs(&head, urgent, turn);

        // PROTOCOL 8.4: they carry the tick of the last flush, also where it sent nothing to all.
        self.snapshots.handle_flushed();
        self.gathering.handle_flushed();
        self.members.handle_flushed(turn.now, self.position);
    }

    /// Gives every receiver what it takes.
    fn fan_out(
        &mut self,
        plain: &Frames,
        deflated: &Frames,
        shown: &mut Frames,
        messages: Messages,
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) {
        if plain.frames.is_empty() {
            return;
        }
        // Who sees the same as the one before shares its frames.
        let mut shown_to = Sight::ALL;
        let since = self.gathering.values.flushes() - 1;
        let (position, policy) = (self.position, self.class.slow);
        let numbered = plain.numbered_bytes > 0;
        let (receivers, stragglers) = self.members.receivers_and_stragglers();
        // Who does not get the events is counted: most do.
        let (mut without_events, all) = (0, receivers.len());
        let (mut values_to, mut without_values) = (0, 0);
        for receiver in &mut *receivers {
            let wants_values = receiver.what == What::All && matches!(receiver.standing, Standing::Current);
            let frames = match receiver.traits.sight {
                Sight::ALL if receiver.traits.inflates && !deflated.frames.is_empty() => deflated,
                Sight::ALL => plain,
                sight => {
                    if shown_to != sight {
                        shown.show(plain, sight);
                        shown_to = sight;
                    }
                    without_events += usize::from(!sight.events);
                    without_values += usize::from(wants_values && !sight.values);
                    &*shown
                }
            };
            if matches!(receiver.standing, Standing::Lost { .. } | Standing::Replaying { .. })
                || !(wants_values || numbered)
            {
                without_events += usize::from(receiver.traits.sight.events);
                continue;
            }
            match turn.out.batch(&receiver.outlet, &frames.batch(wants_values)) {
                Taken::All => {
                    values_to += usize::from(wants_values);
                    continue;
                }
                Taken::Numbered if !wants_values || frames.values.is_empty() => continue,
                Taken::Numbered => {
                    receiver.standing = Standing::Behind { since };
                    turn.tools.counters.behind += 1;
                }
                Taken::Nothing => {
                    without_events += usize::from(receiver.traits.sight.events);
                    lose(receiver, position, policy, turn);
                }
            }
            receiver.wait(stragglers);
        }
        let values_to = values_to.saturating_sub(without_values);
        turn.tools.volume.handle_batch(messages, plain.frames.len(), all - without_events, values_to);
    }

    /// Whether the batch is to be compressed: somebody can read that, and it has been of use lately.
    fn deflates(&mut self, plain: &Frames, threshold: usize) -> bool {
        // Below the threshold nothing is tried, so that it does not count as a try that gave nothing.
        plain.frames.iter().any(|frame| frame.len() > threshold)
            && self.members.receivers().iter().any(|receiver| receiver.traits.inflates)
            && self.deflation.is_due()
    }

    fn gather_presence(&self, came: &mut Segment, left: &mut Segment, limits: &Limits) {
        match self.class.presence {
            PresenceMode::Off => {}
            PresenceMode::Counts if self.members.has_touched() => {
                push(came, MemberNumber::ROOM, Presence::Count(self.members.len() as u64), limits.max_frame);
            }
            PresenceMode::Counts => {}
            PresenceMode::Full => {
                for (number, member) in self.members.touched() {
                    let told = matches!(member.state, MemberState::Here | MemberState::Leaving { told: true, .. });
                    let leaving = matches!(member.state, MemberState::Leaving { .. });
                    let only_away = told && member.away && !self.members.shows_other(number);
                    // Who came and left within the tick is in both parts (PROTOCOL 11.5).
                    if !(told && leaving || only_away) {
                        push_here(came, number, &member.subject, &member.presence, limits.max_frame);
                    }
                    if member.away && !leaving {
                        push_away(came, number, limits.max_frame);
                    }
                    if let MemberState::Leaving { reason, .. } = member.state {
                        push(left, number, Presence::Left(reason), limits.max_frame);
                    }
                }
            }
        }
    }

    /// PROTOCOL 8.6: directs leave after the batch.
    fn flush_directs(&mut self, head: &Head, early: bool, turn: &mut Turn<'_, impl Outlet<H>>) {
        for pending in self.gathering.drain_directs() {
            turn.tools.volume.directs += 1;
            if let Some(to) = self.members.get(pending.to) {
                let direct = Direct {
                    room: head.room,
                    tick: head.tick,
                    from: pending.from,
                    answers: pending.answers,
                    payload: pending.payload,
                    urgent: pending.urgent && early,
                };
                turn.out.direct(&to.outlet, &direct);
                turn.tools.volume.direct_deliveries += 1;
            } else if let Some(from) = self.members.get(pending.from) {
                // The receiver left before the tick: its sender is told.
                let refusal = Refusal {
                    request: RequestId(0),
                    number: pending.number,
                    reason: Reason::NO_SUCH_MEMBER,
                    joining: None,
                    avoidable: false,
                };
                turn.out.refuse(&from.outlet, &refusal);
            }
        }
    }
}

/// A receiver does not get this batch: the second rung of the ladder (PROTOCOL 12.5).
fn lose<H>(receiver: &mut Receiver<H>, position: Position, policy: SlowPolicy, turn: &mut Turn<'_, impl Outlet<H>>) {
    receiver.standing = Standing::Lost { from: position };
    match policy {
        SlowPolicy::Skip => turn.tools.counters.skipped += 1,
        SlowPolicy::Close => {
            turn.tools.counters.closed_by_class += 1;
            turn.out.close(&receiver.outlet, Reason::SLOW);
        }
    }
}
