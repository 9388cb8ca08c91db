//! What operators, and the application itself, do with the rooms of a shard.
//!
//! ```text
//! operator, room ──may?──> look at it | publish as member 0 | remove, close
//! ```
//!
//! An operator with a key is asked about like a client (PROTOCOL 15.1), and may never do more than its key says; the
//! application that embeds the server may everything.

mod look;
mod publish;
mod remove;
mod summary;

use std::sync::Arc;

pub use self::look::{AfterValue, MemberView, PAGE_BYTES, PAGE_MOST, Past, ValueView};
pub use self::publish::{OwnMessage, Published};
pub use self::remove::Whom;
pub use self::summary::{RoomOrder, RoomQuery, RoomSummary};
use super::{Dispatcher, Slot};
use crate::identity::Identity;
use crate::name::RoomName;
use crate::rights::{Asking, Rights};
use crate::wire::Reason;
use crate::wire::control::Mode;

/// Who asks: somebody with a key, or the application itself.
#[derive(Clone, Debug, Default)]
pub struct Operator(Option<(Arc<str>, Arc<Identity>)>);

impl Operator {
    /// The application that embeds the server: it may everything.
    pub const APPLICATION: Self = Self(None);

    /// Whether it may see a room, as far as its key says: what the server's application decides comes later, and
    /// costs more.
    pub(super) fn may_know(&self, room: &RoomName) -> bool {
        let Some((_, identity)) = &self.0 else { return true };
        !room.is_reserved() && identity.grants.verbs(room).rights().is_ok()
    }

    /// Whoever has the key of this name, which grants this.
    #[must_use]
    pub fn new(key: &str, identity: Arc<Identity>) -> Self {
        Self(Some((key.into(), identity)))
    }

    /// What its key grants.
    #[cfg(feature = "console")]
    pub(crate) fn grants(&self) -> Option<&crate::grants::Grants> {
        self.0.as_ref().map(|(_, identity)| &*identity.grants)
    }

    /// The name of its key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.as_ref().map(|(key, _)| &**key)
    }
}

impl<H: Clone> Dispatcher<H> {
    /// What an operator may do in a room.
    ///
    /// # Errors
    /// Why nothing.
    fn operator_rights(&mut self, operator: &Operator, room: &RoomName, mode: Mode) -> Result<Rights, Reason> {
        let Some((key, identity)) = &operator.0 else { return Ok(Rights::ALL) };
        let own = identity.grants.verbs(room).rights()?;
        let asking = Asking { subject: &[], identity: Some(identity), room, mode, key: Some(key) };
        // An application that decides by itself knows nothing of what keys are limited to.
        Ok(self.authorise(&asking)?.within(own))
    }

    /// The room of this name, where there is one.
    fn named(&self, room: &RoomName) -> Option<&Slot<H>> {
        self.rooms.find(room).and_then(|index| self.rooms.get(index))
    }
}
