//! The receiving half of a client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clock::Clock;
use super::error::Error;
use super::event::{Closing, Event};
use super::sender::close;
use super::session::Session;
use super::transport::{Filled, FrameReader, FrameWriter, write_queue};
use super::{Sender, Terms};
use crate::wire::{Frame, Header, Reason};

/// Chunks that wait for the writer. 64: a burst of messages, and with the largest ones a megabyte.
const QUEUE: usize = 64;

/// Bytes of answers that wait for a place in the queue. Beyond, nothing is read: whoever asks and
/// does not read answers is slowed down. 4 KiB: a hundred answers.
const MAX_REPLIES: usize = 4 * 1024;

/// Bytes of frames kept while an answer is waited for. 1 MiB: a snapshot, and what a busy room
/// sends meanwhile.
const MAX_WAITING: u64 = 1024 * 1024;

/// How long bytes that are here may take to be found. 1 s: far longer than the runtime takes.
const GRACE: Duration = Duration::from_secs(1);

/// Reads frames, answers pings, and hands out events.
#[derive(Debug)]
pub struct Receiver {
    session: Session,
    terms: Terms,
    reader: FrameReader,
    queue: mpsc::Sender<Bytes>,
    clock: Clock,
    /// Events that came while an answer was waited for, with their frames' bytes.
    waiting: VecDeque<(Event, u64)>,
    waiting_bytes: u64,
    heard: Instant,
    ended: bool,
}

/// Makes the halves of a session that is open, and starts the task that writes.
pub(super) fn start(
    mut session: Session,
    reader: FrameReader,
    writer: FrameWriter,
    start: Instant,
) -> (Sender, Receiver) {
    let (queue, chunks) = mpsc::channel(QUEUE);
    let terms = session.terms().expect("the session is open").clone();
    tokio::spawn(write_queue(chunks, writer, terms.max_frame));
    let mut clock = Clock::new(start);
    let sender = Sender::new(queue.clone(), Arc::clone(&session.consumption), clock.clone(), &terms);
    if let Some((id, sample)) = session.take_sample() {
        clock.handle_sample(id, sample);
    }
    let waiting = VecDeque::new();
    let heard = Instant::now();
    let receiver = Receiver { session, terms, reader, queue, clock, waiting, waiting_bytes: 0, heard, ended: false };
    (sender, receiver)
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
                self.waiting_bytes -= first.1;
                first
            }
            None => self.read().await?,
        };
        // PROTOCOL 9: the application takes it now.
        let direct = match &event {
            Event::Direct(batch) => Some(batch.position().0 + (batch.records().count() as u64).saturating_sub(1)),
            _ => None,
        };
        self.session.consumption.handle_taken(bytes, direct);
        Ok(event)
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

    /// Waits for an event, and keeps those before it for [`next`](Self::next). Cancel safe in that
    /// no other event is lost; the one that was waited for then comes from `next`.
    pub(super) async fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<Event, Error> {
        while self.waiting_bytes < MAX_WAITING {
            let (event, bytes) = self.read().await?;
            if wanted(&event) {
                self.session.consumption.handle_taken(bytes, None);
                return Ok(event);
            }
            if let Event::Closed(closing) = event {
                return Err(Error::Closed(closing));
            }
            self.waiting_bytes += bytes;
            self.waiting.push_back((event, bytes));
        }
        Err(Error::TooMuchWaiting)
    }

    /// The next event off the connection, with the bytes of its frame.
    async fn read(&mut self) -> Result<(Event, u64), Error> {
        if self.ended {
            return Err(Error::Ended);
        }
        let read = self.read_event().await;
        if matches!(read, Err(Error::Decode(_) | Error::Surprise(_)))
            && let Ok(permit) = self.queue.try_reserve()
        {
            // PROTOCOL 6: a broken server is told so, if it still listens.
            permit.send(close(Reason::MALFORMED));
        }
        if matches!(read, Err(_) | Ok((Event::Closed(_), _))) {
            self.ended = true;
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
            Ok(permit) => permit.send(self.session.replies.split().freeze()),
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
                    Ok(permit) => permit.send(self.session.replies.split().freeze()),
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
