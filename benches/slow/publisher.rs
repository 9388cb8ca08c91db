//! The load: values and events in the middle of each tick, and directs to one who reads nothing.

use std::io;
use std::net::SocketAddr;

use tickwire::wire::control::{Command, Mode};
use tickwire::wire::header::FrameType;
use tickwire::wire::{ClientData, Control, Key, MemberNumber, Ping, PingBody, Sender, Target};
use tokio::io::AsyncWriteExt;

use super::peer::{HANDLE, Peer, asked};
use super::plan::{Clock, Course, Plan};
use super::view::fill;

/// What was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) rounds: u64,
    pub(crate) events: u64,
    pub(crate) directs: u64,
    /// Messages that the server refused; directs to a member that is gone are not among them.
    pub(crate) refused: u64,
    /// Rounds that began a tick or more behind their schedule.
    pub(crate) late_rounds: u64,
}

/// The one who publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    peer: Peer,
    plan: Plan,
    sent: Sent,
    /// Who is sent directs, until it is gone.
    victim: Option<MemberNumber>,
}

impl Publisher {
    pub(crate) async fn join(addr: SocketAddr, plan: &Plan) -> io::Result<Self> {
        let peer = Peer::join(addr, Mode::PUBLISH, None, None).await?;
        Ok(Self { peer, plan: plan.clone(), sent: Sent::default(), victim: None })
    }

    /// What to add to server time for the generator's: the best of a few exchanges.
    pub(crate) async fn offset(&mut self, clock: Clock) -> io::Result<i64> {
        let mut best = (u64::MAX, 0);
        for _ in 0..20 {
            self.peer.ask(clock.micros())?;
            let (asked, received) = loop {
                if let Some(answer) = self.answer()? {
                    break answer;
                }
                self.peer.read(usize::MAX).await?;
            };
            let now = clock.micros();
            let middle = asked.midpoint(now).cast_signed() - received.cast_signed();
            best = best.min((now - asked, middle));
        }
        Ok(best.1)
    }

    fn answer(&mut self) -> io::Result<Option<(u64, u64)>> {
        while let Some(frame) = self.peer.next_frame()? {
            if frame.header.frame_type == FrameType::Ping
                && let Ok(ping) = Ping::decode(frame.header.flags, frame.payload, Sender::Server)
                && let PingBody::ServerAnswer { received, .. } = ping.body
            {
                return Ok(Some((ping.time, received)));
            }
        }
        Ok(None)
    }

    /// Sends the whole plan. `victim` gets directs from when the slow ones begin.
    pub(crate) async fn run(mut self, course: Course, victim: Option<MemberNumber>) -> io::Result<Sent> {
        self.victim = victim;
        let (seat, tick) = (self.peer.seat, self.plan.micros_per_tick());
        // In the middle of a tick, so that every round is in the batch of its own.
        let middle = course.here(seat.begins(seat.tick)) + tick / 2;
        let first = course.start.saturating_sub(middle).div_ceil(tick);
        for round in 1.. {
            let due = middle + (first + round - 1) * tick;
            course.clock.until(due).await;
            if course.now() >= self.plan.last() {
                break;
            }
            self.sent.late_rounds += u64::from(course.clock.micros() > due + tick);
            let bytes = self.round(round, course.now());
            self.peer.stream.write_all(&bytes).await?;
            self.listen()?;
        }
        Ok(self.sent)
    }

    fn round(&mut self, round: u64, now: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128 * 1024);
        let mut send = |target, payload: &[u8]| {
            ClientData { handle: HANDLE, target, options: 0, payload }.encode(&mut bytes);
        };
        for key in self.plan.keys_of(round) {
            send(Target::Value(Key::room(key)), &payload([round, key], fill(key), self.plan.value_len));
        }
        for _ in 0..self.plan.events {
            self.sent.events += 1;
            send(Target::Event, &payload([self.sent.events, round], 0xee, self.plan.event_len));
        }
        if let Some(victim) = self.victim.filter(|_| now >= self.plan.begin()) {
            for _ in 0..Plan::DIRECTS {
                self.sent.directs += 1;
                send(Target::Direct(victim), &payload([self.sent.directs, round], 0xdd, Plan::DIRECT_LEN));
            }
        }
        self.sent.rounds = round;
        bytes
    }

    /// Reads what the server says, if anything.
    fn listen(&mut self) -> io::Result<()> {
        match self.peer.try_read(usize::MAX) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            read => read?,
        };
        let mut questions = Vec::new();
        while let Some(frame) = self.peer.next_frame()? {
            match frame.header.frame_type {
                FrameType::Ping => questions.extend(asked(&frame)),
                FrameType::Control => match Control::decode(frame.payload).map(|control| control.command) {
                    Ok(Command::Refused(refused)) if refused.reason.0 == 238 => self.victim = None,
                    Ok(Command::Refused(_)) => self.sent.refused += 1,
                    Ok(Command::Close(close)) => {
                        return Err(io::Error::other(format!("the publisher was closed: {}", close.reason.0)));
                    }
                    _ => {}
                },
                FrameType::Data => {}
            }
        }
        let taken = self.peer.taken;
        questions.into_iter().try_for_each(|time| self.peer.answer(time, taken))
    }
}

fn payload(numbers: [u64; 2], fill: u8, len: usize) -> Vec<u8> {
    let mut payload = vec![fill; len];
    for (place, number) in payload.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    payload
}
