//! Other rules for a server that runs.
//!
//! ```text
//! Reload ──checked──> Surroundings ──> new connections
//!                 ├─> Identify ──────> every token that comes from now on
//!                 ├─> Access ────────> who may connect
//!                 └─> Mail::Rules ───> shards: bounds of all rooms, classes of new ones
//! ```
//!
//! Sessions that are there keep the bounds they were told. So bounds that a room and its receivers must agree on stay
//! as they are until the next start, as do those by which something was sized: [`Reload::FIXED`].

use std::fmt;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::access::AccessConfig;
use super::api::{ApiKey, check_keys};
use super::connection::Surroundings;
use super::identify::Identify;
use super::mailbox::Mail;
use super::{Error, Handle};
use crate::class::{RoomClass, RoomClasses};
use crate::limits::Limits;
use crate::session::Facts;
use crate::time::Time;
use crate::wire::Capabilities;

/// What is to be different. What is not set stays as it is.
#[derive(Clone, Default)]
#[must_use]
pub struct Reload {
    limits: Option<Limits>,
    access: Option<AccessConfig>,
    classes: Option<RoomClasses>,
    identify: Option<Arc<dyn Identify>>,
    query: Option<bool>,
    api_keys: Option<Vec<ApiKey>>,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, access, classes, identify, query, api_keys } = self;
        let mut shown = f.debug_struct("Reload");
        shown.field("limits", limits).field("access", access).field("classes", classes);
        shown.field("identify", &identify.is_some()).field("query", query).field("api_keys", api_keys).finish()
    }
}

/// A bound that stays until the next start.
type Fixed = (&'static str, fn(&Limits, &mut Limits) -> bool);

/// Has `to` say what `from` says. Whether that is something else.
macro_rules! fixed {
    ($($name:ident)+) => {
        [$((stringify!($name), |from, to| std::mem::replace(&mut to.$name, from.$name) != from.$name)),+]
    };
}

/// In the order of [`Limits`].
const FIXED: [Fixed; 16] = fixed! {
    max_frame max_message max_batch outbox_bytes outbox_frames low_water connection_chunks read_gathering grace max_away
    max_connections max_greeting max_handshakes address_handshakes max_memory memory_watermark
};

impl Reload {
    /// Names of the limits that stay until the next start: those that a room and all its receivers share
    /// (`max_frame`, `max_message`, `max_batch`, `outbox_bytes`, `outbox_frames`, `low_water`), and those by which
    /// places and mailboxes are counted.
    pub const FIXED: [&'static str; FIXED.len()] = {
        let mut names = [""; FIXED.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = FIXED[index].0;
            index += 1;
        }
        names
    };

    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bounds that peers meet. New connections get them; rooms keep to theirs at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Who may connect from now on, and who is believed to speak for others.
    pub fn access(mut self, access: AccessConfig) -> Self {
        self.access = Some(access);
        self
    }

    /// How rooms behave that are made from now on.
    pub fn classes(mut self, classes: RoomClasses) -> Self {
        self.classes = Some(classes);
        self
    }

    /// Who verifies tokens from now on, renewals and returns of sessions that are there included. Such sessions go on
    /// until their token expires, also where its key is gone: see [`Handle::revoke`] for those that must not. A server
    /// that has verified tokens cannot stop doing so.
    pub fn identify(mut self, identify: impl Identify) -> Self {
        self.identify = Some(Arc::new(identify));
        self
    }

    /// Whether a token may come in the query of a request: as
    /// [`Builder::query_tokens`](super::Builder::query_tokens).
    pub const fn query_tokens(mut self, taken: bool) -> Self {
        self.query = Some(taken);
        self
    }

    /// With which keys operators come from now on: as [`Builder::api_keys`](super::Builder::api_keys). Operators who are
    /// connected stay.
    pub fn api_keys(mut self, keys: Vec<ApiKey>) -> Self {
        self.api_keys = Some(keys);
        self
    }
}

/// New rules for shards.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    pub(super) classes: Option<RoomClasses>,
    /// Given back when every shard has these: so there are never two in a mailbox.
    _turn: OwnedSemaphorePermit,
}

impl Handle {
    /// Gives a server other rules, before it runs or while it does. Returns the names of limits that should change
    /// and cannot before the next start (see [`Reload::FIXED`]); everything else has changed.
    ///
    /// Changes are made one after the other: this waits until all shards have taken the one before. They do so while
    /// the server runs. So before [`Server::run`](super::Server::run) one reload can be awaited, and a second one
    /// waits until that has begun: whoever awaits it first, and runs the server then, waits forever. Cancel safe: it
    /// has done everything, or nothing.
    ///
    /// # Errors
    /// Where the new rules contradict themselves, or with limits that cannot change yet. Then nothing has changed.
    pub async fn reload(&self, reload: Reload) -> Result<Vec<&'static str>, Error> {
        // It is never closed.
        let turn = Arc::clone(&self.reloads).acquire_owned().await.map_err(|_| Error::ShardDied)?;
        let Reload { limits, access, classes, identify, query, api_keys } = reload;
        let before = self.surroundings();
        let mut limits = limits.unwrap_or_else(|| before.facts.limits.clone());
        limits.check().map_err(Error::Limits)?;
        let differs = |(name, keep): Fixed| keep(&before.facts.limits, &mut limits).then_some(name);
        let waiting: Vec<&'static str> = FIXED.into_iter().filter_map(differs).collect();
        limits.check().map_err(Error::Limits)?;
        access.as_ref().map_or(Ok(()), AccessConfig::check).map_err(Error::Access)?;
        api_keys.as_deref().map_or(Ok(()), check_keys).map_err(Error::ApiKeys)?;
        let all = classes
            .iter()
            .flat_map(|classes| classes.by_pattern.iter().map(|(_, class)| class).chain([&classes.default]));
        if all.into_iter().any(|class| !RoomClass::is_valid_period(class.period)) {
            return Err(Error::Period);
        }
        // From here on nothing fails, and nothing waits.
        let mut identification = before.identification.clone();
        identification.query = query.unwrap_or(identification.query);
        let mut capabilities = before.facts.capabilities;
        if let Some(identify) = identify {
            identification.replace(identify);
            capabilities = capabilities.with(Capabilities::TOKEN);
        }
        let facts = Arc::new(Facts { limits: limits.clone(), capabilities, ..Facts::clone(&before.facts) });
        let mailboxes = match &classes {
            Some(classes) => before.mailboxes.with_classes(classes),
            None => before.mailboxes.clone(),
        };
        self.access.replace(access, &facts);
        if let Some(keys) = api_keys {
            self.operators.replace(keys);
        }
        // What mail may wait for is the operator's; the rooms of the server itself have classes of their own.
        #[cfg(feature = "console")]
        let classes = classes.map(super::console::Feed::among_classes);
        self.surroundings.store(Surroundings { facts, mailboxes, clock: before.clock, identification });
        let rules = Arc::new(Rules { limits, classes, _turn: turn });
        for shard in 0..before.mailboxes.len() {
            // A shard that is gone takes the server with it.
            let _gone = before.mailboxes.send(shard, Mail::Rules(Arc::clone(&rules)), Time::ZERO);
        }
        Ok(waiting)
    }
}
