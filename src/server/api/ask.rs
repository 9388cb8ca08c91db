//! A question to a shard, and its answer.
//!
//! ```text
//! Handle ──place free?──> Mail::Ask ──> shard: work(dispatcher) ──oneshot──> Handle
//! ```

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use crate::dispatcher::Dispatcher;
use crate::dispatcher::operate::Operator;
use crate::name::RoomName;
use crate::server::Handle;
use crate::server::mailbox::Mail;
use crate::server::outbox::Outbox;
use crate::server::shard::Touched;
use crate::session::Route;
use crate::time::Time;
use crate::wire::Reason;

/// Questions that wait for a shard. 64: far more than operators ask, and a shard's turn of mail.
pub(in crate::server) const QUESTIONS: usize = 64;

/// How long an answer may take. 5 s: a shard that is busy for longer has other worries.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why something that was asked of the server's rooms was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiError {
    /// As many questions wait as may, or the answer took too long: then it may be done later.
    Busy,
    /// The server has ended.
    Gone,
    /// There is no such room.
    NoSuchRoom,
    /// There is no such value.
    NoSuchValue,
    /// It was refused, with the protocol's reason.
    Refused(Reason),
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the server is too busy to answer; what was asked may be done later"),
            Self::Gone => f.write_str("the server has ended"),
            Self::NoSuchRoom => f.write_str("there is no such room"),
            Self::NoSuchValue => f.write_str("there is no such value"),
            Self::Refused(reason) => f.write_str(reason.sentence()),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<Reason> for ApiError {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// The rooms of a shard, for the time of a question.
pub(super) struct Rooms<'a> {
    pub(super) dispatcher: &'a mut Dispatcher<Arc<Outbox>>,
    pub(super) out: &'a mut Touched,
    pub(super) now: Time,
}

impl Rooms<'_> {
    /// The same once more.
    pub(super) const fn again(&mut self) -> Rooms<'_> {
        Rooms { dispatcher: self.dispatcher, out: self.out, now: self.now }
    }
}

type Work = dyn FnOnce(Rooms<'_>) + Send;

/// What somebody asks of a shard.
pub(in crate::server) struct Question {
    work: Box<Work>,
    _place: OwnedSemaphorePermit,
}

impl Question {
    /// The shard's turn has come.
    pub(in crate::server) fn answer(self, dispatcher: &mut Dispatcher<Arc<Outbox>>, out: &mut Touched, now: Time) {
        (self.work)(Rooms { dispatcher, out, now });
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question(..)")
    }
}

impl Handle {
    /// The shard of a room.
    pub(super) fn shard(&self, room: &RoomName) -> usize {
        let route = Route(self.surroundings().facts.hasher.hash_one(room));
        self.surroundings().mailboxes.shard(route)
    }

    /// Asks the shard of a room.
    pub(super) async fn ask_room<R: Send + 'static>(
        &self,
        room: &RoomName,
        work: impl FnOnce(Rooms<'_>, &RoomName, &Operator) -> R + Send + 'static,
    ) -> Result<R, ApiError> {
        let shard = self.shard(room);
        let room = room.clone();
        self.ask(shard, move |rooms, operator| work(rooms, &room, operator)).await
    }

    /// Asks a shard.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        shard: usize,
        work: impl FnOnce(Rooms<'_>, &Operator) -> R + Send + 'static,
    ) -> Result<R, ApiError> {
        let answer = self.put(shard, work)?;
        match timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(|_| ApiError::Gone),
            Err(_) => Err(ApiError::Busy),
        }
    }

    /// Asks every shard the same, at once.
    pub(super) async fn ask_all<R: Send + 'static>(
        &self,
        work: impl Fn(Rooms<'_>, &Operator) -> R + Clone + Send + 'static,
    ) -> Result<Vec<R>, ApiError> {
        let shards = 0..self.surroundings().mailboxes.len();
        let asked = shards.map(|shard| self.put(shard, work.clone())).collect::<Result<Vec<_>, _>>()?;
        let answers = async {
            let mut answers = Vec::with_capacity(asked.len());
            for answer in asked {
                answers.push(answer.await.map_err(|_| ApiError::Gone)?);
            }
            Ok(answers)
        };
        timeout(PATIENCE, answers).await.unwrap_or(Err(ApiError::Busy))
    }

    /// Puts a question into a shard's mailbox.
    fn put<R: Send + 'static>(
        &self,
        shard: usize,
        work: impl FnOnce(Rooms<'_>, &Operator) -> R + Send + 'static,
    ) -> Result<oneshot::Receiver<R>, ApiError> {
        let places = self.operators.places(shard).ok_or(ApiError::Gone)?;
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| ApiError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let operator = self.operator.clone();
        let work = Box::new(move |rooms: Rooms<'_>| {
            // Whoever asked may have given up.
            let _late = reply.send(work(rooms, &operator));
        });
        let mail = Mail::Ask(Question { work, _place: place });
        self.surroundings().mailboxes.send(shard, mail, Time::ZERO).map_err(|_| ApiError::Gone)?;
        Ok(answer)
    }
}
