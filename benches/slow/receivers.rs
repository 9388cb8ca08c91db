//! The receivers: quick ones, those who stop for a while, those who are slow throughout.
//!
//! ```text
//! quick      socket ──> frames                                    lateness
//! a socket   socket ──at its pace──> frames ──> view              small window, kernel and server queue
//! a browser  socket ──at once──> queue ──at its pace──> view      only what it says tells that it is slow
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use tickwire::wire::control::Mode;
use tickwire::wire::header::flags;
use tickwire::wire::{FrameType, Kind, Sender, ServerData, split_frame};
use tokio::sync::watch;

use super::peer::{Peer, asked};
use super::plan::{Course, Plan};
use super::view::View;

/// How a receiver takes what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It stops for half of the run, and then goes on at once.
    Stops,
    /// At a tenth of the rate, from when the slow ones begin.
    Tenth,
    /// It reads nothing any more from when the slow ones begin.
    Dead,
}

/// What a quick receiver measured.
#[derive(Debug, Default)]
pub(crate) struct Quick {
    /// Microseconds from the beginning of a tick to the end of its batch here.
    pub(crate) lateness: Vec<u32>,
    pub(crate) view: Option<View>,
    pub(crate) bytes: u64,
}

/// What a slow receiver has seen.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) pace: Pace,
    pub(crate) view: View,
    /// The most that waited in a browser's memory.
    pub(crate) queued: usize,
    /// When it had caught up again: no value older than two ticks.
    pub(crate) caught_up: Option<u64>,
}

/// Runs a quick receiver until `ended`. With `careful` it looks into everything.
pub(crate) async fn quick(
    mut peer: Peer,
    plan: Plan,
    course: Course,
    careful: bool,
    mut ended: watch::Receiver<bool>,
) -> io::Result<Quick> {
    let mut quick = Quick { view: careful.then(|| View::new(&plan, peer.seat)), ..Quick::default() };
    let seat = peer.seat;
    loop {
        // What came behind JOINED is here already.
        let (now, mut question) = (course.clock.micros(), None);
        let since = now.saturating_sub(course.start);
        while let Some(frame) = peer.next_frame()? {
            if let Some(view) = &mut quick.view {
                view.handle_frame(&frame, since);
            }
            match frame.header.frame_type {
                FrameType::Ping => question = asked(&frame).or(question),
                FrameType::Data => {
                    let last = frame.header.flags & flags::MORE == 0;
                    if last && Kind::from_flags(frame.header.flags) == Ok(Kind::Value) && now > course.start {
                        let head = ServerData::decode(frame.header.flags, frame.payload);
                        let tick = head.ok().flatten().map_or(0, |data| data.head.tick);
                        let due = course.here(seat.begins(seat.whole_tick(tick)));
                        if (plan.begin()..plan.last()).contains(&since) {
                            let late = u32::try_from(now.saturating_sub(due)).unwrap_or(u32::MAX);
                            quick.lateness.push(late);
                        }
                    }
                }
                FrameType::Control => {}
            }
        }
        // A later question covers an earlier one (PROTOCOL 9): all of them were read.
        if let Some(time) = question {
            peer.answer(time, peer.taken)?;
        }
        tokio::select! {
            biased;
            read = peer.read(usize::MAX) => if read? == 0 { return Err(io::ErrorKind::UnexpectedEof.into()) },
            _ = ended.wait_for(|ended| *ended) => break,
        }
    }
    quick.bytes = peer.taken;
    Ok(quick)
}

/// A receiver that is slow.
#[derive(Debug)]
pub(crate) struct SlowReceiver {
    addr: SocketAddr,
    peer: Peer,
    plan: Plan,
    course: Course,
    browser: bool,
    /// When it begins to be slow, in microseconds since the first message.
    begins: u64,
    slow: Slow,
    /// A browser's frames that the application has not taken, and bytes of those it has.
    waiting: VecDeque<Box<[u8]>>,
    waiting_bytes: usize,
    consumed: u64,
}

/// Between two looks at the socket of a slow receiver, in microseconds.
const STEP: u64 = 5_000;

impl SlowReceiver {
    /// `begins` is when it begins to be slow, in microseconds since the first message.
    pub(crate) fn new(
        addr: SocketAddr,
        peer: Peer,
        plan: &Plan,
        course: Course,
        (pace, begins): (Pace, u64),
        browser: bool,
    ) -> Self {
        // The frames up to JOINED are taken.
        let consumed = peer.taken;
        let slow = Slow { pace, view: View::new(plan, peer.seat), queued: 0, caught_up: None };
        Self {
            addr,
            peer,
            plan: plan.clone(),
            course,
            browser,
            begins,
            slow,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            consumed,
        }
    }

