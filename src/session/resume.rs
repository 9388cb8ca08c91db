//! A session that outlives its connection: tokens, and what the peer may not have heard (PROTOCOL 12.2).
//!
//! ```text
//! HELLO(token) ──> waiting ──owner found the session──> WELCOME resumed, on the old session
//!                     └──────there is none────────────> WELCOME fresh, on the new one
//! ```

use std::collections::VecDeque;

use super::{Output, Session, State};
use crate::command::Hold;
use crate::places::Places;
use crate::time::{Time, micros};
use crate::wire::control::{Command as Tell, Refused, Welcome};
use crate::wire::extension::kind;
use crate::wire::header::flags;
use crate::wire::{Capabilities, Control, Extensions, Reason, RequestId, put_extension, put_varint};

/// A resume token: who has it may continue the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(
    /// Names the session, then 16 bytes that nobody can guess.
    pub [u8; Self::LEN],
);

impl Token {
    /// Bytes of a token.
    pub const LEN: usize = 24;

    /// A token for a session.
    #[must_use]
    pub fn new(session: u64, secret: [u8; 16]) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&session.to_be_bytes());
        bytes[8..].copy_from_slice(&secret);
        Self(bytes)
    }

    /// Reads what a client sent.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The session it names.
    #[must_use]
    pub fn session(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    fn is(self, other: Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differing, (one, two)| differing | (one ^ two)) == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // PROTOCOL 15: a credential does not belong into logs.
        f.write_str("Token(..)")
    }
}

/// The tokens of a session that are valid now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    /// Told in the last WELCOME, which may be lost.
    latest: Option<Token>,
    /// What the current connection was resumed with: valid until `latest` is used.
    previous: Option<Token>,
}

impl Tokens {
    pub(super) const fn first(token: Token) -> Self {
        Self { latest: Some(token), previous: None }
    }

    pub(super) const fn latest(&self) -> Option<Token> {
        self.latest
    }

    fn accepts(&self, token: Token) -> bool {
        let matches = |own: Option<Token>| own.is_some_and(|own| own.is(token));
        matches(self.latest) | matches(self.previous)
    }

    /// `used` was used, and `next` is told now.
    const fn replace(&mut self, used: Token, next: Token) {
        // PROTOCOL 12.2: a token dies when its successor is first used. Where the older one was used
        // again, the successor never arrived.
        self.previous = Some(used);
        self.latest = Some(next);
    }
}

/// What a HELLO said that may continue a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub(super) request: RequestId,
    pub(super) capabilities: Capabilities,
    pub(super) takes_all: bool,
    /// The session that is asked for, and the highest direct its client has seen.
    pub(super) wanted: Option<(Token, u64)>,
}

impl Greeting {
    /// The token, and the highest direct number that the client has seen.
    #[must_use]
    pub const fn wanted(&self) -> Option<(Token, u64)> {
        self.wanted
    }
}

/// A data frame that was refused, while it is not known whether its sender has heard it.
#[derive(Clone, Copy, Debug)]
struct Untold {
    number: u64,
    reason: Reason,
    told: Time,
}

/// Refusals that may have been lost with the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    untold: VecDeque<Untold>,
    overflowed: bool,
}

impl Refusals {
    /// How many are kept. 1,024: more than the rates allow in the time until a ping must be answered.
    const MOST: usize = 1024;

    /// Places that stay for the next ones. 16: a small mistake of the client.
    const FEW: usize = 16;

    pub(super) fn handle_told(&mut self, number: u64, reason: Reason, now: Time) {
        if self.untold.len() == Self::MOST {
            // Somebody who causes so many cannot be told all of them again, so it must not resume.
            self.overflowed = true;
            self.untold.pop_front();
        }
        self.untold.push_back(Untold { number, reason, told: now });
    }

    /// The question of `time` was answered: what stood before it was read.
    pub(super) fn handle_answer(&mut self, time: u64) {
        while self.untold.front().is_some_and(|refused| refused.told.micros() < time) {
            self.untold.pop_front();
        }
        self.untold.give_back(Self::FEW);
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.untold.is_empty() && !self.overflowed
    }
}

