//! The task of a link: attempts, connections, and what lies between them (clients/SPEC.md 1, 2).
//!
//! ```text
//!          wish: on                  WELCOME
//! waits ────────────> attempt ──────────────────> Open
//!   ^                    │ failed                   │ ended
//!   └───── Comeback ─────┴──────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::config::LinkConfig;
use super::error::{LinkError, TokenError};
use super::event::{LinkEvent, LinkState, Unsent, escaped};
use super::log::Log;
use super::open::{Ended, Open};
use super::renewal::ask;
use super::shared::{Shared, Wish};
use super::waiting::Waits;
use crate::client::resume::PointRoom;
use crate::client::{
    Client, Closing, Comeback, Error, JoinOptions, ResumePoint, Resumed, Scheme, Token, Unconfirmed, Url,
};
use crate::name::RoomName;
use crate::wire::{DecodeError, Handle, Reason};

/// Keeps a link.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    config: LinkConfig,
    comeback: Comeback,
    log: Log,
    /// What is left of a session whose connection broke.
    broken: Option<Broken>,
    /// Where the server has sent this client, until that fails.
    elsewhere: Option<Url>,
    /// The token was refused, and the callback is asked once more.
    asked_again: bool,
    /// That was done at once, and no connection has stood since.
    hurried: bool,
    /// How often the application had wished to disconnect.
    disconnects: u64,
}

/// A session that may be resumed.
struct Broken {
    point: ResumePoint,
    /// Which joins its rooms belong to.
    generations: BTreeMap<Handle, u64>,
    /// The highest message of which a byte may have left.
    begun: u64,
}

