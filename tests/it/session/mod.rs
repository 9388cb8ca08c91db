//! What a session promises (PROTOCOL 9, 10 and 13), with simulated time.

mod commands;
mod deadlines;
mod extensions;
mod hello;
mod identity;
mod parked;
mod refusals;
mod resume;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tickwire::command::Command;
use tickwire::limits::Limits;
use tickwire::session::{Ending, Facts, Output, Route, Session};
use tickwire::time::Time;
use tickwire::wire::{Capabilities, DecodeError, Decoder, Sender};

use crate::model::see;
use crate::support;

/// A session, what it said and asked, and a clock in milliseconds.
pub struct Peer {
    pub session: Session,
    pub output: Output,
    pub now: u64,
}

impl Peer {
    /// Over WebSocket, before hello.
    pub fn greeting() -> Self {
        Self::with(None, |_| {})
    }

    /// Hello was accepted, and nothing else was said.
    pub fn open() -> Self {
        let mut peer = Self::greeting();
        peer.ok(&support::hello());
        peer.said();
        peer
    }

    /// Open, and in the room "room" by handle 1.
    pub fn joined() -> Self {
        let mut peer = Self::open();
        peer.ok(&support::join(2, 1, "room"));
        peer.output.commands.clear();
        peer
    }

    pub fn with(room: Option<&str>, change: impl FnOnce(&mut Limits)) -> Self {
        let room = room.map(|name| Bytes::copy_from_slice(name.as_bytes()));
        Self::of(Session::over_websocket(facts(change), room, Time::ZERO))
    }

    pub fn over_tcp() -> Self {
        Self::of(Session::over_tcp(facts(|_| {}), Time::ZERO))
    }

    pub fn of(session: Session) -> Self {
        Self { session, output: Output::default(), now: 0 }
    }

    pub fn time(&self) -> Time {
        Time::from_micros(self.now * 1000)
    }

    /// Whole frames come.
    pub fn send(&mut self, frames: &[u8]) -> Result<(), Ending> {
        let (mut buffer, now) = (BytesMut::from(frames), self.time());
        let decode = |session: &Session, buffer: &mut BytesMut| {
            Decoder::new(Sender::Client, session.max_frame()).decode(buffer).map_err(Ending::from)
        };
        while let Some(frame) = decode(&self.session, &mut buffer)? {
            self.session.handle_frame(frame, now, &mut self.output)?;
        }
        assert!(buffer.is_empty(), "tests send whole frames");
        Ok(())
    }

    /// Frames come that must not end the session.
    #[track_caller]
    pub fn ok(&mut self, frames: &[u8]) {
        self.send(frames).unwrap();
    }

    /// The reason for which `frames` end the session.
    #[track_caller]
    pub fn ends(&mut self, frames: &[u8]) -> u64 {
        self.send(frames).unwrap_err().reason.0
    }

    /// Time passes to `millis`; what was overdue is told as a reason.
    pub fn at(&mut self, millis: u64) -> Result<(), u64> {
        self.now = millis;
        let ended = self.session.handle_timeout(0, Time::from_micros(millis * 1000), &mut self.output);
        ended.map_err(|ending| ending.reason.0)
    }

    /// The session's deadline, in milliseconds.
    pub fn deadline(&self) -> u64 {
        self.session.deadline(Time::ZERO).micros() / 1000
    }

    /// What was answered since the last time.
    pub fn said(&mut self) -> Vec<String> {
        see(&self.output.replies.split()).iter().map(ToString::to_string).collect()
    }

    /// What was asked of the rooms since the last time.
    pub fn asked(&mut self) -> Vec<(Route, Command)> {
        std::mem::take(&mut self.output.commands)
    }
}

pub fn facts(change: impl FnOnce(&mut Limits)) -> Arc<Facts> {
    facts_with(Capabilities::default(), change)
}

pub fn facts_with(capabilities: Capabilities, change: impl FnOnce(&mut Limits)) -> Arc<Facts> {
    let mut limits = Limits::default();
    change(&mut limits);
    Arc::new(Facts {
        limits,
        capabilities,
        clock: 0x5a17_c0de,
        wall: 1_795_226_400_000_000,
        hasher: foldhash::fast::RandomState::default(),
        rejections: Arc::default(),
    })
}

#[test]
fn everything_that_cannot_be_read_has_a_reason_that_closes_or_is_refused() {
    let closing = [
        (DecodeError::Truncated, 201),
        (DecodeError::VarintNotMinimal, 201),
        (DecodeError::VarintTooLarge, 201),
        (DecodeError::ExtensionOrder, 201),
        (DecodeError::UnknownType(9), 202),
        (DecodeError::FrameTooLarge { announced: 2, limit: 1 }, 203),
        (DecodeError::PartialFrame, 204),
        (DecodeError::ReservedFlags(1), 210),
    ];
    for (error, reason) in closing {
        assert_eq!((error.closes(), Ending::from(error).reason.0), (true, reason), "{error}");
    }
    for (error, reason) in [(DecodeError::KindNotForClients(2), 225), (DecodeError::UnknownCommand(0x12), 220)] {
        assert_eq!((error.closes(), error.reason().0), (false, reason), "{error}");
    }
}
