//! One connection of a link, from WELCOME to its end.
//!
//! ```text
//! wishes, messages ──> Open ──Sender──> server
//!              State <─────<──Receiver──┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::config::LinkConfig;
use super::error::{LinkError, TokenError};
use super::event::LinkEvent;
use super::log::Log;
use super::outbound::{Blocked, LATER_PAUSE};
use super::renewal::Renewal;
use super::shared::Shared;
use super::waiting::Waits;
use crate::client::{Client, Comeback, Error, Receiver, Resumed, Sender, Token};
use crate::name::RoomName;
use crate::wire::{Capabilities, Handle, Reason, RequestId};

/// How long a server has to answer CLOSE. 2 s: as long as it waits itself (PROTOCOL 4.3).
const FAREWELL: Duration = Duration::from_secs(2);

/// The longest that a client waits to hear of what it has sent, before it leaves. 1 s: a tick, and the way there and
/// back.
const MAX_GOING: Duration = Duration::from_secs(1);

/// A connection.
pub(super) struct Open<'a> {
    pub(super) shared: &'a Shared,
    pub(super) config: &'a LinkConfig,
    pub(super) log: &'a mut Log,
    pub(super) comeback: &'a mut Comeback,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) asked: BTreeMap<Handle, Asked>,
    /// Rooms that were refused for now.
    pub(super) retries: BTreeMap<RoomName, Retry>,
    /// Questions to pause, or to go on.
    pub(super) pauses: BTreeMap<RequestId, (Handle, bool)>,
    /// Where the server does not tell what it accepts: messages of which no byte had left lately.
    pub(super) unwritten: Vec<(u64, RoomName, Waits)>,
    /// Memberships that nobody wants.
    pub(super) strays: Vec<Handle>,
    /// Rooms of which a batch is through.
    pub(super) ticks: BTreeSet<(RoomName, u64)>,
    pub(super) renewal: Renewal,
    /// It is to end: until when this client waits to hear of what it has sent.
    pub(super) going: Option<Instant>,
    /// The application wants it to end; else the server goes away.
    is_asked: bool,
    /// Where the server sends this client.
    pub(super) address: Option<String>,
    pub(super) pings: u32,
    pub(super) ping_at: Instant,
    /// Nothing can be written any more.
    pub(super) is_mute: bool,
}

/// A JOIN that was sent.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: RoomName,
    pub(super) generation: u64,
    pub(super) request: RequestId,
    pub(super) joined: bool,
    /// Whether LEAVE was sent.
    pub(super) leaving: bool,
    /// What was asked for last: to be paused.
    pub(super) paused: bool,
}

/// When a room is asked for again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    /// Which join of it.
    pub(super) generation: u64,
    pub(super) at: Instant,
    pub(super) failures: u32,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It failed, or the server closed it.
    Failed(Error),
    /// The server goes away; when to come back is known.
    Moved,
    /// The application wants to.
    Asked,
    /// This client cannot go on, or keep what comes.
    Stopped(LinkError, Reason),
}

impl<'a> Open<'a> {
    /// `generations` are those of the rooms that were joined again.
    pub(super) fn new(
        shared: &'a Shared,
        config: &'a LinkConfig,
        log: &'a mut Log,
        comeback: &'a mut Comeback,
        client: Client,
        generations: &BTreeMap<Handle, u64>,
        token: Option<&Token>,
    ) -> Self {
        let can_renew = client.terms().capabilities.has(Capabilities::TOKEN) && config.tokens.is_some();
        let (sender, receiver) = client.split();
        let asked = sender.progress().asked().into_iter().map(|(request, handle, name)| {
            let generation = generations.get(&handle).copied().unwrap_or_default();
            (handle, Asked { name, generation, request, joined: false, leaving: false, paused: false })
        });
        let asked = asked.collect();
        Self {
            shared,
            config,
            log,
            comeback,
            sender,
            receiver,
            asked,
            retries: BTreeMap::new(),
            pauses: BTreeMap::new(),
            unwritten: Vec::new(),
            strays: Vec::new(),
            ticks: BTreeSet::new(),
            renewal: Renewal::new(token.filter(|_| can_renew)),
            going: None,
            is_asked: false,
            address: None,
            pings: 0,
            ping_at: Instant::now(),
            is_mute: false,
        }
    }

    /// Tells what became of the session.
    pub(super) fn handle_resumed(&mut self, resumed: &Resumed) {
        let mut state = self.shared.lock();
        state.max_message = self.sender.max_message().min(super::shared::MAX_MESSAGE);
        state.backlog = Some(self.sender.backlog().clone());
        state.clock = Some(self.receiver.clock().clone());
        state.last_time = 0;
        state.rtt = self.receiver.clock().round_trip();
        state.unaccepted = self.sender.progress().unaccepted();
        if let Some((first, last)) = resumed.lost_directs {
            state.tell(LinkEvent::DirectsLost(first, last));
        }
    }