    /// Runs until `ended`. Who is closed comes back, and goes on where it was.
    pub(crate) async fn run(mut self, ended: watch::Receiver<bool>) -> io::Result<Slow> {
        let mut before = self.course.clock.micros();
        let mut budget = 0;
        while !*ended.borrow() {
            // Who takes at once is woken by what comes, as quick ones are.
            let at_once = self.browser || self.rate(before.saturating_sub(self.course.start)).is_none();
            tokio::select! {
                ready = self.peer.stream.readable(), if at_once => ready?,
                () = self.course.clock.until(before + STEP) => {}
            }
            let now = self.course.clock.micros();
            let since = now.saturating_sub(self.course.start);
            budget = match self.rate(since) {
                None => usize::MAX,
                // Not more than a frame is saved up.
                Some(rate) => {
                    let more = usize::try_from(rate * (now - before) / 1_000_000).unwrap_or(usize::MAX);
                    budget.min(20_000) + more
                }
            };
            before = now;
            budget -= if self.browser { self.browse(budget, since).await? } else { self.take(budget, since).await? };
        }
        Ok(self.slow)
    }

    /// Bytes a second that it takes now; `None` for all there are.
    fn rate(&self, since: u64) -> Option<u64> {
        let begun = since >= self.begins;
        match self.slow.pace {
            Pace::Dead if begun => Some(0),
            Pace::Stops if begun && since < self.plan.resume() => Some(0),
            Pace::Tenth if begun => Some(self.plan.slow_rate()),
            _ => None,
        }
    }

    /// Reads from the socket at the pace, and takes what is read.
    async fn take(&mut self, budget: usize, since: u64) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let mut question = None;
            while let Some(frame) = self.peer.next_frame()? {
                self.slow.view.handle_frame(&frame, since);
                if frame.header.frame_type == FrameType::Ping {
                    question = asked(&frame).or(question);
                }
            }
            if let Some(time) = question {
                // Who was closed meanwhile finds that out by reading.
                let _gone = self.peer.answer(time, self.peer.taken);
            }
            self.note(since);
            if used == budget {
                return Ok(used);
            }
            match self.peer.try_read(budget - used) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(used),
                Ok(read @ 1..) => used += read,
                Ok(_) | Err(_) => {
                    self.come_back().await?;
                    return Ok(used);
                }
            }
        }
    }

    /// Reads everything at once, and lets the application take at its pace.
    async fn browse(&mut self, budget: usize, since: u64) -> io::Result<usize> {
        let (mut gone, mut used) = (false, 0);
        loop {
            while let Some(frame) = self.peer.next_frame()? {
                let asked = if frame.header.frame_type == FrameType::Ping { asked(&frame) } else { None };
                let mut bytes = frame.header.bytes().to_vec();
                bytes.extend_from_slice(frame.payload);
                self.waiting_bytes += bytes.len();
                self.waiting.push_back(bytes.into());
                if let Some(time) = asked {
                    // An application that is quick has taken what came before.
                    used += self.consume(budget - used, since);
                    let _gone = self.peer.answer(time, self.consumed);
                }
            }
            self.slow.queued = self.slow.queued.max(self.waiting_bytes);
            match self.peer.try_read(usize::MAX) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(1..) => {}
                Ok(_) | Err(_) => {
                    gone = true;
                    break;
                }
            }
        }
        used += self.consume(budget - used, since);
        self.note(since);
        if gone && self.waiting.is_empty() {
            self.come_back().await?;
        }
        Ok(used)
    }

    /// The application takes whole frames, at most so many bytes.
    fn consume(&mut self, budget: usize, since: u64) -> usize {
        let mut used = 0;
        while self.waiting.front().is_some_and(|bytes| bytes.len() <= budget - used)
            && let Some(bytes) = self.waiting.pop_front()
        {
            used += bytes.len();
            self.waiting_bytes -= bytes.len();
            self.consumed += bytes.len() as u64;
            if let Ok(Some((frame, _))) = split_frame(&bytes, 16 * 1024, Sender::Server) {
                self.slow.view.handle_frame(&frame, since);
            }
        }
        used
    }

    /// Notes when somebody who had stopped is current again.
    fn note(&mut self, since: u64) {
        if self.slow.pace == Pace::Stops
            && self.slow.caught_up.is_none()
            && since >= self.plan.resume()
            && let Some(last) = self.slow.view.refreshes.last()
        {
            let age = since.saturating_sub(self.course.here(last.flushed).saturating_sub(self.course.start));
            self.slow.caught_up = (age < 2 * self.plan.micros_per_tick()).then_some(since);
        }
    }

    async fn come_back(&mut self) -> io::Result<()> {
        self.slow.view.closes += 1;
        self.waiting.clear();
        (self.waiting_bytes, self.consumed) = (0, 0);
        let since = Some(self.slow.view.since());
        let small = Some(Plan::SMALL_BUFFER);
        self.peer = Peer::join(self.addr, Mode::RECEIVE, small, since).await?;
        // The frames up to JOINED are taken: nobody waits for them.
        self.consumed = self.peer.taken;
        self.slow.view.handle_rejoined(self.peer.seat);
        Ok(())
    }
}
