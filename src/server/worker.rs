//! A worker: one thread that owns a shard and the sockets of its connections.
//!
//! ```text
//!            ┌── events ──> connection ──mail──┐ of other shards: their mailboxes
//! epoll ─────┤                                 v
//!            └── tick ──────────────────────> shard ──frames──> outboxes ──> connection ──write──> socket
//! others ────── hub: arrivals, wakes, mail ────^
//! ```
//!
//! From a socket to a room of the same worker nothing is queued, locked in vain or woken, and a flush
//! writes to its receivers one after the other: what a tick costs is what its system calls cost.
//! Connections that are not a socket of ours (TLS, those that an application hands over) are tasks of
//! the runtime, and reach the shard by its mailbox.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::{Events, Token};
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::error;

use super::clock::Clock;
use super::connection::Connection;
use super::hub::{self, Arrival, Hub, Rouser};
use super::inbound::Stopped;
use super::shard::{Mail, Mailboxes, Shard};
use super::socket::Socket;
use crate::time::Time;

/// A thread's worth of the server, before it runs.
#[derive(Debug)]
pub(super) struct Worker {
    poll: mio::Poll,
    hub: Arc<Hub>,
    index: usize,
    shard: Shard,
    mailbox: mpsc::Receiver<Mail>,
    mailboxes: Mailboxes,
    postman: Waker,
    /// Where connections go to end: that takes time, and waits.
    runtime: Option<Handle>,
    clock: Clock,
    connections: Slab<Box<Member>>,
    /// When connections want to look at the time. One that has moved its deadline leaves an old entry
    /// behind, which finds nothing to do.
    timers: BinaryHeap<Reverse<(Time, usize)>>,
    /// Mail was handled since the shard's last turn ended.
    touched: bool,
}

/// A connection of a worker.
#[derive(Debug)]
struct Member {
    connection: Connection<Socket>,
    rouser: Arc<Rouser>,
    waker: Waker,
    /// When it is in `timers`; nothing else there counts.
    armed: Time,
}

/// The worker's own bell among the keys of connections.
const BELL: Token = Token(usize::MAX);

/// Events taken at once. 1,024: what a tick of a thousand senders brings.
const EVENTS: usize = 1024;

/// Connections that have a turn before the shard's clock is looked at: about 100 us.
const TURNS: usize = 16;

impl Worker {
    /// A worker of the shard that has this mailbox.
    ///
    /// # Errors
    /// Where the system has no more descriptors.
    pub(super) fn new(
        index: usize,
        shard: Shard,
        mailbox: mpsc::Receiver<Mail>,
        mailboxes: Mailboxes,
        clock: Clock,
    ) -> io::Result<Self> {
        let (poll, hub) = hub::new_poll(BELL)?;
        let postman = hub::postman(&hub);
        Ok(Self {
            poll,
            hub,
            index,
            shard,
            mailbox,
            mailboxes,
            postman,
            runtime: None,
            clock,
            connections: Slab::new(),
            timers: BinaryHeap::new(),
            touched: false,
        })
    }

    /// How others reach it.
    pub(super) const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Runs until its hub is told to stop. `runtime` is where connections end.
    pub(super) fn run(mut self, runtime: Handle) {
        self.runtime = Some(runtime);
        let mut events = Events::with_capacity(EVENTS);
        let (mut woken, mut arrivals) = (Vec::new(), Vec::new());
        while !self.hub.is_stopped() {
            self.wait(&mut events);
            for (count, event) in events.iter().enumerate() {
                if count % TURNS == TURNS - 1 {
                    self.flush_if_due(&mut woken);
                }
                let key = event.token().0;
                let Some(member) = self.connections.get_mut(key) else { continue };
                let unblocked = member.connection.io_mut().handle_event(event);
                self.turn(key, unblocked);
            }
            self.hub.take_arrivals(&mut arrivals);
            for arrival in arrivals.drain(..) {
                self.welcome(arrival);
            }
            self.receive(super::shard::TURN);
            self.handle_timers();
            self.end_turn(&mut woken);
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, events: &mut Events) {
        let idle = self.hub.sleep();
        let next = self.timers.peek().map(|Reverse((time, _))| *time);
        let timeout = match self.shard.deadline().into_iter().chain(next).min() {
            _ if !idle || self.touched => Some(Duration::ZERO),
            Some(deadline) => Some(deadline.since(self.clock.now())),
            None => None,
        };
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            // A bug of ours: there is no way on, and the server ends.
            Err(error) => panic!("epoll failed: {error}"),
        }
        self.hub.wake_up();
    }

    /// A new connection.
    fn welcome(&mut self, arrival: Arrival) {
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let registry = self.poll.registry();
        let Some(connection) = arrival.try_map_io(|stream| Socket::watch(stream, registry, key)) else { return };
        let rouser = Rouser::new(&self.hub, key);
        let waker = Arc::clone(&rouser).into();
        entry.insert(Box::new(Member { connection, rouser, waker, armed: Time::MAX }));
        self.turn(key, true);
    }

