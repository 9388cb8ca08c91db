//! What a shard's rooms have done so far, in plain numbers that only grow.

/// Counts since the start. Each shard has its own; whoever wants the server's adds them up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Receivers that fell behind: values were left out for them (the first rung, PROTOCOL 12.5).
    pub behind: u64,
    /// Receivers that caught up with the values that had changed.
    pub caught_up_by_changes: u64,
    /// Receivers that caught up with a snapshot.
    pub caught_up_by_snapshot: u64,
    /// Receivers for whom batches were left out (the second rung).
    pub skipped: u64,
    /// Gaps that were told.
    pub gaps: u64,
    /// Receivers closed because their room's class says so.
    pub closed_by_class: u64,
    /// Connections closed because answers and directs alone were too much (the third rung).
    pub closed_by_answers: u64,
    /// Batches sent again from history.
    pub replayed: u64,
    /// Batches let go of because the server's budget for the past was used up.
    pub evicted: u64,
    /// Panics in the application's own code: logic, which closes its room, and who decides of joins.
    pub logic_panics: u64,
    /// Rooms that were asked for when too many had just been made: refused, made with a delay, or the end of
    /// the session that asked.
    pub rooms_refused: u64,
    /// Messages whose sender caused more than it may: refused, delayed, or the end of their session.
    pub fanout_exceeded: u64,
}

impl Counters {
    /// Names and numbers, in a fixed order.
    #[must_use]
    pub const fn entries(&self) -> [(&'static str, u64); 12] {
        [
            ("behind", self.behind),
            ("caught_up_by_changes", self.caught_up_by_changes),
            ("caught_up_by_snapshot", self.caught_up_by_snapshot),
            ("skipped", self.skipped),
            ("gaps", self.gaps),
            ("closed_by_class", self.closed_by_class),
            ("closed_by_answers", self.closed_by_answers),
            ("replayed", self.replayed),
            ("evicted", self.evicted),
            ("logic_panics", self.logic_panics),
            ("rooms_refused", self.rooms_refused),
            ("fanout_exceeded", self.fanout_exceeded),
        ]
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.behind += other.behind;
        self.caught_up_by_changes += other.caught_up_by_changes;
        self.caught_up_by_snapshot += other.caught_up_by_snapshot;
        self.skipped += other.skipped;
        self.gaps += other.gaps;
        self.closed_by_class += other.closed_by_class;
        self.closed_by_answers += other.closed_by_answers;
        self.replayed += other.replayed;
        self.evicted += other.evicted;
        self.logic_panics += other.logic_panics;
        self.rooms_refused += other.rooms_refused;
        self.fanout_exceeded += other.fanout_exceeded;
    }
}
