//! The peer's data frames, by number: each is passed on or refused, and later told to be accepted
//! (PROTOCOL 7, 12.3).
//!
//! ```text
//! frame n ──> room known, small enough ──> command for its shard ──> done: accepted up to n
//!        └──> REFUSED n
//! ```

use super::resume::Held;
use super::{Ending, Output, Session};
use crate::command::{Command, Publish};
use crate::time::Time;
use crate::wire::control::{Accepted, Command as Tell};
use crate::wire::header::flags;
use crate::wire::{Capabilities, ClientData, Control, Extensions, Frame, Reason, RequestId};

impl Session {
    /// The rooms are done with everything before data frame `oldest`, or with everything.
    pub fn handle_accepted(&mut self, oldest: Option<u64>, output: &mut Output) {
        let accepted = oldest.map_or(self.data_frames, |oldest| oldest.saturating_sub(1));
        // PROTOCOL 12.3: what was told is not taken back, also where a WELCOME told it.
        self.accepted = self.accepted.max(accepted.min(self.data_frames));
        if let Some((_, last)) = self.acknowledge.filter(|(first, _)| *first <= self.accepted) {
            // Which ones between them were wanted is not kept: those that follow may be told once more.
            self.acknowledge = (last > self.accepted).then_some((self.accepted + 1, last));
            let accepted = Accepted { number: self.accepted, extensions: Extensions::NONE };
            Control::new(RequestId(0), Tell::Accepted(accepted)).encode(&mut output.replies);
        }
    }

    /// Whether the peer is to be told when something is accepted.
    #[must_use]
    pub const fn awaits_accepted(&self) -> bool {
        self.acknowledge.is_some()
    }

    /// The number that pings tell (PROTOCOL 12.3).
    pub(super) const fn told_accepted(&self) -> u64 {
        if self.capabilities.has(Capabilities::ACCEPTED) { self.accepted } else { 0 }
    }

    pub(super) fn handle_data(&mut self, frame: Frame, now: Time, output: &mut Output) -> Result<(), Ending> {
        // PROTOCOL 12.3: data frames are numbered from 1, the refused ones included.
        self.data_frames += 1;
        if self.pace.is_some() && !self.may_send(frame.payload.len(), now)? {
            return self.refuse_data(Reason::RATE, now, output);
        }
        let data = match ClientData::decode(frame.header.flags, &frame.payload) {
            Ok(data) => data,
            Err(error) if error.closes() => return Err(error.into()),
            Err(error) => return self.refuse_data(error.reason(), now, output),
        };
        if data.options & flags::ACKNOWLEDGE != 0 && self.capabilities.has(Capabilities::ACCEPTED) {
            let first = self.acknowledge.map_or(self.data_frames, |(first, _)| first);
            self.acknowledge = Some((first, self.data_frames));
        }
        let known = self.held(data.handle);
        let reason = match known {
            _ if !self.capable(data.options) => Reason::CAPABILITY,
            None if self.has_just_left(data.handle, now) => {
                output.count_refused(Reason::NOT_JOINED);
                self.tell_refused(RequestId(0), self.data_frames, Reason::NOT_JOINED, now, output);
                return Ok(());
            }
            None => Reason::NOT_JOINED,
            _ if data.payload.len() > self.facts.limits.max_message => Reason::MESSAGE_TOO_LARGE,
            Some(Held { route, .. }) => {
                let (ClientData { handle, target, options, .. }, len) = (data, data.payload.len());
                let command = Command::Publish(Publish {
                    handle,
                    number: self.data_frames,
                    target,
                    urgent: options & flags::URGENT != 0,
                    acknowledge: options & flags::ACKNOWLEDGE != 0,
                    compressed: options & flags::COMPRESSED != 0,
                    payload: frame.into_tail(len),
                });
                output.commands.push((*route, command));
                return Ok(());
            }
        };
        self.refuse_data(reason, now, output)
    }

    /// PROTOCOL 10.3: flags that need a capability.
    pub(super) const fn capable(&self, options: u8) -> bool {
        let compressed = options & flags::COMPRESSED == 0 || self.capabilities.has(Capabilities::DEFLATE);
        compressed && (options & flags::ACKNOWLEDGE == 0 || self.capabilities.has(Capabilities::ACCEPTED))
    }
}
