//! A shard: a dispatcher and its rooms, which a worker runs, or a task where there are no sockets.
//!
//! ```text
//! connections ──Mail──> mailbox ──> dispatcher ──frames──> outboxes
//!                                     ^  └── the earliest edge or linger ──┐
//!                                     └──────────────── timer <────────────┘
//! ```
//!
//! A connection is woken once for all that a turn of the shard gave it, however many rooms it is in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep_until};

use super::clock::Clock;
use super::mailbox::Mail;
use super::observe::{ByReason, Snapshot, Tally, Ticks};
use super::outbox::{Outbox, Pushed};
use crate::command::{Command, Hold, SessionId};
use crate::dispatcher::{
    Batch, Counters, Direct, Dispatcher, DispatcherConfig, FrameClass, Lag, Outlet, Refusal, Taken,
};
use crate::time::{Time, micros};
use crate::wire::Reason;

/// Mail handled before connections are woken and the clock is looked at again: at most a few
/// milliseconds' worth, so that ticks do not slip under a flood.
const TURN: usize = 64;

/// A dispatcher, with the connections that it has something for.
#[derive(Debug)]
pub(super) struct Shard {
    dispatcher: Dispatcher<Arc<Outbox>>,
    out: Touched,
    counted: watch::Sender<Counters>,
    ticks: Ticks,
    /// Batches and directs that had been sent when the last turn ended.
    sent: (u64, u64),
    /// What the worker's connections did.
    pub(super) tally: Tally,
}

impl Shard {
    pub(super) fn new(config: DispatcherConfig, counted: watch::Sender<Counters>) -> Self {
        let (dispatcher, out) = (Dispatcher::new(config), Touched::default());
        Self { dispatcher, out, counted, ticks: Ticks::default(), sent: (0, 0), tally: Tally::default() }
    }

    /// When [`end_turn`](Self::end_turn) has something to send, without any mail.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.dispatcher.deadline()
    }

    /// When the next room has its tick, where one has something for it.
    pub(super) fn tick(&self) -> Option<Time> {
        self.dispatcher.next_tick()
    }

    /// As [`deadline`](Self::deadline), or when it can give memory back.
    pub(super) fn wakes_at(&self) -> Option<Time> {
        self.deadline().into_iter().chain(self.dispatcher.rests_at()).min()
    }

    /// Does what one piece of mail asks for.
    pub(super) fn handle(&mut self, mail: Mail, now: Time) {
        match mail {
            Mail::Chunk { session, outbox, ticket, commands } => {
                for command in commands {
                    self.handle_command(session, &outbox, command, now);
                }
                let wakes = outbox.chunk_done(ticket);
                self.out.mark(&outbox, wakes);
            }
            Mail::Away { session } => self.dispatcher.handle_away(session, now),
            Mail::Ended { place, reason } => self.dispatcher.handle_ended(place.session, reason, now),
            Mail::Observe(asked) => asked.answer(Box::new(self.snapshot())),
            Mail::GoAway(reply) => {
                // Who asks is gone where the server has ended.
                let _gone = reply.send(self.dispatcher.handle_going_away(now, &mut self.out));
            }
            Mail::Ask(question) => question.answer(&mut self.dispatcher, &mut self.out, now),
            Mail::Rules(rules) => self.dispatcher.handle_rules(&rules.limits, rules.classes.as_ref()),
            Mail::Run(errand) => errand.run(),
        }
    }

    /// What was counted so far.
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            counters: self.counters(),
            volume: self.dispatcher.volume(),
            tally: self.tally.clone(),
            refused: self.out.refused.clone(),
            ticks: self.ticks.clone(),
            rooms: self.dispatcher.room_count(),
            sessions: self.dispatcher.session_count(),
            kept_bytes: self.dispatcher.kept_bytes(),
        }
    }

    fn counters(&self) -> Counters {
        let mut counters = self.dispatcher.counters();
        counters.closed_by_answers += self.out.closed;
        counters
    }

    /// A tick's flush began and ended then, its writes included.
    pub(super) fn handle_flushed(&mut self, begun: Time, ended: Time) {
        self.ticks.duration.record(micros(ended.since(begun)));
        self.dispatcher.handle_written(ended);
    }

    /// As [`Dispatcher::catch_up`].
    pub(super) fn catch_up(&mut self) {
        self.dispatcher.catch_up();
    }

    /// Does what a session asks for.
    pub(super) fn handle_command(&mut self, session: SessionId, outbox: &Arc<Outbox>, command: Command, now: Time) {
        self.dispatcher.handle_command(session, outbox, command, now, &mut self.out);
    }

    /// Flushes what is due, and has everyone woken who got something: `wake` may do it in its own way.
    ///
    /// A turn takes what the mailbox holds, up to a bound: rooms of period 0 have read it then, and do
    /// not starve when more keeps coming.
    ///
    /// Where a tick was due, the caller tells how long it took.
    pub(super) fn end_turn(&mut self, now: Time, wake: impl FnMut(&Arc<Outbox>)) -> TurnEnded {
        let frames = self.dispatcher.volume().frames;
        let before = self.sent();
        self.dispatcher.handle_drained(now, &mut self.out);
        let prompt = self.sent() != self.sent;
        let drained = self.sent() != before;
        let due = self.wakes_at().is_some_and(|deadline| deadline <= now);
        let tick = self.tick().filter(|tick| *tick <= now);
        if due {
            self.dispatcher.handle_timeout(now, &mut self.out);
        }
        if let Some(tick) = tick {
            self.ticks.lag.record(micros(now.since(tick)));
            self.ticks.frames.record(self.dispatcher.volume().frames - frames);
        }
        // Whatever is worth counting is told somebody, or comes of time.
        if due || !self.out.outboxes.is_empty() {
            self.out.wake(wake);
            let counters = self.counters();
            self.counted.send_if_modified(|last| std::mem::replace(last, counters) != counters);
        }
        self.sent = self.sent();
        TurnEnded { ticked: tick.is_some(), prompt, drained }
    }

    /// Batches and directs that were sent so far.
    const fn sent(&self) -> (u64, u64) {
        let volume = self.dispatcher.volume();
        (volume.batches, volume.directs)
    }

    /// As [`Dispatcher::warm`].
    pub(super) fn warm(&self, session: SessionId) {
        self.dispatcher.warm(session);
    }
}

