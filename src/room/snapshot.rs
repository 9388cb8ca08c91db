//! Snapshots and pages: the state as of the last flush, for newcomers and those who have drained
//! (PROTOCOL 8.4, 6.15).
//!
//! ```text
//! flush 7 ──> snapshot of 7, made when the first one asks ──> shared by all who ask before flush 8
//!             older ones stay while somebody is being sent them, at most SNAPSHOTS of them:
//!             then who wants one waits, and all who wait share the next
//! ```

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::receivers::{Cursor, Standing};
use super::segment::Segment;
use super::{Room, Turn, encode};
use crate::class::PresenceMode;
use crate::limits::Limits;
use crate::places::Places;
use crate::time::Time;
use crate::wire::control::{Command as Tell, Page};
use crate::wire::{Control, Extensions, Head, Kind, MemberNumber, Presence, Record, RequestId};

/// Snapshots of values that may be on their way at once, and as many compressed ones. 16: each can be
/// as large as all values of the room, and a thousand receivers who read nothing must not each hold
/// another. A few slow ones who do not begin together need not wait for each other.
const SNAPSHOTS: usize = 16;

/// How long one may be on its way while others wait. 10 s: all that a room may hold at 100 KB/s.
/// Who needs longer begins anew, so that a few who read nothing do not stop everybody.
const LIFE: Duration = Duration::from_secs(10);

/// Snapshots that were made, where there are any: few rooms have one at a time.
#[derive(Debug, Default)]
pub(super) struct Snapshots(Option<Box<Made>>);

#[derive(Debug, Default)]
struct Made {
    /// The latest values and the members, until a flush changes them.
    values: Option<Arc<[Bytes]>>,
    /// The values once more, compressed.
    deflated: Option<Arc<[Bytes]>>,
    members: Option<Arc<[Bytes]>>,
    /// Those that are being sent, oldest first. Mostly one.
    under_way: SmallVec<[UnderWay; 1]>,
}

/// A snapshot that is being sent.
#[derive(Debug)]
struct UnderWay {
    frames: Arc<[Bytes]>,
    deflated: bool,
    made: Time,
}

impl Snapshots {
    /// A flush has changed the room.
    pub(super) fn handle_flushed(&mut self) {
        let Some(made) = &mut self.0 else { return };
        // Those that nobody is being sent any more are not kept until somebody asks again.
        made.under_way.retain(|snapshot| Arc::strong_count(&snapshot.frames) > 1);
        if made.under_way.is_empty() {
            self.0 = None;
            return;
        }
        made.under_way.give_back(2);
        (made.values, made.deflated, made.members) = (None, None, None);
    }

    /// Nobody has asked for a while: those that are on their way stay.
    pub(super) fn rest(&mut self) {
        self.handle_flushed();
    }

    /// The latest values, compressed or not.
    fn latest(&self, deflated: bool) -> Option<&Arc<[Bytes]>> {
        let made = self.0.as_ref()?;
        if deflated { made.deflated.as_ref() } else { made.values.as_ref() }
    }

    /// These are the latest values now, and on their way.
    fn begin(&mut self, frames: &Arc<[Bytes]>, deflated: bool, now: Time) {
        let made = self.0.get_or_insert_default();
        let latest = if deflated { &mut made.deflated } else { &mut made.values };
        *latest = Some(Arc::clone(frames));
        made.under_way.push(UnderWay { frames: Arc::clone(frames), deflated, made: now });
    }
}

impl<H: Clone> Room<H> {
    /// A cursor at the start of what describes the last flush, or later, where too many snapshots are
    /// on their way.
    pub(super) fn begin_snapshot(&mut self, inflates: bool, turn: &mut Turn<'_, impl super::Outlet<H>>) -> Standing {
        if self.snapshots.latest(inflates).is_none() && !self.has_room_for_snapshot(inflates, turn.now) {
            return Standing::Waiting { void: false };
        }
        let frames = if inflates { self.deflated_frames(turn) } else { self.values_frames(turn) };
        Standing::Sending(Box::new(Cursor { frames, sent: 0, flush: self.gathering.values.flushes() }))
    }

    fn deflated_frames(&mut self, turn: &mut Turn<'_, impl super::Outlet<H>>) -> Arc<[Bytes]> {
        if let Some(made) = self.snapshots.latest(true) {
            return Arc::clone(made);
        }
        let plain = self.values_frames(turn);
        let deflater = &mut turn.tools.deflater;
        let deflated = |frame: &Bytes| deflater.deflate_frame(frame).unwrap_or_else(|| frame.clone());
        let made: Arc<[Bytes]> = plain.iter().map(deflated).collect();
        self.snapshots.begin(&made, true, turn.now);
        made
    }

    /// The members, where a queue holds the list: PROTOCOL 6.3. It is sent at once and not by and by,
    /// so that no batch comes between its frames.
    pub(super) fn list(&mut self, limits: &Limits) -> Option<Arc<[Bytes]>> {
        let frames = self.members_frames(limits);
        (frames.iter().map(Bytes::len).sum::<usize>() <= limits.outbox_bytes / 2).then_some(frames)
    }

    fn values_frames(&mut self, turn: &Turn<'_, impl super::Outlet<H>>) -> Arc<[Bytes]> {
        if let Some(made) = self.snapshots.latest(false) {
            return Arc::clone(made);
        }
        let (head, values) = (self.snapshot_head(), &self.gathering.values);
        let made: Arc<[Bytes]> = values.snapshot(turn.limits.max_frame).freeze_snapshot(&head).into();
        self.snapshots.begin(&made, false, turn.now);
        made
    }