    /// Runs the connection to its end, or until the application has wished to disconnect more often than so. What came
    /// is through then.
    pub(super) async fn run(&mut self, disconnects: u64) -> Ended {
        let ended = match self.run_on(disconnects).await {
            Err(ended) => ended,
            Ok(never) => match never {},
        };
        self.tell_ticks();
        ended
    }

    async fn run_on(&mut self, disconnects: u64) -> Result<std::convert::Infallible, Ended> {
        loop {
            if self.going.is_none() && !self.shared.is_wished(disconnects) {
                self.is_asked = true;
                self.prepare_to_go(MAX_GOING);
            }
            self.check_going().await?;
            if let Some(tokens) = &self.config.tokens {
                self.renewal.handle_time(Instant::now(), tokens);
            }
            let blocked = self.try_write().await?;
            let (has_place, next) = (self.shared.has_place(), self.next_time());
            let (is_full, backlog) = (blocked == Blocked::Queue, self.sender.backlog().clone());
            tokio::select! {
                () = self.shared.wishes.notified() => {}
                read = self.receiver.next_untaken(), if has_place => {
                    let (event, bytes) = read.map_err(Ended::Failed)?;
                    self.handle_event(event, bytes)?;
                    self.read_what_is_here()?;
                }
                () = self.shared.place.notified(), if !has_place => {}
                ready = self.sender.ready(), if is_full => self.is_mute |= ready.is_err(),
                () = backlog.changed(), if blocked == Blocked::Busy => {}
                () = tokio::time::sleep_until(next) => {}
                token = self.renewal.answered() => self.handle_token(token)?,
            }
        }
    }

    /// Reads what is here without waiting, as far as there is room for it; then batches are through.
    fn read_what_is_here(&mut self) -> Result<(), Ended> {
        while self.shared.has_place() {
            match self.receiver.try_next_untaken().map_err(Ended::Failed)? {
                Some((event, bytes)) => self.handle_event(event, bytes)?,
                None => break,
            }
        }
        self.tell_ticks();
        Ok(())
    }

    /// Reads to the end, as far as there is room for it.
    async fn drain(&mut self) -> Result<(), Ended> {
        while self.shared.has_place() {
            let (event, bytes) = self.receiver.next_untaken().await.map_err(Ended::Failed)?;
            self.handle_event(event, bytes)?;
        }
        Ok(())
    }

    /// Says goodbye, and takes what comes before the answer.
    async fn farewell(&mut self) {
        let goodbye = async {
            self.sender.close().await.map_err(Ended::Failed)?;
            self.drain().await
        };
        // However it ends, it ends.
        let _ = timeout(FAREWELL, goodbye).await;
    }

    /// Sends nothing more, and waits to hear of what it has sent: at most so long.
    pub(super) fn prepare_to_go(&mut self, wait: Duration) {
        self.going = Instant::now().checked_add(wait.min(MAX_GOING));
        // The answer tells what was accepted.
        self.ping_at = Instant::now();
    }

    /// PROTOCOL 6.9: leaves when it has heard of everything that it has sent.
    async fn check_going(&mut self) -> Result<(), Ended> {
        let Some(until) = self.going else { return Ok(()) };
        if Instant::now() < until && self.sender.progress().unaccepted() > 0 {
            return Ok(());
        }
        self.farewell().await;
        Err(if self.is_asked { Ended::Asked } else { Ended::Moved })
    }

    /// When something is to be done, should nothing happen before.
    fn next_time(&self) -> Instant {
        let retries = self.retries.values().map(|retry| retry.at);
        let times = retries.chain(self.renewal.at()).chain(self.going).chain([self.ping_at]);
        let now = Instant::now();
        // What is past was done, or waits for something else.
        times.filter(|at| *at > now).fold(now + LATER_PAUSE, Instant::min)
    }

    fn handle_token(&mut self, token: Result<Option<Token>, LinkError>) -> Result<(), Ended> {
        match token {
            Ok(Some(token)) => self.renewal.handle_token(token),
            // clients/SPEC.md 3: it has no right to be connected.
            Ok(None) => return Err(Ended::Stopped(LinkError::Token(TokenError::None), Reason::TOKEN)),
            Err(error) => {
                self.renewal.handle_failure();
                self.shared.change(|state| state.error(error));
            }
        }
        Ok(())
    }

    /// Every message that is not known to be accepted, and the highest of which a byte may have left.
    pub(super) fn leftovers(&self) -> (Vec<(u64, Bytes)>, u64) {
        (self.sender.progress().all_kept(), self.sender.backlog().begun())
    }
}
