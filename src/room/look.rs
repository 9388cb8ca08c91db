//! A room, as operators see it.

use bytes::Bytes;

use super::Room;
use crate::dispatcher::operate::{AfterValue, MemberView, PAGE_BYTES, Past, RoomSummary, ValueView};
use crate::wire::{Epoch, Key, MemberNumber, Position};

impl<H: Clone> Room<H> {
    /// Members that have not left.
    pub(crate) const fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Messages and bytes that were sent to all.
    pub(crate) const fn sent(&self) -> (u64, u64) {
        self.sent
    }

    /// At a glance.
    pub(crate) fn summary(&self) -> RoomSummary {
        let (messages, bytes) = self.sent;
        RoomSummary {
            name: self.name.clone(),
            epoch: self.epoch(),
            position: self.position(),
            members: self.member_count(),
            receivers: self.members.receiver_count(),
            values: self.gathering.values.len(),
            kept_bytes: self.kept_bytes(),
            messages,
            bytes,
        }
    }

    /// Members with numbers above `after`, and whether there are more.
    pub(crate) fn member_views(&self, after: MemberNumber, limit: usize) -> (Vec<MemberView>, bool) {
        let mut views = Vec::new();
        let (mut last, mut bytes) = (after, 0);
        while let Some((number, member)) = self.members.after(last) {
            bytes += member.subject.len() + member.presence.len();
            if views.len() >= limit || bytes > PAGE_BYTES && !views.is_empty() {
                return (views, true);
            }
            views.push(MemberView {
                number,
                subject: Bytes::copy_from_slice(&member.subject),
                presence: Bytes::copy_from_slice(&member.presence),
                away: member.away,
                mode: member.mode,
            });
            last = number;
        }
        (views, false)
    }

    /// The members of a subject.
    pub(crate) fn members_of(&self, subject: &[u8]) -> Vec<MemberNumber> {
        self.members.all().filter(|(_, member)| *member.subject == *subject).map(|(number, _)| number).collect()
    }

    /// Values behind `after`, by owner and key, and whether there are more.
    pub(crate) fn value_views(&self, after: Option<AfterValue>, limit: usize) -> (Vec<ValueView>, bool) {
        let mut values: Vec<_> = self.gathering.values.current().filter(|value| Some(value.0) > after).collect();
        values.sort_unstable_by_key(|(place, _, _)| *place);
        let mut views = Vec::new();
        let mut bytes = 0;
        for ((owner, key), sender, payload) in values {
            bytes += payload.len();
            if views.len() >= limit || bytes > PAGE_BYTES && !views.is_empty() {
                return (views, true);
            }
            views.push(ValueView { owner, key, sender, payload: Bytes::copy_from_slice(payload) });
        }
        (views, false)
    }

    /// A value of the room itself.
    pub(crate) fn value_view(&self, key: Key) -> Option<ValueView> {
        let owner = MemberNumber::ROOM;
        let (sender, payload) = self.gathering.values.now(owner, key)?;
        Some(ValueView { owner, key, sender, payload: Bytes::copy_from_slice(payload) })
    }

    /// The batches that are kept behind `since`.
    pub(crate) fn past(&mut self, since: Option<(Epoch, Position)>, limit: usize) -> Past {
        let mut past = Past { epoch: self.epoch, position: self.position, ..Past::default() };
        // What nobody has sent yet is another life's, whatever it says.
        let known = since.filter(|(epoch, position)| *epoch == self.epoch && *position <= self.position);
        let after = known.map_or(Position(0), |(_, position)| position);
        let first = self.history.first();
        let starts = first.map_or_else(|| self.position.next(), |first| first.max(after.next()));
        past.lost = since.is_some() && (known.is_none() || starts > after.next());
        let (mut position, mut bytes) = (starts, 0);
        while let Some(frames) = self.history.get(position) {
            let frames: Vec<Bytes> = frames.cloned().collect();
            bytes += frames.iter().map(Bytes::len).sum::<usize>();
            if past.batches.len() >= limit || bytes > PAGE_BYTES && !past.batches.is_empty() {
                past.more = true;
                break;
            }
            past.batches.push((position, frames));
            position = position.next();
        }
        past
    }
}
