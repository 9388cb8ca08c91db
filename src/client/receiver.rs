//! The receiving half of a client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clock::Clock;
use super::error::Error;
use super::event::{Closing, Event};
use super::outgoing::{Backlog, Chunk, Outgoing};
use super::resume::{Beginning, ResumePoint, Resumed};
use super::sender::close;
use super::session::{Consumption, Session};
use super::transport::{self, Filled, FrameReader, FrameWriter};
use super::{Sender, Terms};
use crate::wire::{Epoch, Frame, Handle, Header, Position, Reason};

/// Chunks that wait for the writer. 64: a burst of messages, and with the largest ones a megabyte.
const QUEUE: usize = 64;

/// Bytes of answers that wait for a place in the queue. Beyond, nothing is read: whoever asks and
/// does not read answers is slowed down. 4 KiB: a hundred answers.
const MAX_REPLIES: usize = 4 * 1024;

/// What events may cost that are kept while an answer is waited for, in bytes. 4 MiB: a snapshot, and
/// what a busy room sends meanwhile, each with its place in the queue.
const MAX_WAITING: u64 = 4 * 1024 * 1024;

/// How long bytes that are here may take to be found. 1 s: far longer than the runtime takes.
const GRACE: Duration = Duration::from_secs(1);

/// Reads frames, answers pings, and hands out events.
///
/// When it is dropped, the sending half publishes nothing more: nobody would answer pings, or hear
/// what is refused or accepted.
#[derive(Debug)]
pub struct Receiver {
    session: Session,
    terms: Terms,
    reader: FrameReader,
    queue: mpsc::Sender<Chunk>,
    clock: Clock,
    /// Events that came while an answer was waited for, with their frames' bytes.
    waiting: VecDeque<(Event, u64)>,
    /// What they cost.
    waiting_cost: u64,
    heard: Instant,
    ended: bool,
}

/// Makes the halves of a session that is open, and starts the task that writes.
pub(super) fn start(
    beginning: Beginning,
    reader: FrameReader,
    writer: FrameWriter,
    start: Instant,
    gather: Option<Duration>,
) -> (Sender, Receiver, Resumed) {
    let (queue, chunks) = mpsc::channel(QUEUE);
    let mut clock = Clock::new(start);
    let backlog = Arc::new(Backlog::new(beginning.session.progress.sent()));
    let mut sender = Sender::new(queue.clone(), &beginning, Arc::clone(&backlog), clock.clone(), gather);
    let Beginning { mut session, frames, resumed, .. } = beginning;
    let terms = session.terms().clone();
    let outgoing = Outgoing::new(frames, chunks, terms.max_frame, backlog);
    sender.set_writer(tokio::spawn(transport::write_all(outgoing, writer)).abort_handle());
    if let Some((id, sample)) = session.take_sample() {
        clock.handle_sample(id, sample);
    }
    let waiting = VecDeque::new();
    let heard = Instant::now();
    let receiver = Receiver { session, terms, reader, queue, clock, waiting, waiting_cost: 0, heard, ended: false };
    (sender, receiver, resumed)
}

impl Receiver {
    /// What happens next. Cancel safe: no event is lost when the future is dropped.
    ///
    /// # Errors
    /// Where the connection failed, or the server broke the protocol. Nothing follows then, nor
    /// after [`Event::Closed`]: [`Error::Ended`].
    pub async fn next(&mut self) -> Result<Event, Error> {
        let (event, bytes) = match self.waiting.pop_front() {
            Some(first) => {
                self.waiting_cost -= first.0.cost(first.1);
                first
            }
            None => self.read().await?,
        };
        // PROTOCOL 9: the application takes it now.
        self.session.consumption.handle_taken(bytes, last_direct(&event));
        self.session.progress.handle_taken(&event);
        Ok(event)
    }

    /// The next event, for somebody who keeps it until the application takes it, also over other connections: it will
    /// not come again. The bytes of its frame are told to [`consumption`](Self::consumption) then. Cancel safe.
    pub(super) async fn next_untaken(&mut self) -> Result<(Event, u64), Error> {
        let (event, bytes) = self.read().await?;
        self.session.consumption.handle_taken(0, last_direct(&event));
        self.session.progress.handle_taken(&event);
        Ok((event, bytes))
    }

    /// As [`next_untaken`](Self::next_untaken), where one is here already.
    pub(super) fn try_next_untaken(&mut self) -> Result<Option<(Event, u64)>, Error> {
        // What is here needs no waiting: a future that is polled once says so.
        if self.ended { Ok(None) } else { self.next_untaken().now_or_never().transpose() }
    }

    /// As [`next`](Self::next), where something is here already.
    pub(super) fn try_next(&mut self) -> Option<Result<Event, Error>> {
        self.next().now_or_never()
    }

    /// Whether nothing will come any more.
    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// What the application has taken.
    pub(super) const fn consumption(&self) -> &Arc<Consumption> {
        &self.session.consumption
    }

    /// The server's clock as seen from here.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the server said in its WELCOME.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The room's life and the last position that was taken whole: from there a later join goes on
    /// (PROTOCOL 12.1). None before [`Event::Joined`] and after [`Event::Left`].
    #[must_use]
    pub fn position(&self, handle: Handle) -> Option<(Epoch, Position)> {
        self.session.progress.position(handle)
    }

