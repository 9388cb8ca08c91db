//! One publisher of a replay, and what its server says.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tickwire::client::{Client, Error, Event, Receiver, Sender, Timing};
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, MemberNumber, Reason, Target};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::cli::{Failure, output};

/// The first reason that is counted together with all larger ones.
const MAX_REASON: u64 = 1000;

/// What all connections of a replay have heard. One thread, so cells.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Messages that were refused, by reason.
    pub(super) refused: RefCell<BTreeMap<u64, (Reason, u64)>>,
    /// Why the first connection has ended that should not have.
    pub(super) ended: RefCell<Option<String>>,
    /// Connections whose messages are not known to be handled yet.
    pub(super) unsettled: Cell<usize>,
    /// Told when one of the last two has changed.
    pub(super) changed: Notify,
    /// Connections may end now.
    pub(super) closing: Cell<bool>,
}

impl Heard {
    fn refuse(&self, reason: Reason) {
        let mut refused = self.refused.borrow_mut();
        // PROTOCOL 14: larger numbers mean nothing. A server must not make this grow with them.
        refused.entry(reason.0.min(MAX_REASON)).or_insert((reason, 0)).1 += 1;
    }

    fn end(&self, why: String) {
        if !self.closing.get() {
            self.ended.borrow_mut().get_or_insert(why);
        }
        self.changed.notify_one();
    }
}

/// A connection that has joined to publish.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    handle: Handle,
    me: MemberNumber,
    /// The number of the direct to ourselves that has not come back.
    settling: Rc<Cell<Option<u64>>>,
    /// Messages since the last time that all were handled.
    pub(super) waiting: usize,
    pub(super) reading: JoinHandle<()>,
}

impl Connection {
    /// Joins; a task of its own answers pings and hears refusals.
    pub(super) async fn join(mut client: Client, room: &str, heard: Rc<Heard>) -> Result<Self, Failure> {
        let shown = output::escaped(room.as_bytes());
        let joined = client.join(room, Mode::PUBLISH).await;
        let membership = joined.map_err(|error| Failure::Runtime(format!("{shown}: {}", output::error(&error))))?;
        let (sender, receiver) = client.split();
        let settling = Rc::new(Cell::new(None));
        let me = membership.member;
        let reading = tokio::task::spawn_local(listen(receiver, me, Rc::clone(&settling), heard));
        Ok(Self { sender, handle: membership.handle, me, settling, waiting: 0, reading })
    }

    /// Publishes. Cancel safe.
    pub(super) async fn publish(&mut self, target: Target, payload: &[u8]) -> Result<(), Error> {
        self.sender.publish(self.handle, target, Timing::Tick, payload).await?;
        self.waiting += 1;
        Ok(())
    }

    /// Sends a direct to ourselves: when it is back, the room has handled what came before (PROTOCOL 8.6).
    pub(super) async fn start_settling(&mut self, heard: &Heard) -> Result<(), Error> {
        let number = self.sender.publish(self.handle, Target::Direct(self.me), Timing::Tick, b"").await?;
        // On one thread nothing can have been heard of it before this.
        self.settling.set(Some(number));
        heard.unsettled.set(heard.unsettled.get() + 1);
        self.waiting = 0;
        Ok(())
    }

    /// Asks to end.
    pub(super) async fn close(&mut self) {
        // Where it has ended already, nothing is left to say.
        let _ = self.sender.close().await;
    }
}

/// Hears until the end.
async fn listen(mut receiver: Receiver, me: MemberNumber, settling: Rc<Cell<Option<u64>>>, heard: Rc<Heard>) {
    let settle = || {
        if settling.take().is_some() {
            heard.unsettled.set(heard.unsettled.get().saturating_sub(1));
            heard.changed.notify_one();
        }
    };
    loop {
        match receiver.next().await {
            Ok(Event::Direct(batch)) if batch.records().any(|record| record.member == me) => settle(),
            // A room that does not take the direct has handled what came before all the same.
            Ok(Event::Refused(refusal)) if settling.get() == Some(refusal.number) => settle(),
            Ok(Event::Refused(refusal)) => heard.refuse(refusal.reason),
            Ok(Event::Left { reason, .. }) => {
                return heard.end(format!("the server ended a membership, {reason}"));
            }
            Ok(Event::Closed(closing)) => {
                let why = closing.reason.map(|reason| output::reason(reason, &closing.text));
                return heard.end(why.unwrap_or_else(|| "a connection ended without a reason".into()));
            }
            Ok(_) => {}
            Err(error) => return heard.end(output::error(&error)),
        }
    }
}
