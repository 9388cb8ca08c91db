//! What is refused, by the session itself or by a shard: told, counted, and where that happens too often
//! the end (PROTOCOL 6.7, 7.4, 13).

use super::{Ending, Output, Session};
use crate::limits::Over;
use crate::room::Refusal;
use crate::time::Time;
use crate::wire::control::{Command as Tell, Refused};
use crate::wire::{Capabilities, Control, Extensions, Reason, RequestId};

impl Session {
    pub(super) fn refuse_data(&mut self, reason: Reason, now: Time, output: &mut Output) -> Result<(), Ending> {
        self.refuse(RequestId(0), self.data_frames, reason, now, output)
    }

    /// Refuses what was asked, and closes where that happens too often.
    pub(super) fn refuse(
        &mut self,
        request: RequestId,
        number: u64,
        reason: Reason,
        now: Time,
        output: &mut Output,
    ) -> Result<(), Ending> {
        output.count_refused(reason);
        self.count_refusal(now)?;
        self.tell_refused(request, number, reason, now, output);
        Ok(())
    }

    /// A command cannot be obeyed.
    pub(super) fn refuse_command(
        &mut self,
        request: RequestId,
        reason: Reason,
        now: Time,
        output: &mut Output,
    ) -> Result<(), Ending> {
        // Of all commands only joins have a rate.
        if reason == Reason::RATE && self.facts.limits.over_joins == Over::Close {
            return Err(Ending { request, ..Ending::because(reason) });
        }
        self.refuse(request, 0, reason, now, output)
    }

    pub(super) fn tell_refused(
        &mut self,
        request: RequestId,
        number: u64,
        reason: Reason,
        now: Time,
        output: &mut Output,
    ) {
        if number > 0 && self.capabilities.has(Capabilities::RESUME) {
            self.unheard.get_or_insert_default().refused.handle_told(number, reason, now);
        }
        let refused = Refused { number, reason, extensions: Extensions::NONE };
        Control::new(request, Tell::Refused(refused)).encode(&mut output.replies);
    }

    /// A shard refused something of this peer: it is told, and where its peer could have known better
    /// it counts like one of the session's own. A refused join frees its handle.
    ///
    /// # Errors
    /// Where that happened too often.
    pub fn handle_refusal(&mut self, refusal: &Refusal, now: Time, output: &mut Output) -> Result<(), Ending> {
        if refusal.avoidable {
            self.count_refusal(now)?;
        }
        self.handle_refusal_uncounted(refusal, now, output);
        Ok(())
    }

    /// As [`handle_refusal`](Self::handle_refusal), for a session without a connection: there is nobody
    /// to close for too many, and what is refused must still be told when the session goes on.
    pub fn handle_refusal_uncounted(&mut self, refusal: &Refusal, now: Time, output: &mut Output) {
        if let Some(hold) = refusal.joining {
            self.handle_released(hold, now);
        }
        self.tell_refused(refusal.request, refusal.number, refusal.reason, now, output);
    }
}
