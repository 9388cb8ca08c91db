//! A connection that comes back: what applications build on (clients/SPEC.md).
//!
//! ```text
//! Link ──join──> Room ──publish, set, send──┐
//!   │              ^ latest, members        │       ┌── task ──────────────────────────────┐
//!   └─connect──────┴────────────────────────┴─────> │ Comeback ──> Client::resume ──> Open │ ──> server
//! Events <──State, Message, Outcome ... ─────────── └──────────────────────────────────────┘
//! ```
//!
//! A [`Link`] connects, and connects again as the server's reasons say; it joins its rooms again, gets what
//! they missed, and tells for each whether that is all of it ([`Outcome`]). Messages that cannot leave wait, within bounds,
//! as their [`Policy`] says; those that were under way when a connection broke are sent again where nobody got them,
//! and only there. Tokens are renewed before they expire.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tickwire::client::link::{Link, LinkConfig, LinkEvent, RoomOptions};
//!
//! let (link, mut events) = Link::new(LinkConfig::to("ws://127.0.0.1:7070/ws")?);
//! let room = link.join("arena", RoomOptions::default())?;
//! link.connect();
//! let _ = room.publish("hello")?;
//! while let Some(event) = events.next().await {
//!     if let LinkEvent::Message(message) = event {
//!         println!("{}: {:?}", message.member, message.payload);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What waits and what is kept has bounds: messages out ([`LinkConfig::queue`]) and unaccepted
//! ([`ClientConfig::unaccepted`](super::ClientConfig::unaccepted)), events ([`LinkConfig::events`]), and 16 MiB for the
//! values, and for the members, of a room. Payloads are views on the frame they came in.
//!
//! Of clients/SPEC.md it leaves out one thing: a list of members that is too long for one answer is not fetched in pages
//! ([`Room::members`] then knows none).
//!
//! The link ends when it is [closed](Link::close), by its application or for good by the server, or when the last of
//! its handles has gone: every clone of the [`Link`], its [`Room`]s, and its [`Events`].

mod config;
mod entry;
mod error;
mod event;
mod events;
mod expiry;
mod inbound;
mod interpolate;
mod keeper;
mod known;
mod log;
mod open;
mod outbound;
mod renewal;
mod room;
mod shared;
mod shown;
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::config::{LinkConfig, Policy, RoomOptions, SendOptions, TokenResult, Tokens};
pub use self::error::{ErrorKind, LinkError, TokenError};
pub use self::event::{
    Changed, Content, LinkEvent, LinkState, Message, MessageId, Outcome, Presence, PresenceChange, RefusedMessage,
    RoomState, Unsent, Value,
};
pub use self::events::Events;
pub use self::interpolate::{Interpolate, Interpolation};
pub use self::room::{Room, Sent};

use self::entry::Entry;
use self::keeper::Keeper;
use self::shared::{Shared, State, Wish};
use crate::client::Sample;
use crate::name::RoomName;
use crate::wire::Reason;

/// A connection that comes back. Clones are cheap, and mean the same.
#[derive(Clone)]
pub struct Link(Guard);

/// What keeps a link: its last handle closes it.
#[derive(Clone)]
struct Guard(Arc<Handles>);

struct Handles {
    shared: Arc<Shared>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.shared.change(|state| state.wish = Wish::Closed);
        self.shared.wishes.notify_one();
    }
}

impl Link {
    /// Makes a link that is not connected yet, and the stream of what happens. Must be called inside a tokio
    /// runtime: a task is started that owns the connection.
    #[must_use]
    pub fn new(config: LinkConfig) -> (Self, Events) {
        let shared = Arc::new(Shared::new(&config));
        tokio::spawn(Keeper::new(Arc::clone(&shared), config).run());
        let guard = Guard(Arc::new(Handles { shared }));
        (Self(guard.clone()), Events(guard))
    }

    /// Connects, and stays connected as long as it can. Does nothing unless the state is `disconnected`.
    pub fn connect(&self) {
        self.wish(|state| {
            if state.wish == Wish::Off {
                state.wish = Wish::On;
            }
        });
    }

