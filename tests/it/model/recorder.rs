//! An outlet that keeps what every session got, and numbers its directs as a session's owner does.
//! Sessions are quick, unless a script lets one stall: then frames are owed until it has drained.

use std::collections::BTreeMap;

use bytes::Bytes;
use tickwire::command::Hold;
use tickwire::dispatcher::{Batch, Direct, FrameClass, Lag, Outlet, Refusal, Taken};
use tickwire::limits::Limits;
use tickwire::wire::header::flags;
use tickwire::wire::{Handle, Head, Kind, Position, Reason, Record, ServerData};

/// What went out, by session. The outlet's handle of a session is its number.
#[derive(Debug, Default)]
pub struct Recorder {
    frames: BTreeMap<u64, Vec<(FrameClass, Bytes)>>,
    refusals: Vec<(u64, Option<Handle>)>,
    released: Vec<(u64, Handle)>,
    directs: BTreeMap<u64, u64>,
    /// What the sessions owe that do not take their frames at once.
    owed: BTreeMap<u64, Lag>,
    closed: Vec<(u64, Reason)>,
    /// The bounds of whoever may be slow.
    pub limits: Limits,
}

impl Recorder {
    /// From now on `session` owes what it is sent, and `bytes` more.
    pub fn stall(&mut self, session: u64, bytes: usize) {
        self.owed.entry(session).or_default().bytes += bytes;
    }

    /// `session` owes so much less, and no frames; by default nothing, and is quick again.
    pub fn drain(&mut self, session: u64, bytes: Option<usize>) {
        match (bytes, self.owed.get_mut(&session)) {
            (Some(bytes), Some(lag)) => *lag = Lag { bytes: lag.bytes.saturating_sub(bytes), frames: 0 },
            _ => drop(self.owed.remove(&session)),
        }
    }

    /// Takes the connections that rooms closed.
    pub fn take_closed(&mut self) -> Vec<(u64, Reason)> {
        std::mem::take(&mut self.closed)
    }

    /// Takes the frames that went to `session` since the last call.
    pub fn take(&mut self, session: u64) -> Vec<Bytes> {
        self.take_classed(session).into_iter().map(|(_, frame)| frame).collect()
    }

    /// As [`take`](Self::take), with what each frame is to a receiver that lags.
    pub fn take_classed(&mut self, session: u64) -> Vec<(FrameClass, Bytes)> {
        self.frames.remove(&session).unwrap_or_default()
    }

    /// Takes everything, by session.
    pub fn take_all(&mut self) -> BTreeMap<u64, Vec<Bytes>> {
        let all = std::mem::take(&mut self.frames);
        all.into_iter().map(|(to, frames)| (to, frames.into_iter().map(|(_, frame)| frame).collect())).collect()
    }

    /// Takes the refusals that the sessions were told of, and the handles they freed.
    pub fn take_refusals(&mut self) -> Vec<(u64, Option<Handle>)> {
        std::mem::take(&mut self.refusals)
    }

    /// Takes the handles that sessions were told to be free, though they had not left.
    pub fn take_released(&mut self) -> Vec<(u64, Handle)> {
        std::mem::take(&mut self.released)
    }
}

impl Outlet<u64> for Recorder {
    fn frame(&mut self, to: &u64, class: FrameClass, frame: &Bytes) {
        self.frames.entry(*to).or_default().push((class, frame.clone()));
        if let Some(lag) = self.owed.get_mut(to) {
            lag.bytes += frame.len();
            lag.frames += 1;
        }
    }

    fn batch(&mut self, to: &u64, batch: &Batch<'_>) -> Taken {
        let taken = if self.owed.contains_key(to) { batch.admit(self.lag(to), &self.limits) } else { Taken::All };
        for (index, frame) in batch.frames.iter().enumerate() {
            let (class, taken) = match batch.values.contains(&index) {
                true => (FrameClass::Values, taken == Taken::All && batch.wants_values),
                false => (FrameClass::Numbered, taken != Taken::Nothing),
            };
            if taken {
                self.frame(to, class, frame);
            }
        }
        taken
    }

    fn lag(&mut self, to: &u64) -> Lag {
        self.owed.get(to).copied().unwrap_or_default()
    }

    fn direct(&mut self, to: &u64, direct: &Direct) {
        let number = self.directs.entry(*to).or_default();
        *number += 1;
        let mut records = Vec::new();
        Record { member: direct.from, key: Some(direct.answers), payload: &direct.payload }.encode(&mut records);
        let head = Head { room: direct.room, position: Position(*number), tick: direct.tick };
        let options = if direct.urgent { flags::URGENT } else { 0 };
        let mut frame = Vec::new();
        ServerData { kind: Kind::Direct, options, head, records: &records }.encode(&mut frame);
        self.frame(to, FrameClass::Control, &frame.into());
    }

    fn refuse(&mut self, to: &u64, refusal: &Refusal) {
        self.refusals.push((*to, refusal.joining.map(|hold| hold.handle)));
        self.frame(to, FrameClass::Control, &refusal.encode());
    }

    fn released(&mut self, to: &u64, hold: Hold, left: &Bytes) {
        self.released.push((*to, hold.handle));
        self.frame(to, FrameClass::Control, left);
    }

    fn close(&mut self, to: &u64, reason: Reason) {
        assert!(self.owed.contains_key(to), "{to} is closed, and is quick: {reason:?}");
        self.closed.push((*to, reason));
    }
}