/// What a turn of a shard had.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnEnded {
    /// A tick was due.
    pub(super) ticked: bool,
    /// Something was sent outside of a tick: urgent, or in a room of period 0.
    pub(super) prompt: bool,
    /// Rooms of period 0 have flushed.
    pub(super) drained: bool,
}

/// Runs a shard as a task, until every sender of its mailbox is gone.
pub(super) async fn run(mut shard: Shard, mut mailbox: mpsc::Receiver<Mail>, clock: Clock) {
    let mut turn = Vec::with_capacity(TURN);
    let timer = sleep_until(tokio::time::Instant::now());
    tokio::pin!(timer);
    loop {
        let due = shard.wakes_at().and_then(|time| arm(timer.as_mut(), time, clock));
        let received = tokio::select! {
            biased;
            () = timer.as_mut(), if due.is_some() => None,
            count = mailbox.recv_many(&mut turn, TURN) => Some(count),
        };
        if received == Some(0) {
            return;
        }
        let now = clock.now();
        for mail in turn.drain(..) {
            shard.handle(mail, now);
        }
        shard.catch_up();
        let begun = clock.now();
        if shard.end_turn(begun, |outbox| outbox.wake()).ticked {
            shard.handle_flushed(begun, clock.now());
        }
        // A flood of mail must not keep this worker from its other tasks.
        tokio::task::consume_budget().await;
    }
}

/// Sets the timer, where it does not stand right already.
fn arm(timer: std::pin::Pin<&mut Sleep>, time: Time, clock: Clock) -> Option<()> {
    let instant = clock.instant(time)?;
    if timer.deadline() != instant {
        timer.reset(instant);
    }
    Some(())
}

/// The outboxes that got something in this turn, to be woken at its end.
#[derive(Debug, Default)]
pub(super) struct Touched {
    outboxes: Vec<Arc<Outbox>>,
    /// Connections closed because answers and directs were too much for them.
    closed: u64,
    /// What was refused.
    refused: ByReason,
}