/// What became of an attempt.
enum Attempt {
    Connected(Box<Client>, Resumed, Option<Token>),
    Failed(Error),
    NoToken(LinkError),
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, config: LinkConfig) -> Self {
        let (comeback, log) = (Comeback::default(), Log::new(config.client.unaccepted_messages));
        let (broken, elsewhere) = (None, None);
        Self { shared, config, comeback, log, broken, elsewhere, asked_again: false, hurried: false, disconnects: 0 }
    }

    /// Runs until the link is closed.
    pub(super) async fn run(mut self) {
        // What connect() wants, it wants at once.
        let mut waits = false;
        loop {
            let (wish, disconnects) = self.shared.wish();
            match wish {
                Wish::Closed => break,
                // A disconnect that a connect has followed at once is one.
                Wish::On if disconnects != self.disconnects => {
                    self.disconnect(disconnects);
                    waits = false;
                }
                Wish::Off => {
                    self.disconnect(disconnects);
                    waits = false;
                    self.shared.wishes.notified().await;
                }
                Wish::On => {
                    self.set_state(LinkState::Connecting, Reason(0), "");
                    if waits && !self.wait().await {
                        continue;
                    }
                    waits = true;
                    self.comeback.handle_attempt();
                    let Some(attempt) = self.attempt_while_wished().await else { continue };
                    self.handle_attempt(attempt).await;
                }
            }
        }
        self.forget_session();
        self.set_state(LinkState::Closed, Reason(0), "");
        self.shared.finish();
    }

    /// As it was in the beginning, but for the rooms.
    fn disconnect(&mut self, disconnects: u64) {
        self.disconnects = disconnects;
        self.forget_session();
        self.set_state(LinkState::Disconnected, Reason(0), "");
        self.comeback = Comeback::default();
        (self.asked_again, self.hurried) = (false, false);
    }

    /// Waits until it is time, and the application has taken what came. False where it wants something else.
    async fn wait(&mut self) -> bool {
        let Some(at) = self.comeback.next() else { return true };
        loop {
            let has_place = self.shared.has_place();
            tokio::select! {
                () = tokio::time::sleep_until(at), if has_place => return true,
                () = self.shared.place.notified(), if !has_place => {}
                () = self.shared.wishes.notified() => if !self.shared.is_wished(self.disconnects) { return false },
            }
        }
    }

    /// An attempt, unless the application wants something else meanwhile.
    async fn attempt_while_wished(&mut self) -> Option<Attempt> {
        let (shared, disconnects) = (Arc::clone(&self.shared), self.disconnects);
        let attempt = self.attempt();
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                attempted = &mut attempt => return Some(attempted),
                () = shared.wishes.notified() => if !shared.is_wished(disconnects) { return None },
            }
        }
    }

    async fn attempt(&mut self) -> Attempt {
        let token = match &self.config.tokens {
            None => self.config.client.token.clone(),
            Some(tokens) => match ask(tokens.clone()).await {
                Ok(Some(token)) => Some(token),
                Ok(None) => return Attempt::NoToken(LinkError::Token(TokenError::None)),
                Err(error) => return Attempt::NoToken(error),
            },
        };
        let mut config = self.config.client.clone();
        config.token.clone_from(&token);
        if let Some(url) = &self.elsewhere {
            config.url = url.clone();
        }
        // Rooms are joined: one that the address names would be in the way of its own join.
        config.url = config.url.without_room();
        let connected = match &mut self.broken {
            None => Client::connect(&config).await.map(|client| (client, Resumed::default())),
            Some(broken) => {
                broken.prepare(&self.shared);
                Client::resume(&config, &broken.point).await
            }
        };
        match connected {
            Ok((client, resumed)) => Attempt::Connected(Box::new(client), resumed, token),
            Err(error) => Attempt::Failed(error),
        }
    }

    async fn handle_attempt(&mut self, attempt: Attempt) {
        match attempt {
            Attempt::Connected(client, resumed, token) => {
                self.comeback.handle_connected();
                self.asked_again = false;
                let generations = self.handle_session(&resumed);
                let ended = self.run_connection(*client, &resumed, &generations, token.as_ref()).await;
                self.handle_ended(ended);
            }
            Attempt::Failed(error) => {
                let was_elsewhere = self.elsewhere.take().is_some();
                self.handle_failed(error, true, was_elsewhere);
            }
            Attempt::NoToken(error) => {
                let is_final = matches!(error, LinkError::Token(TokenError::None));
                self.shared.change(|state| state.error(error));
                if is_final {
                    self.close(Reason::TOKEN, Reason::TOKEN.sentence());
                } else {
                    self.comeback.handle_error(&Error::Ended);
                }
            }
        }
    }

    /// A connection, from WELCOME to its end.
    async fn run_connection(
        &mut self,
        client: Client,
        resumed: &Resumed,
        generations: &BTreeMap<Handle, u64>,
        token: Option<&Token>,
    ) -> Ended {
        let (shared, config) = (Arc::clone(&self.shared), self.config.clone());
        let mut open = Open::new(&shared, &config, &mut self.log, &mut self.comeback, client, generations, token);
        open.handle_resumed(resumed);
        shared.change(|state| state.set_link(LinkState::Connected, Reason(0), ""));
        let ended = open.run(self.disconnects).await;
        if let Some(address) = &open.address {
            self.elsewhere = elsewhere(address, &config.client.url);
        }
        let (kept, begun) = open.leftovers();
        let unwritten = std::mem::take(&mut open.unwritten);
        let may_resume = matches!(&ended, Ended::Failed(_));
        let point = open.receiver.resume_point().filter(|_| may_resume);
        let generations = open.asked.iter().map(|(handle, asked)| (*handle, asked.generation)).collect();
        if matches!(&ended, Ended::Failed(Error::Silent | Error::Io(_))) {
            // No close frame follows, which would end the session.
            open.sender.break_off();
        }
        drop(open);
        match point {
            Some(point) => self.broken = Some(Broken { point, generations, begun }),
            None => {
                self.handle_lost(kept, begun);
                self.give_back_unwritten(unwritten, begun);
            }
        }
        ended
    }

    /// WELCOME came: what of the session before goes on, and which joins its rooms belong to.
    fn handle_session(&mut self, resumed: &Resumed) -> BTreeMap<Handle, u64> {
        let Some(broken) = self.broken.take() else {
            self.log.clear();
            return BTreeMap::new();
        };
        if !resumed.session {
            self.give_back(resumed.unconfirmed.clone(), broken.begun);
            self.log.clear();
        }
        broken.generations
    }

    fn handle_ended(&mut self, ended: Ended) {
        self.hurried &= !self.comeback.has_stood();
        match ended {
            // It may have been wanted again meanwhile: then at once.
            Ended::Asked => self.comeback.handle_now(),
            Ended::Moved => {
                self.comeback.handle_moved();
                self.set_state(LinkState::Connecting, Reason::GOING_AWAY, Reason::GOING_AWAY.sentence());
            }
            Ended::Stopped(error, reason) => {
                let text = error.to_string();
                let is_final = matches!(error, LinkError::Token(_));
                self.shared.change(|state| state.error(error));
                if is_final {
                    return self.close(reason, &text);
                }
                self.comeback.handle_error(&Error::Ended);
                self.set_state(LinkState::Connecting, Reason(0), &text);
            }
            Ended::Failed(error) => self.handle_failed(error, false, false),
        }
    }

    /// An attempt or a connection has failed (clients/SPEC.md 2).
    fn handle_failed(&mut self, error: Error, in_attempt: bool, was_elsewhere: bool) {
        let closing = match &error {
            Error::Closed(closing) => Some(closing.clone()),
            _ => None,
        };
        let reason = closing.as_ref().and_then(|closing| closing.reason).unwrap_or(Reason(0));
        let text = describe(&error, closing.as_ref());
        if let Some(address) = closing.as_ref().and_then(|closing| closing.address.as_deref()) {
            self.elsewhere = elsewhere(address, &self.config.client.url).filter(|_| !was_elsewhere);
        }
        let is_version = reason == Reason::VERSION || (in_attempt && self.is_not_tickwire(&error));
        let may_ask = matches!(reason, Reason::TOKEN | Reason::TOKEN_EXPIRED) && self.config.tokens.is_some();
        if may_ask && !self.asked_again {
            self.asked_again = true;
            // Once at once: a server that welcomes, and then does not want the token, is not asked without a pause.
            if std::mem::replace(&mut self.hurried, true) {
                self.comeback.handle_error(&Error::Ended);
            } else {
                self.comeback.handle_now();
            }
            return self.set_state(LinkState::Connecting, reason, &text);
        }
        self.comeback.handle_error(&error);
        let stops = is_version || self.comeback.next().is_none();
        let error = Arc::new(error);
        let told = match &*error {
            _ if is_version => Some(LinkError::Version(error)),
            Error::Decode(_) | Error::Surprise(_) => Some(LinkError::Protocol(error)),
            _ if in_attempt => Some(LinkError::Connect(error)),
            _ => None,
        };
        if let Some(told) = told {
            self.shared.change(|state| state.error(told));
        }
        if stops {
            self.close(reason, &text);
        } else {
            self.set_state(LinkState::Connecting, reason, &text);
        }
    }

    /// Whether something else answers over TCP.
    fn is_not_tickwire(&self, error: &Error) -> bool {
        let is_tcp = self.config.client.url.scheme() == Scheme::Tcp;
        is_tcp && matches!(error, Error::Decode(DecodeError::UnknownType(_)))
    }

    /// For good.
    fn close(&mut self, reason: Reason, text: &str) {
        self.forget_session();
        self.shared.change(|state| {
            state.wish = Wish::Closed;
            state.set_link(LinkState::Closed, reason, text);
        });
    }

    fn set_state(&self, after: LinkState, reason: Reason, text: &str) {
        self.shared.change(|state| state.set_link(after, reason, text));
    }

    /// There is no session to come back to.
    fn forget_session(&mut self) {
        if let Some(broken) = self.broken.take() {
            let kept = broken.point.kept().collect();
            self.handle_lost(kept, broken.begun);
        }
    }

    /// A session has ended, with these messages not known to be accepted.
    fn handle_lost(&mut self, kept: Vec<(u64, Bytes)>, begun: u64) {
        let messages = kept.iter().filter_map(|(number, frame)| Unconfirmed::new(*number, frame));
        self.give_back(messages.collect(), begun);
        self.log.clear();
    }

    /// Messages of a session that is lost, which did not tell what it accepted.
    fn give_back_unwritten(&self, messages: Vec<(u64, RoomName, Waits)>, begun: u64) {
        self.shared.change(|state| {
            for (_, room, message) in messages.into_iter().filter(|(number, ..)| *number > begun) {
                let id = message.id;
                if !state.take_back(&room, message) {
                    state.tell(LinkEvent::Dropped(room, vec![id]));
                }
            }
        });
    }

    /// Messages of a session that is lost: those of which nothing has left wait again, the others may have
    /// arrived or not.
    fn give_back(&self, messages: Vec<Unconfirmed>, begun: u64) {
        let mut unsent = Vec::new();
        self.shared.change(|state| {
            state.unaccepted = 0;
            for message in messages {
                let Some(logged) = self.log.find(message.number) else { continue };
                let (target, timing, payload) = (message.target, message.timing, message.payload.clone());
                if message.number > begun && state.take_back(&logged.room, Waits::again(logged, message)) {
                    continue;
                }
                unsent.push(Unsent { id: logged.id, room: logged.room.clone(), target, timing, payload });
            }
            if !unsent.is_empty() {
                state.tell(LinkEvent::Unconfirmed(unsent));
            }
        });
    }
}

