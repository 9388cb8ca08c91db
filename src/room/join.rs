//! Coming in: a new member, one that comes back, and what each is told of the past (PROTOCOL 12.1).
//!
//! ```text
//! since p ──> JOINED fresh                          snapshot
//!         ──> JOINED recovered   p+1 .. now         snapshot
//!         ──> JOINED gap         oldest kept .. now snapshot
//! ```

use smallvec::SmallVec;

use super::receivers::{Receiver, Standing, Traits, What};
use super::{FrameClass, Outlet, Room, Turn, encode};
use crate::command::{JoinCommand, SessionId};
use crate::limits::Limits;
use crate::rights::{Rights, Sight};
use crate::time::micros;
use crate::wire::control::{Command as Tell, Done, Gap, Joined, Mode, Outcome};
use crate::wire::extension::kind;
use crate::wire::{
    Capabilities, Control, Extensions, MemberNumber, Position, Reason, RequestId, put_extension, put_varint,
};

/// What a newcomer has missed, and from where it goes on.
struct Missed {
    outcome: Outcome,
    lost: Option<(Position, Position)>,
    /// The last position before what it will receive.
    position: Position,
    replays: bool,
}

impl<H: Clone> Room<H> {
    /// Makes a session a member, which [`welcome`](Self::welcome) answers.
    pub(crate) fn join(
        &mut self,
        session: SessionId,
        outlet: &H,
        join: &JoinCommand,
        rights: Rights,
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) -> Result<MemberNumber, Reason> {
        self.history.expire(turn.now, self.class.history, &mut turn.tools.buffers);
        let oldest = self.history.first();
        if self.members.len() >= turn.limits.max_members || !self.members.has_number(turn.now, oldest, turn.limits) {
            return Err(Reason::ROOM_FULL);
        }
        self.check_list(join, rights, turn.limits)?;
        self.gather_presence_bytes(join.subject.len() + join.presence.len(), turn.limits)?;
        Ok(self.members.insert((session, outlet.clone()), join, rights, turn.now, oldest, turn.limits))
    }

    /// A member that was away is back on another connection: it keeps its number.
    pub(crate) fn come_back(
        &mut self,
        number: MemberNumber,
        outlet: &H,
        join: &JoinCommand,
        rights: Rights,
        turn: &Turn<'_, impl Outlet<H>>,
    ) -> Result<(), Reason> {
        self.check_list(join, rights, turn.limits)?;
        self.members.back(number, outlet.clone(), join, rights);
        Ok(())
    }

    /// A member has a newer token, which allows it to stay in its mode (PROTOCOL 6.14).
    pub(crate) fn renew(
        &mut self,
        number: MemberNumber,
        rights: Rights,
        info: &[u8],
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) {
        if !info.is_empty() && self.members.get(number).is_some_and(|member| *member.presence != *info) {
            self.members.set_presence(number, info);
        }
        let Some(before) = self.members.set_rights(number, rights) else { return };
        let (sight, next) = (rights.sight(), self.position.next());
        let Some(receiver) = self.members.receiver(number).filter(|_| before.sight() != sight) else { return };
        receiver.traits.sight = sight;
        receiver.traits.inflates &= sight == Sight::ALL;
        // What it was told so far is told anew, as it may see it now. A replay goes by the new rights: what
        // is left of it is lost where it may not have the past any more, and comes as a gap in any case.
        receiver.standing = match receiver.standing {
            Standing::Lost { from } | Standing::Replaying { next: from } => Standing::Lost { from },
            _ => Standing::Lost { from: next },
        };
        self.tend_one(number, turn);
    }

    /// PROTOCOL 6.3: a list that is too long to be sent at once is not asked for.
    fn check_list(&mut self, join: &JoinCommand, rights: Rights, limits: &Limits) -> Result<(), Reason> {
        let asks = join.mode.has(Mode::MEMBERS) && rights.presence;
        if asks && self.list(limits).is_none() { Err(Reason::CAPABILITY) } else { Ok(()) }
    }

    /// Answers a member that came or came back: JOINED, what it missed, then the snapshots. `answer` is
    /// what the room's logic says to it.
    pub(crate) fn welcome(
        &mut self,
        number: MemberNumber,
        join: &JoinCommand,
        answer: &[u8],
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) {
        self.history.expire(turn.now, self.class.history, &mut turn.tools.buffers);
        let Some(member) = self.members.get(number) else { return };
        let (rights, outlet) = (member.rights.rights(), member.outlet.clone());
        let missed = self.missed(join, rights);
        let extensions = extensions(answer, missed.lost);
        let tick = self.tick(turn.now);
        let joined = Joined {
            handle: join.handle,
            room: self.id,
            member: number,
            mode: join.mode,
            outcome: missed.outcome,
            epoch: self.epoch,
            position: missed.position,
            period: micros(self.class.period),
            tick,
            tick_time: self.start.micros() + tick * self.tick_len(),
            extensions: Extensions::from_encoded(&extensions).unwrap_or_default(),
        };
        turn.tools.volume.joins += 1;
        turn.out.frame(&outlet, FrameClass::Control, &encode(Control::new(join.request, Tell::Joined(joined))));
        let listed = join.mode.has(Mode::MEMBERS) && rights.presence;
        if !join.mode.has(Mode::RECEIVE) {
            self.send_list(&outlet, listed, turn);
            return;
        }
        let inflates =
            self.class.compress && join.capabilities.has(Capabilities::DEFLATE) && rights.sight() == Sight::ALL;
        let standing = if missed.replays {
            Standing::Replaying { next: missed.position.next() }
        } else if listed && !turn.out.lag(&outlet).has_drained(turn.limits) {
            // Once it has drained it gets the list, and what it missed until then as a gap.
            Standing::Lost { from: missed.position.next() }
        } else {
            self.send_list(&outlet, listed, turn);
            self.begin_snapshot(inflates, turn)
        };
        let what = What::All;
        let traits = Traits { sight: rights.sight(), inflates, listed };
        self.members.insert_receiver(Receiver { number, outlet, standing, what, traits, waits: false });
        self.tend_one(number, turn);
    }