    /// Whether one more snapshot may be made. Those that nobody is being sent are let go of, and one
    /// that has been on its way for too long: whoever is still at it begins anew.
    fn has_room_for_snapshot(&mut self, deflated: bool, now: Time) -> bool {
        let Some(made) = &mut self.snapshots.0 else { return true };
        let Made { under_way, .. } = &mut **made;
        under_way.retain(|snapshot| Arc::strong_count(&snapshot.frames) > 1);
        if under_way.iter().filter(|snapshot| snapshot.deflated == deflated).count() < SNAPSHOTS {
            return true;
        }
        let is_old = |snapshot: &UnderWay| snapshot.deflated == deflated && now.since(snapshot.made) >= LIFE;
        let Some(oldest) = under_way.iter().position(is_old) else { return false };
        let oldest = under_way.remove(oldest).frames;
        let (receivers, stragglers) = self.members.receivers_and_stragglers();
        for receiver in receivers {
            if matches!(&receiver.standing, Standing::Sending(cursor) if Arc::ptr_eq(&cursor.frames, &oldest)) {
                receiver.standing = Standing::Waiting { void: true };
                receiver.wait(stragglers);
            }
        }
        true
    }

    fn members_frames(&mut self, limits: &Limits) -> Arc<[Bytes]> {
        let head = self.snapshot_head();
        let (members, presence) = (&self.members, self.class.presence);
        let made = || {
            let mut segment = Segment::new(Kind::Members);
            for (number, member, data) in members.told(MemberNumber(0)).filter(|_| presence == PresenceMode::Full) {
                push_here(&mut segment, number, &member.subject, data, limits.max_frame);
                if member.told_away {
                    push_away(&mut segment, number, limits.max_frame);
                }
            }
            segment.freeze_snapshot(&head).into()
        };
        Arc::clone(self.snapshots.0.get_or_insert_default().members.get_or_insert_with(made))
    }

    /// PROTOCOL 8.4: a snapshot describes the last flush.
    pub(super) fn snapshot_head(&self) -> Head {
        Head { room: self.id, position: self.position, tick: Self::wire_tick(self.flushed_tick) }
    }

    /// Answers MEMBERS with a page (PROTOCOL 6.15).
    pub(crate) fn members_page(
        &mut self,
        number: MemberNumber,
        outlet: &H,
        request: RequestId,
        after: MemberNumber,
        turn: &mut Turn<'_, impl super::Outlet<H>>,
    ) {
        let Some(asking) = self.members.get(number) else { return };
        let (mut records, mut next) = (Vec::new(), MemberNumber(0));
        let shown = self.class.presence == PresenceMode::Full && asking.rights.rights().presence;
        let mut last = after;
        for (number, member, data) in self.members.told(after).filter(|_| shown) {
            let before = records.len();
            put_here(number, &member.subject, data, &mut records);
            if member.told_away {
                put_away(number, &mut records);
            }
            // One alone always fits a frame: `Limits::check` sees to that.
            if before > 0 && records.len() > Self::page_bytes(turn.limits) {
                records.truncate(before);
                next = last;
                break;
            }
            last = number;
        }
        let (handle, position) = (asking.hold.handle, self.position);
        let page = Page { handle, position, next, records: &records, extensions: Extensions::NONE };
        let frame = encode(Control::new(request, Tell::Page(page)));
        // Not the member's: where its session was resumed, that is still the old connection's.
        turn.out.frame(outlet, super::FrameClass::Control, &frame);
    }

    /// What a page's records may take: a frame, without what stands around them.
    const fn page_bytes(limits: &Limits) -> usize {
        limits.max_frame.saturating_sub(64)
    }
}

/// A record that somebody is here, or came back, or shows other data.
pub(super) fn push_here(segment: &mut Segment, number: MemberNumber, subject: &[u8], data: &[u8], max_frame: usize) {
    push(segment, number, Presence::Here { subject, data }, max_frame);
}

pub(super) fn push_away(segment: &mut Segment, number: MemberNumber, max_frame: usize) {
    push(segment, number, Presence::Away, max_frame);
}

pub(super) fn push(segment: &mut Segment, number: MemberNumber, presence: Presence<'_>, max_frame: usize) {
    let mut payload: SmallVec<[u8; 128]> = SmallVec::new();
    presence.encode(&mut SmallPut(&mut payload));
    segment.push(&Record { member: number, key: None, payload: &payload }, max_frame);
}

fn put_here(number: MemberNumber, subject: &[u8], data: &[u8], out: &mut Vec<u8>) {
    put(number, Presence::Here { subject, data }, out);
}

fn put_away(number: MemberNumber, out: &mut Vec<u8>) {
    put(number, Presence::Away, out);
}

fn put(number: MemberNumber, presence: Presence<'_>, out: &mut Vec<u8>) {
    let mut payload: SmallVec<[u8; 128]> = SmallVec::new();
    presence.encode(&mut SmallPut(&mut payload));
    Record { member: number, key: None, payload: &payload }.encode(out);
}

/// Presence records are small: they are made without an allocation.
struct SmallPut<'a>(&'a mut SmallVec<[u8; 128]>);

impl crate::wire::Put for SmallPut<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
