//! One room of a link, as its handles and its task know it.

use super::config::RoomOptions;
use super::event::{Outcome, RoomState};
use super::known::Known;
use super::shown::Shown;
use super::waiting::Waiting;
use crate::client::{JoinOptions, Membership};
use crate::wire::{Epoch, MemberNumber, Position};

/// A room that is wanted, or was lately.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) options: RoomOptions,
    /// From `join` to `leave`.
    pub(super) wanted: bool,
    /// Tells one join from the next.
    pub(super) generation: u64,
    pub(super) state: RoomState,
    /// Whether the application wants nothing of it for now.
    pub(super) paused: bool,
    /// What the server has agreed to.
    pub(super) is_paused: bool,
    /// How often the server has refused to pause it, or to go on.
    pub(super) pause_refusals: u64,
    /// Its list of members is too long for one answer (PROTOCOL 6.3).
    pub(super) has_long_list: bool,
    pub(super) waiting: Waiting,
    pub(super) membership: Option<Membership>,
    /// This client's numbers in the room, in its present life, the last one included.
    pub(super) own: Vec<MemberNumber>,
    /// The last batch that came whole.
    pub(super) since: Option<(Epoch, Position)>,
    pub(super) shown: Shown,
    pub(super) known: Known,
    /// A batch whose messages are through, and which was not told yet.
    pub(super) tick: Option<(u64, Position)>,
    /// The batch that was told last, in the room's present life.
    told: Option<(u64, Position)>,
}

/// Earlier numbers of this client that are remembered, to know its own messages in what is replayed. 8: each is
/// a session that was lost, within what a room's history holds.
const MAX_OWN: usize = 8;

impl Entry {
    pub(super) fn new(options: RoomOptions, generation: u64) -> Self {
        Self {
            options,
            wanted: true,
            generation,
            state: RoomState::Left,
            paused: false,
            is_paused: false,
            pause_refusals: 0,
            has_long_list: false,
            waiting: Waiting::default(),
            membership: None,
            own: Vec::new(),
            since: None,
            shown: Shown::default(),
            known: Known::default(),
            tick: None,
            told: None,
        }
    }

    /// What JOIN says.
    pub(super) fn join_options(&self) -> JoinOptions {
        let mode = self.options.mode(!self.has_long_list);
        let options = JoinOptions::new(mode);
        let options = options.data(self.options.data.clone()).presence(self.options.presence.clone());
        match self.since {
            Some((epoch, position)) if self.options.receive => options.since(epoch, position),
            _ => options,
        }
    }

    /// Whether a message of this member is to be shown.
    pub(super) fn shows(&self, member: MemberNumber) -> bool {
        self.options.echo || !self.own.contains(&member)
    }

    /// The batch whose messages are through, if there is one: once for each.
    pub(super) fn take_tick(&mut self) -> Option<(u64, Position)> {
        let tick = self.tick.take().filter(|tick| self.told != Some(*tick))?;
        self.told = Some(tick);
        Some(tick)
    }

    /// GAP came (PROTOCOL 6.10): what is known from here on.
    pub(super) fn handle_gap(&mut self, epoch: Epoch, from: Position, to: Position) -> Outcome {
        self.known.forget_under_way();
        // What had come before was told before.
        self.tick = None;
        match &mut self.since {
            Some((known, last)) if *known == epoch => {
                if to < from {
                    return Outcome::Snapshot;
                }
                *last = to;
                Outcome::Gap(from, to)
            }
            _ => {
                let current = self.own.pop();
                self.own = current.into_iter().collect();
                self.known = Known::default();
                self.shown.forget();
                self.told = None;
                self.since = Some((epoch, to));
                Outcome::Snapshot
            }
        }
    }

    /// JOINED came: whether all that was known of the room is void.
    pub(super) fn handle_joined(&mut self, membership: Membership) -> bool {
        let is_new = self.since.is_none_or(|(epoch, _)| epoch != membership.epoch);
        if is_new {
            self.own.clear();
            self.known = Known::default();
            self.shown.forget();
            self.told = None;
        }
        self.tick = None;
        self.known.forget_under_way();
        self.shown.handle_joined();
        self.own.retain(|member| *member != membership.member);
        self.own.push(membership.member);
        if self.own.len() > MAX_OWN {
            self.own.remove(0);
        }
        self.since = Some((membership.epoch, membership.position));
        self.membership = Some(membership);
        self.is_paused = false;
        is_new
    }
}