    /// Gives a connection its turn. `woken` as in [`Connection::poll_io`].
    fn turn(&mut self, key: usize, woken: bool) {
        let Self { connections, shard, mailbox, mailboxes, hub, postman, index, clock, touched, .. } = self;
        let Some(member) = connections.get_mut(key) else { return };
        let mut in_shard = false;
        let mut deliver = |target: usize, mail| {
            if target != *index {
                return mailboxes.send(target, mail);
            }
            in_shard = true;
            // What another connection of this session posted before came by the mailbox.
            if hub.has_mail() {
                receive(shard, mailbox, hub, postman, *clock, usize::MAX);
            }
            shard.handle(mail, clock.now());
            *touched = true;
            in_shard = false;
            Ok(())
        };
        let Member { connection, waker, .. } = &mut **member;
        let mut cx = Context::from_waker(waker);
        let turn = catch_unwind(AssertUnwindSafe(|| connection.poll_io(&mut cx, woken, &mut deliver)));
        match turn {
            Ok(Ok(())) => self.arm(key),
            Ok(Err(stopped)) => self.end(key, stopped),
            // The rooms may be anything now.
            Err(panic) if in_shard => resume_unwind(panic),
            Err(_) => self.give_up(key),
        }
    }

    /// Flushes what is due, and gives those a turn who got something or were woken.
    fn end_turn(&mut self, woken: &mut Vec<usize>) {
        let due = || self.shard.deadline().is_some_and(|deadline| deadline <= self.clock.now());
        if self.touched || due() {
            self.touched = false;
            self.shard.end_turn(self.clock);
        }
        self.hub.take_woken(woken);
        for key in woken.drain(..) {
            if let Some(member) = self.connections.get(key) {
                member.rouser.begin_turn();
                self.turn(key, true);
            }
        }
    }

    fn flush_if_due(&mut self, woken: &mut Vec<usize>) {
        if self.shard.deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
            self.end_turn(woken);
        }
    }

    fn receive(&mut self, most: usize) {
        if self.hub.has_mail() {
            let Self { shard, mailbox, hub, postman, clock, .. } = self;
            self.touched |= receive(shard, mailbox, hub, postman, *clock, most);
        }
    }

    /// Sees to it that a connection looks at the time when it wants to.
    fn arm(&mut self, key: usize) {
        let Some(member) = self.connections.get_mut(key) else { return };
        let deadline = member.connection.deadline(self.clock.now());
        // A deadline moves with every frame, mostly to later. The entry that is there comes first then,
        // and finds nothing to do.
        if deadline < member.armed {
            member.armed = deadline;
            self.timers.push(Reverse((deadline, key)));
        }
    }

    fn handle_timers(&mut self) {
        if self.timers.is_empty() {
            return;
        }
        let now = self.clock.now();
        while let Some(Reverse((time, key))) = self.timers.peek().copied().filter(|Reverse((time, _))| *time <= now) {
            self.timers.pop();
            let Some(member) = self.connections.get_mut(key).filter(|member| member.armed == time) else { continue };
            let Member { connection, waker, armed, .. } = &mut **member;
            *armed = Time::MAX;
            let mut cx = Context::from_waker(waker);
            match catch_unwind(AssertUnwindSafe(|| connection.handle_time(&mut cx))) {
                Ok(Ok(())) => self.arm(key),
                Ok(Err(stopped)) => self.end(key, stopped),
                Err(_) => self.give_up(key),
            }
        }
        if self.timers.len() * 4 < self.timers.capacity() {
            self.timers.shrink_to(self.timers.len() * 2);
        }
    }

    /// A connection goes to the runtime, where it ends.
    fn end(&mut self, key: usize, stopped: Stopped) {
        let Some(member) = self.remove(key) else { return };
        let registry = self.poll.registry();
        let released = member.connection.try_map_io(|socket| socket.release(registry));
        let (Some(connection), Some(runtime)) = (released, &self.runtime) else { return };
        runtime.spawn(async move {
            if let Some(connection) = connection.try_map_io(tokio::net::TcpStream::from_std) {
                connection.close(stopped).await;
            }
        });
    }

    /// A connection has panicked: it is closed, and leaves its rooms. Nothing it knows can be trusted,
    /// so it says nothing.
    fn give_up(&mut self, key: usize) {
        error!("a connection panicked and is closed; this is a bug in the server");
        drop(self.remove(key));
    }

    fn remove(&mut self, key: usize) -> Option<Member> {
        let member = *self.connections.try_remove(key)?;
        if self.connections.is_empty() {
            self.connections = Slab::new();
        }
        Some(member)
    }
}

/// Handles what is in a mailbox, about `most` of it. True where there was something.
fn receive(
    shard: &mut Shard,
    mailbox: &mut mpsc::Receiver<Mail>,
    hub: &Hub,
    postman: &Waker,
    clock: Clock,
    most: usize,
) -> bool {
    if !hub.take_mail() {
        return false;
    }
    let mut cx = Context::from_waker(postman);
    let mut received = 0;
    // To the end: only an empty mailbox remembers whom to wake.
    while let Poll::Ready(Some(mail)) = mailbox.poll_recv(&mut cx) {
        shard.handle(mail, clock.now());
        received += 1;
        if received >= most {
            hub.leave_mail();
            break;
        }
    }
    received > 0
}