    /// Ends the session, and tries nothing more until [`connect`](Self::connect). Rooms stay wanted.
    pub fn disconnect(&self) {
        self.wish(|state| {
            if state.wish == Wish::On {
                state.wish = Wish::Off;
                state.disconnects += 1;
            }
        });
    }

    /// Ends the session and leaves all rooms, for good. What still waits is thrown away: so many messages. Wait for
    /// [`settled`](Self::settled) before, if they matter, and for the end of the [`Events`] behind.
    #[must_use = "says how many messages were thrown away"]
    pub fn close(&self) -> usize {
        let dropped = self.shared().change(|state| {
            let dropped = state.loads.messages();
            for entry in state.rooms.values_mut() {
                entry.waiting.clear(&mut state.loads);
                entry.wanted = false;
            }
            for (_, waiting) in state.draining.values_mut() {
                waiting.clear(&mut state.loads);
            }
            dropped
        });
        self.wish(|state| state.wish = Wish::Closed);
        dropped
    }

    /// Wants to be in a room from now on. A room that is wanted already is the same, as it is.
    ///
    /// # Errors
    /// [`LinkError::RoomName`], or [`LinkError::Closed`].
    pub fn join(&self, name: &str, options: RoomOptions) -> Result<Room, LinkError> {
        let name = RoomName::new(name.as_bytes()).ok_or(LinkError::RoomName)?;
        self.shared().change(|state| {
            if state.wish == Wish::Closed {
                return Err(LinkError::Closed);
            }
            // One that is being left is another.
            if state.rooms.get(&name).is_some_and(|entry| !entry.wanted) {
                state.drain_room(&name);
            }
            if !state.rooms.contains_key(&name) {
                state.generations += 1;
                state.rooms.insert(name.clone(), Entry::new(options, state.generations));
                state.set_room(&name, RoomState::Joining, Reason(0), "");
            }
            Ok(())
        })?;
        self.shared().wishes.notify_one();
        Ok(Room { name, guard: self.0.clone() })
    }

    /// The room of this name, if it is wanted.
    #[must_use]
    pub fn room(&self, name: &str) -> Option<Room> {
        let name = RoomName::new(name.as_bytes())?;
        let is_wanted = self.shared().lock().rooms.get(&name).is_some_and(|entry| entry.wanted);
        is_wanted.then(|| Room { name, guard: self.0.clone() })
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.shared().lock().link
    }

    /// Server time in milliseconds, by the best of the last answers to pings. It does not go back within a
    /// connection. None before the first connection.
    #[must_use]
    pub fn server_time(&self) -> Option<f64> {
        self.shared().lock().server_time().map(|micros| micros as f64 / 1000.0)
    }

    /// How well the server's clock is known: the best of the last answers to pings. None before the first connection.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        self.shared().lock().clock.as_ref()?.best()
    }

    /// The largest message that the server takes, in bytes; before the first connection, that any server does.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.shared().lock().max_message
    }

    /// How long the last ping took, there and back.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.shared().lock().rtt
    }

    /// Messages that wait until they can leave.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared().lock().loads.messages()
    }

    /// Waits until the server has welcomed this client. Cancel safe.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where that will not be: its event says why.
    pub async fn connected(&self) -> Result<(), LinkError> {
        let look = |state: &mut State| match state.link {
            LinkState::Connected => Some(Ok(())),
            LinkState::Closed => Some(Err(LinkError::Closed)),
            _ => None,
        };
        self.shared().until(look).await
    }

    /// Waits until no message waits, and every one was accepted or refused; where the server does not tell what it
    /// accepts, until they were passed on. Cancel safe.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the link is closed before.
    pub async fn settled(&self) -> Result<(), LinkError> {
        let look = |state: &mut State| match state.link {
            _ if state.loads.is_empty() && state.unaccepted == 0 => Some(Ok(())),
            LinkState::Closed => Some(Err(LinkError::Closed)),
            _ => None,
        };
        self.shared().until(look).await
    }

    fn wish(&self, change: impl FnOnce(&mut State)) {
        self.shared().change(change);
        self.shared().wishes.notify_one();
    }

    fn shared(&self) -> &Shared {
        &self.0.0.shared
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("state", &self.state()).finish_non_exhaustive()
    }
}