    /// Sends the members to who asked for them, at once.
    pub(super) fn send_list(&mut self, outlet: &H, listed: bool, turn: &mut Turn<'_, impl Outlet<H>>) {
        let frames = if listed { self.list(turn.limits) } else { None };
        for frame in frames.iter().flat_map(|frames| frames.iter()) {
            turn.out.frame(outlet, FrameClass::Snapshot, frame);
        }
    }

    /// PROTOCOL 12.1: what somebody who names its last position has missed.
    fn missed(&self, join: &JoinCommand, rights: Rights) -> Missed {
        let now = self.position;
        let at = |outcome, lost, position, replays| Missed { outcome, lost, position, replays };
        let Some((epoch, last)) = join.since else { return at(Outcome::FRESH, None, now, false) };
        if epoch != self.epoch || last > now {
            return at(Outcome::GAP, None, now, false);
        }
        if last == now {
            return at(Outcome::RECOVERED, None, now, false);
        }
        let may = rights.history && join.capabilities.has(Capabilities::HISTORY) && join.mode.has(Mode::RECEIVE);
        match self.history.first().filter(|_| may) {
            Some(oldest) if oldest <= last.next() => at(Outcome::RECOVERED, None, last, true),
            Some(oldest) => {
                let lost = Position(oldest.0 - 1);
                at(Outcome::GAP, Some((last.next(), lost)), lost, true)
            }
            None => at(Outcome::GAP, Some((last.next(), now)), now, false),
        }
    }

    /// A member wants more or less of the room (PROTOCOL 6.11).
    pub(crate) fn receive(
        &mut self,
        number: MemberNumber,
        request: RequestId,
        what: What,
        turn: &mut Turn<'_, impl Outlet<H>>,
    ) -> Result<(), Reason> {
        let next = self.position.next();
        let receiver = self.members.receiver(number).ok_or(Reason::ARGUMENT)?;
        let before = std::mem::replace(&mut receiver.what, what);
        let done = Tell::Done(Done { extensions: Extensions::NONE });
        turn.out.frame(&receiver.outlet, FrameClass::Control, &encode(Control::new(request, done)));
        match (before, what) {
            (_, What::Paused) => {
                receiver.standing = match receiver.standing {
                    Standing::Lost { from } => Standing::Lost { from },
                    Standing::Replaying { next } => Standing::Lost { from: next },
                    _ => Standing::Lost { from: next },
                };
            }
            (What::All, What::Events) => {
                if matches!(
                    receiver.standing,
                    Standing::Behind { .. } | Standing::Waiting { .. } | Standing::Sending(_)
                ) {
                    receiver.standing = Standing::Current;
                }
            }
            (What::Events, What::All) if matches!(receiver.standing, Standing::Current | Standing::Sending(_)) => {
                receiver.standing = Standing::Lost { from: next };
            }
            _ => {}
        }
        if what != What::Paused && before != what {
            self.tend_one(number, turn);
        }
        Ok(())
    }

    /// Tells a receiver what it will never get, and that a snapshot follows (PROTOCOL 6.10).
    pub(super) fn gap(&self, outlet: &H, from: Position, to: Position, turn: &mut Turn<'_, impl Outlet<H>>) {
        let gap = Gap { room: self.id, epoch: self.epoch, from, to, extensions: Extensions::NONE };
        turn.out.frame(outlet, FrameClass::Control, &encode(Control::new(RequestId(0), Tell::Gap(gap))));
        turn.tools.counters.gaps += 1;
    }
}

/// JOINED's extensions: the logic's answer, and what is lost (PROTOCOL 6.4).
fn extensions(answer: &[u8], lost: Option<(Position, Position)>) -> SmallVec<[u8; 32]> {
    let mut extensions = Vec::new();
    if !answer.is_empty() {
        put_extension(kind::LOGIC, answer, &mut extensions);
    }
    if let Some((from, to)) = lost {
        let mut content = Vec::new();
        put_varint(from.0, &mut content);
        put_varint(to.0, &mut content);
        put_extension(kind::LOST, &content, &mut extensions);
    }
    extensions.into()
}