impl Broken {
    /// What the application has left or joined anew meanwhile is left or joined anew.
    fn prepare(&mut self, shared: &Shared) {
        let state = shared.lock();
        for PointRoom { handle, name, options, leaving, taken, .. } in &mut self.point.rooms {
            let entry = name.as_ref().and_then(|name| state.rooms.get(name)).filter(|entry| entry.wanted);
            let generation = self.generations.get(handle).copied();
            *leaving = entry.is_none();
            if let Some(entry) = entry {
                let since = entry.since.filter(|_| generation == Some(entry.generation));
                self.generations.insert(*handle, entry.generation);
                *taken = since;
                *options = JoinOptions { since: None, ..entry.join_options() };
            }
        }
    }
}

/// Where a server sends this client: a host, with a port or without, or a whole address. Never from TLS to none.
fn elsewhere(address: &str, here: &Url) -> Option<Url> {
    let url: Url = if address.contains("://") { address.parse().ok()? } else { here.at(address)? };
    (url.is_secure() || !here.is_secure()).then_some(url)
}

/// Why, for people.
fn describe(error: &Error, closing: Option<&Closing>) -> String {
    match closing {
        Some(closing) if !closing.text.is_empty() => escaped(&closing.text),
        _ => escaped(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_server_sends_elsewhere_but_not_out_of_tls() {
        let check = |here: &str, address: &str, expected: Option<&str>| {
            let found = elsewhere(address, &here.parse().unwrap()).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{address}");
        };
        check("ws://a:1/ws?x", "b", Some("ws://b:1/ws?x"));
        check("ws://a:1/ws", "b:2", Some("ws://b:2/ws"));
        check("tcp://a:1", "[::1]:3", Some("tcp://[::1]:3"));
        check("ws://a:1/ws", "tcp://b", Some("tcp://b:7071"));
        check("ws://a:1/ws", "b/\u{1b}[2J", None);
        check("ws://a:1/ws", "", None);
        #[cfg(feature = "tls")]
        {
            check("ws://a:1/ws", "tls://b", Some("tls://b:7071"));
            check("wss://a:1/ws", "ws://b", None);
            check("wss://a:1/ws", "b", Some("wss://b:1/ws"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_welcomes_and_refuses_the_token_is_not_asked_without_a_pause() {
        let tokens = super::super::Tokens::new(|| async { Ok(None) });
        let config = LinkConfig::to("tcp://127.0.0.1:1").unwrap().tokens(tokens);
        let mut keeper = Keeper::new(Arc::new(Shared::new(&config)), config);
        let refused = || Error::Closed(Closing::without_frame(Some(Reason::TOKEN)));
        let mut waits = Vec::new();
        for stood in [0, 0, 0, 0, 5, 0] {
            keeper.comeback.handle_attempt();
            keeper.comeback.handle_connected();
            keeper.asked_again = false;
            tokio::time::advance(Duration::from_secs(stood)).await;
            keeper.handle_ended(Ended::Failed(refused()));
            waits.push(keeper.comeback.next().unwrap() - Instant::now());
        }
        let at_once: Vec<_> = waits.iter().map(|wait| wait.is_zero()).collect();
        assert_eq!(at_once, [true, false, false, false, true, false], "{waits:?}");
        keeper.handle_failed(refused(), true, false);
        assert_eq!(keeper.shared.lock().link, LinkState::Closed, "twice without a welcome");
    }
}