impl Touched {
    pub(super) fn wake(&mut self, wake: impl FnMut(&Arc<Outbox>)) {
        self.outboxes.drain(..).as_slice().iter().for_each(wake);
    }

    fn pushed(&mut self, outbox: &Arc<Outbox>, pushed: Pushed) {
        self.closed += u64::from(pushed.closes);
        self.mark(outbox, pushed.wakes);
    }

    fn mark(&mut self, outbox: &Arc<Outbox>, first: bool) {
        if first {
            self.outboxes.push(Arc::clone(outbox));
        }
    }
}

impl Outlet<Arc<Outbox>> for Touched {
    fn frame(&mut self, to: &Arc<Outbox>, _class: FrameClass, frame: &Bytes) {
        let pushed = to.push(frame);
        self.pushed(to, pushed);
    }

    fn batch(&mut self, to: &Arc<Outbox>, batch: &Batch<'_>) -> Taken {
        let (taken, wakes) = to.push_batch(batch);
        self.mark(to, wakes);
        taken
    }

    fn lag(&mut self, to: &Arc<Outbox>) -> Lag {
        to.lag()
    }

    fn direct(&mut self, to: &Arc<Outbox>, direct: &Direct) {
        let pushed = to.push_direct(direct);
        self.pushed(to, pushed);
    }

    fn refuse(&mut self, to: &Arc<Outbox>, refusal: &Refusal) {
        self.refused.add(refusal.reason);
        let pushed = to.refuse(refusal);
        self.pushed(to, pushed);
    }

    fn released(&mut self, to: &Arc<Outbox>, hold: Hold, left: &Bytes) {
        let pushed = to.released(hold, left);
        self.pushed(to, pushed);
    }

    fn delay(&mut self, to: &Arc<Outbox>, by: Duration) {
        let wakes = to.delay(by);
        self.mark(to, wakes);
    }

    fn close(&mut self, to: &Arc<Outbox>, reason: Reason) {
        let wakes = to.close_with(reason);
        self.mark(to, wakes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::RoomClasses;
    use crate::command::{JoinCommand, Publish};
    use crate::limits::Limits;
    use crate::name::RoomName;
    use crate::session::Facts;
    use crate::wire::control::Mode;
    use crate::wire::{Handle, RequestId, Target};

    fn publish(urgent: bool) -> Command {
        Command::Publish(Publish {
            handle: Handle(0),
            number: 1,
            target: Target::Event,
            urgent,
            acknowledge: false,
            compressed: false,
            payload: Bytes::from_static(b"x"),
        })
    }

    #[test]
    fn only_what_is_sent_outside_of_a_tick_is_prompt() {
        let limits = Limits::default();
        let config = DispatcherConfig::new(limits.clone(), RoomClasses::default(), 1);
        let mut shard = Shard::new(config, watch::Sender::new(Counters::default()));
        let outbox = Arc::new(Outbox::new(&Arc::new(Facts {
            limits,
            capabilities: crate::wire::Capabilities::default(),
            clock: 1,
            wall: 2,
            hasher: foldhash::fast::RandomState::default(),
            rejections: Arc::default(),
        })));
        let mut now = Time::from_micros(1_000_000);
        let mut turn = |shard: &mut Shard, command: Command| {
            shard.handle_command(SessionId(1), &outbox, command, now);
            let here = shard.end_turn(now, |_| {});
            now = shard.deadline().unwrap();
            let tick = shard.end_turn(now, |_| {});
            ((here.ticked, here.prompt), (tick.ticked, tick.prompt))
        };
        let name = RoomName::new(b"room").unwrap();
        let join = JoinCommand::new(RequestId(1), Handle(0), name, Mode::BOTH);
        assert_eq!(turn(&mut shard, Command::Join(Box::new(join))), ((false, false), (true, false)));
        assert_eq!(turn(&mut shard, publish(false)), ((false, false), (true, false)));
        assert_eq!(turn(&mut shard, publish(true)), ((false, true), (true, false)));
        assert_eq!(turn(&mut shard, publish(false)), ((false, false), (true, false)));
    }
}