    /// What another connection needs to go on with this session. See
    /// [`Client::resume_point`](super::Client::resume_point).
    #[must_use]
    pub fn resume_point(&self) -> Option<ResumePoint> {
        self.session.progress.resume_point(self.session.consumption.directs())
    }

    /// Waits for an event, and keeps those before it for [`next`](Self::next). Cancel safe in that
    /// no other event is lost; the one that was waited for then comes from `next`.
    pub(super) async fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<Event, Error> {
        loop {
            let (event, bytes) = self.read_aside().await?;
            if wanted(&event) {
                self.session.consumption.handle_taken(bytes, None);
                self.session.progress.handle_taken(&event);
                return Ok(event);
            }
            self.keep(event, bytes);
        }
    }

    /// Reads one event, and keeps it for [`next`](Self::next). Cancel safe.
    pub(super) async fn set_aside(&mut self) -> Result<(), Error> {
        let (event, bytes) = self.read_aside().await?;
        self.keep(event, bytes);
        Ok(())
    }

    /// The next event, where there is a place to keep it. The end of the session is an error.
    async fn read_aside(&mut self) -> Result<(Event, u64), Error> {
        if self.waiting_cost >= MAX_WAITING {
            return Err(Error::TooMuchWaiting);
        }
        let read = self.read().await?;
        if let (Event::Closed(closing), _) = &read {
            self.session.progress.handle_taken(&read.0);
            return Err(Error::Closed(closing.clone()));
        }
        Ok(read)
    }

    fn keep(&mut self, event: Event, bytes: u64) {
        self.waiting_cost += event.cost(bytes);
        self.waiting.push_back((event, bytes));
    }

    /// The server broke the protocol: it is told so, and nothing follows.
    pub(super) fn break_off(&mut self) {
        if let Ok(permit) = self.queue.try_reserve() {
            // PROTOCOL 6: a broken server is told so, if it still listens.
            permit.send(Chunk::at_once(close(Reason::MALFORMED)));
        }
        self.end();
    }

    fn end(&mut self) {
        self.ended = true;
        self.session.progress.end();
    }

    /// The next event off the connection, with the bytes of its frame.
    async fn read(&mut self) -> Result<(Event, u64), Error> {
        if self.ended {
            return Err(Error::Ended);
        }
        let read = self.read_event().await;
        if matches!(read, Err(Error::Decode(_) | Error::Surprise(_))) {
            self.break_off();
        }
        if matches!(read, Err(_) | Ok((Event::Closed(_), _))) {
            self.end();
        }
        read
    }

    async fn read_event(&mut self) -> Result<(Event, u64), Error> {
        loop {
            self.send_replies();
            if self.session.replies.len() < MAX_REPLIES
                && let Some(frame) = self.reader.buffered()?
            {
                if let Some(event) = self.handle_frame(frame)? {
                    return Ok(event);
                }
                continue;
            }
            if let Filled::End(reason) = self.fill().await? {
                return Ok((Event::Closed(Closing::without_frame(reason)), 0));
            }
        }
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<Option<(Event, u64)>, Error> {
        let bytes = (Header::LEN + frame.payload.len()) as u64;
        let event = self.session.handle_frame(frame, self.clock.now())?;
        if let Some((id, sample)) = self.session.take_sample() {
            self.clock.handle_sample(id, sample);
        }
        Ok(event.map(|event| (event, bytes)))
    }

    /// Passes answers to the writer, if it has a place for them. A writer that has failed takes none;
    /// reading will tell why.
    fn send_replies(&mut self) {
        if self.session.replies.is_empty() {
            return;
        }
        match self.queue.try_reserve() {
            Ok(permit) => permit.send(Chunk::at_once(self.session.replies.split().freeze())),
            Err(mpsc::error::TrySendError::Full(())) => {}
            Err(mpsc::error::TrySendError::Closed(())) => self.session.replies.clear(),
        }
    }

    /// Waits for bytes, or for a place for answers.
    async fn fill(&mut self) -> Result<Filled, Error> {
        let silent_at = self.silent_at();
        let has_replies = !self.session.replies.is_empty();
        let may_read = self.session.replies.len() < MAX_REPLIES;
        tokio::select! {
            permit = self.queue.reserve(), if has_replies => {
                match permit {
                    Ok(permit) => permit.send(Chunk::at_once(self.session.replies.split().freeze())),
                    Err(_) => self.session.replies.clear(),
                }
                Ok(Filled::More)
            }
            filled = self.reader.fill(), if may_read => {
                self.heard = Instant::now();
                filled
            }
            () = tokio::time::sleep_until(silent_at) => Err(Error::Silent),
        }
    }

    /// PROTOCOL 9: when the connection is dead, should nothing come until then.
    fn silent_at(&mut self) -> Instant {
        let patience = self.terms.patience();
        let now = Instant::now();
        if now.duration_since(self.heard) >= patience {
            // Nobody has asked for so long. What came meanwhile has a moment to be found.
            self.heard = now.checked_sub(patience).map_or(now, |then| then + GRACE);
        }
        self.heard + patience
    }
}

/// The highest direct of an event.
fn last_direct(event: &Event) -> Option<u64> {
    // A frame without directs has the number of one that did not come yet.
    let Event::Direct(batch) = event else { return None };
    let count = batch.records().count() as u64;
    (count > 0).then(|| batch.position().0 + (count - 1))
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Nobody hears any more what is accepted: who waits for it must not wait for ever.
        self.session.progress.end();
    }
}
