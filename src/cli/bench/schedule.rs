//! When to send: at fixed times, whatever the server does.
//!
//! An open loop: a server that is slow gets no fewer messages, and a message that leaves late is
//! timed from when it was due.

use std::rc::Rc;

use tickwire::wire::ClientData;

use super::gather::Gather;
use super::link::HANDLE;
use super::peer::{Peer, Shared};
use super::stamp::Stamp;
use super::workload::Workload;

/// Messages sent before connections are read again. 1024: half a millisecond of work.
const AT_ONCE: usize = 1024;

/// Who sends next, and when.
#[derive(Debug)]
pub(super) struct Schedule {
    senders: Vec<usize>,
    /// Nanoseconds between messages of all senders; zero for none.
    gap: f64,
    /// When the first was due.
    first: u64,
    made: u64,
    /// Whether messages wait for others.
    gather: Option<Gather>,
    /// Connections with something to write.
    dirty: Vec<usize>,
    message: Vec<u8>,
    frame: Vec<u8>,
    /// The longest that a message left late, in nanoseconds.
    pub(super) slowest: u64,
}

impl Schedule {
    pub(super) fn new(workload: &Workload, first: u64, gather: Option<Gather>) -> Self {
        let rate = workload.messages_per_sec();
        Self {
            senders: workload.senders.clone(),
            gap: if rate > 0.0 { 1e9 / rate } else { 0.0 },
            first,
            made: 0,
            gather,
            dirty: Vec::new(),
            message: vec![0; workload.payload],
            frame: Vec::new(),
            slowest: 0,
        }
    }

    /// Sends what is due, and writes as far as sockets take it.
    pub(super) fn send_due(&mut self, peers: &[Rc<Peer>], shared: &Shared, now: u64) {
        for _ in 0..AT_ONCE {
            let Some(due) = self.next_due().filter(|due| *due <= now) else { break };
            let index = usize::try_from(self.made).unwrap_or(0) % self.senders.len();
            self.send(self.senders[index], due, peers, shared);
            self.made += 1;
            self.slowest = self.slowest.max(now - due);
        }
        while let Some(sender) = self.gather.as_mut().and_then(|gather| gather.pop_due(now)) {
            peers[sender].release();
            self.dirty.push(sender);
        }
        self.flush(peers);
    }

    /// Writes what is queued, as far as sockets take it.
    pub(super) fn flush(&mut self, peers: &[Rc<Peer>]) {
        self.dirty.sort_unstable();
        self.dirty.dedup();
        self.dirty.retain(|sender| !peers[*sender].flush());
    }

    /// When the next message is due, in nanoseconds since the start.
    pub(super) fn next_due(&self) -> Option<u64> {
        // Multiplied and not added up, so that errors do not.
        (self.gap > 0.0).then(|| self.first + (self.made as f64 * self.gap) as u64)
    }

    /// When there is something to do next: a message is due, or has waited long enough.
    pub(super) fn next_act(&self) -> Option<u64> {
        let leaves = self.gather.as_ref().and_then(Gather::next_due);
        self.next_due().into_iter().chain(leaves).min()
    }

    /// No message more is due.
    pub(super) const fn stop(&mut self) {
        self.gap = 0.0;
    }

    fn send(&mut self, sender: usize, due: u64, peers: &[Rc<Peer>], shared: &Shared) {
        let mut tally = shared.tally.borrow_mut();
        let sequence = tally.next_sequence(sender);
        Stamp { due, sender: sender as u32, sequence }.encode(&mut self.message);
        let target = tally.target(sequence);
        self.frame.clear();
        ClientData { handle: HANDLE, target, options: 0, payload: &self.message }.encode(&mut self.frame);
        let peer = &peers[sender];
        let queued = match &mut self.gather {
            None => peer.queue(&self.frame),
            Some(gather) => {
                let first = !peer.holds();
                let queued = peer.hold(&self.frame, gather.most);
                if queued && first {
                    gather.push(sender, due);
                }
                queued
            }
        };
        if queued {
            tally.count_sent(sender);
            self.dirty.push(sender);
        } else {
            tally.counts.unsent += 1;
        }
    }
}
