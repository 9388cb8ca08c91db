//! An operator's connection: a session that is known to be an operator's before it says a word.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::grants::{Grants, Verbs};
use crate::identity::Identity;
use crate::name::Pattern;
use crate::server::Handle;
use crate::server::api::ApiKey;
use crate::server::connection::{self, Connection, Speaks};
use crate::server::identify::Identified;
use crate::server::registry::Place;
use crate::wire::Reason;

/// What stands before an operator's name in what others see of him.
const SUBJECT: &str = "operator:";

/// What an operator may who looks on.
const LOOKS_ON: Verbs = Verbs::JOIN.with(Verbs::RECEIVE).with(Verbs::VALUES).with(Verbs::HISTORY).with(Verbs::PRESENCE);

/// An operator of this name, who looks into the rooms that fit one of these patterns, and into all rooms
/// where there are none.
fn identity<'a>(name: &str, rooms: impl Iterator<Item = &'a Pattern>) -> Identity {
    let mut patterns: Vec<Pattern> = rooms.cloned().collect();
    if patterns.is_empty() {
        patterns.extend(Pattern::new("**"));
    }
    let grants = Grants::new(patterns.into_iter().map(|pattern| (pattern, LOOKS_ON)).collect());
    let mut subject = format!("{SUBJECT}{name}").into_bytes();
    subject.truncate(Identity::MAX_NAME);
    Identity {
        subject: subject.into(),
        // Too many patterns are none.
        grants: Arc::new(grants.unwrap_or_default().for_operator()),
        ..Identity::default()
    }
}

/// Whoever has this key.
pub(super) fn with_key(key: &ApiKey) -> Identity {
    let grants = key.operator().grants().into_iter().flat_map(Grants::iter);
    identity(key.name(), grants.map(|(pattern, _)| pattern))
}

impl Handle {
    /// Serves a byte stream on which the application has made the WebSocket handshake with an operator, whose
    /// key it has looked at: for [`console`](crate::server::console)'s page and `tickwire top`. `read` is what
    /// was read behind the request. The session has the subject `operator:` and `name`, may receive in the
    /// rooms that fit one of `rooms`, in all where there are none, among them those of the server's own, and
    /// publishes nothing. It counts as a connection.
    ///
    /// Returns when the connection has ended. Not cancel safe: dropped, it ends the connection without a
    /// word.
    ///
    /// # Errors
    /// [`Reason::SERVER_FULL`] or [`Reason::MEMORY`] where there is no place for it, [`Reason::TOKEN`]
    /// where that subject is revoked.
    pub async fn attach_operator<T>(&self, io: T, read: Bytes, name: &str, rooms: &[Pattern]) -> Result<(), Reason>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let (place, identity) = self.place_for_operator(identity(name, rooms.iter()))?;
        self.run_operator(io, read, place, identity).await;
        Ok(())
    }

    /// A place for an operator's connection, unless he is revoked.
    pub(super) fn place_for_operator(&self, identity: Identity) -> Result<(Place, Arc<Identity>), Reason> {
        let identity = Arc::new(identity);
        self.access.check_memory().map_err(|_| Reason::MEMORY)?;
        let place = self.registry.take_place().ok_or(Reason::SERVER_FULL)?;
        let identified = Identified { identity: Arc::clone(&identity), expires: None, issued: None };
        place.identify(&identified, SystemTime::now())?;
        Ok((place, identity))
    }

    pub(super) async fn run_operator<T>(&self, io: T, read: Bytes, place: Place, identity: Arc<Identity>)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let (connected, speaks) = (self.surroundings().clock.now(), Speaks::Operator { read, identity });
        let surroundings = self.surroundings();
        connection::task::run(Connection::new(io, speaks, surroundings, place, None, connected)).await;
    }
}
