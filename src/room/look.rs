//! A room, as operators see it.

use super::Room;
use crate::dispatcher::operate::RoomSummary;

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
}