impl Session {
    /// What a HELLO said, while the owner looks for the session it asks for, or has its token verified.
    #[must_use]
    pub fn waiting(&self) -> Option<Greeting> {
        self.early.as_ref().filter(|_| self.state == State::Waiting).and_then(|early| early.greeting)
    }

    /// Whether this session can be resumed when its connection breaks.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        let resumes = self.capabilities.has(Capabilities::RESUME) && self.tokens.latest.is_some();
        self.state == State::Open && resumes && !self.unheard.as_ref().is_some_and(|unheard| unheard.refused.overflowed)
    }

    /// Whether `token` is one of this session's, and comes from its subject.
    #[must_use]
    pub fn accepts(&self, token: Token, subject: &[u8]) -> bool {
        self.is_resumable() && *self.subject() == subject && self.tokens.accepts(token)
    }

    /// There is no session to resume: this one begins.
    ///
    /// # Errors
    /// As for a hello.
    pub fn handle_not_resumed(&mut self, now: Time, output: &mut Output) -> Result<(), super::Ending> {
        let Some(greeting) = self.waiting() else { return Ok(()) };
        self.open(&greeting, now, output)
    }

    /// A new connection continues this session. `next` is its next token; `lost` are the directs that
    /// are gone.
    pub fn handle_returned(
        &mut self,
        greeting: &Greeting,
        next: Token,
        lost: Option<(u64, u64)>,
        now: Time,
        output: &mut Output,
    ) {
        if let Some((used, _)) = greeting.wanted {
            self.tokens.replace(used, next);
        }
        self.capabilities = greeting.capabilities;
        self.takes_all = greeting.takes_all;
        self.consumption = super::Consumption::default();
        // The welcome tells that they have been read.
        self.accepted = self.data_frames;
        self.acknowledge = None;
        for room in &mut self.rooms {
            room.away = true;
        }
        self.liveness.handle_open(now);
        self.liveness.handle_rooms(self.rooms.len(), now);
        self.welcome(greeting.request, true, lost, now, output);
        // PROTOCOL 12.2: they may have been lost with the old connection.
        let untold = self.unheard.iter_mut().flat_map(|unheard| &mut unheard.refused.untold);
        for Untold { number, reason, told } in untold {
            *told = now;
            let refused = Refused { number: *number, reason: *reason, extensions: Extensions::NONE };
            Control::new(RequestId(0), Tell::Refused(refused)).encode(&mut output.replies);
        }
    }

    pub(super) fn welcome(
        &self,
        request: RequestId,
        resumed: bool,
        lost: Option<(u64, u64)>,
        now: Time,
        output: &mut Output,
    ) {
        let limits = &self.facts.limits;
        let mut extensions = Vec::new();
        if let Some(token) = self.tokens.latest().filter(|_| self.capabilities.has(Capabilities::RESUME)) {
            put_extension(kind::RESUME_TOKEN, &token.0, &mut extensions);
            let mut grace = Vec::new();
            put_varint(micros(limits.grace) / 1000, &mut grace);
            put_extension(kind::GRACE, &grace, &mut extensions);
        }
        if let Some((first, last)) = lost {
            let mut content = Vec::new();
            put_varint(first, &mut content);
            put_varint(last, &mut content);
            put_extension(kind::LOST_DIRECTS, &content, &mut extensions);
        }
        if !self.subject().is_empty() {
            put_extension(kind::SUBJECT, self.subject(), &mut extensions);
        }
        let welcome = Welcome {
            capabilities: self.capabilities,
            flags: if resumed { flags::RESUMED } else { 0 },
            clock: self.facts.clock,
            time: now.micros(),
            wall: self.facts.wall,
            max_message: limits.max_message as u64,
            max_frame: limits.max_frame as u64,
            max_rooms: limits.max_rooms as u64,
            ping: micros(limits.ping_interval) / 1000,
            accepted: if resumed { self.data_frames } else { 0 },
            extensions: Extensions::from_encoded(&extensions).unwrap_or_default(),
        };
        Control::new(request, Tell::Welcome(welcome)).encode(&mut output.replies);
    }
}

/// A membership, as its session knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) hold: Hold,
    pub(super) route: super::Route,
    /// The session was resumed, and has not joined again on this handle.
    pub(super) away: bool,
}
