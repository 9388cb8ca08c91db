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
//! Connections that an application hands over are tasks of its runtime, and reach the shard by its
//! mailbox.

mod gathering;
mod post;
mod time;
mod write;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Token};
use slab::Slab;
use tokio::runtime::Handle;
use tracing::error;

use self::gathering::Gathering;
use self::post::{OurShard, Post};
use super::clock::Clock;
use super::connection::{Connection, Mark};
use super::hub::{self, Arrival, Hub, Rouser};
use super::inbound::Stopped;
use super::shard::Shard;
use super::socket::Socket;
use super::stream::Stream;
use crate::time::Time;
use crate::wire::Reason;

/// A thread's worth of the server, before it runs.
#[derive(Debug)]
pub(super) struct Worker {
    poll: mio::Poll,
    gathering: Gathering,
    post: Post,
    /// Where connections go to end: that takes time, and waits.
    runtime: Option<Handle>,
    clock: Clock,
    now: Time,
    /// In one piece: when all have left it goes back to the system whole, whatever lies around it.
    connections: Slab<Member>,
    /// When connections want to look at the time. One that has moved its deadline leaves an old entry
    /// behind, which finds nothing to do.
    timers: BinaryHeap<Reverse<(Time, usize)>>,
    /// Keys of connections that have something to write. Kept for its memory, as are the next.
    writing: Vec<usize>,
    spare: Vec<usize>,
    woken: Vec<usize>,
    /// What has come between writes.
    between: Events,
    /// Turns so far, for [`pause`](Self::pause).
    turns: usize,
    /// How many there had been when the clock was looked at.
    looked: usize,
    /// All workers, and which connections of theirs have something to write.
    elsewhere: Vec<(Arc<Hub>, Vec<usize>)>,
}

/// A connection of a worker.
#[derive(Debug)]
struct Member {
    connection: Connection<Stream<Socket>>,
    rouser: Arc<Rouser>,
    waker: Waker,
    /// When it is in `timers`; nothing else there counts.
    armed: Time,
}

/// The worker's own bell among the keys of connections.
const BELL: Token = Token(usize::MAX);

/// Events taken at once. 1,024: what a tick of a thousand senders brings.
const EVENTS: usize = 1024;

/// Connections that are looked at together before their turns. 8: all of what they touch fits the first cache.
const TOGETHER: usize = 8;

/// Turns of connections before the clock is looked at: about 100 us.
const TURNS: usize = 16;

/// Turns before rooms of period 0 flush, should there be no end of turns. 64: about half a millisecond.
const MANY_TURNS: usize = 64;

impl Worker {
    /// A worker of a shard. It lets what peers send gather for up to `gathering`.
    ///
    /// # Errors
    /// Where the system has no more descriptors.
    pub(super) fn new(index: usize, shard: Shard, clock: Clock, gathering: Duration) -> io::Result<Self> {
        let (poll, hub) = hub::new_poll(BELL)?;
        let gathering = Gathering::new(gathering);
        Ok(Self {
            poll,
            gathering,
            post: Post::new(hub, index, shard),
            runtime: None,
            clock,
            now: clock.now(),
            connections: Slab::new(),
            timers: BinaryHeap::new(),
            writing: Vec::new(),
            spare: Vec::new(),
            woken: Vec::new(),
            between: Events::with_capacity(write::BETWEEN),
            turns: 0,
            looked: 0,
            elsewhere: Vec::new(),
        })
    }

    /// How others reach it.
    pub(super) const fn hub(&self) -> &Arc<Hub> {
        &self.post.hub
    }

    /// Runs until its hub is told to stop. `runtime` is where connections end; `hubs` are those of all
    /// workers.
    pub(super) fn run(mut self, runtime: Handle, hubs: &[Arc<Hub>]) {
        self.runtime = Some(runtime);
        self.elsewhere = hubs.iter().map(|hub| (Arc::clone(hub), Vec::new())).collect();
        let mut events = Events::with_capacity(EVENTS);
        let mut arrivals = Vec::new();
        while !self.post.hub.is_stopped() {
            self.wait(&mut events);
            self.receive();
            let mut coming = events.iter();
            for (count, event) in events.iter().enumerate() {
                if count % TOGETHER == 0 {
                    coming.by_ref().take(TOGETHER).for_each(|event| self.warm(event.token().0));
                }
                self.handle_event(event);
                self.pause();
            }
            self.post.hub.take_arrivals(&mut arrivals);
            for arrival in arrivals.drain(..) {
                self.welcome(arrival);
                self.pause();
            }
            self.handle_timers();
            // Where there were more the rest is not read yet, and would be late by a tick.
            if events.iter().count() < EVENTS {
                self.post.shard.catch_up();
            }
            self.end_turn();
            self.handle_woken();
        }
        self.post.hub.close();
    }

    /// A socket has something to read, or takes more.
    fn handle_event(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(member) = self.connections.get_mut(key) else { return };
        let unblocked = member.connection.io_mut().socket_mut().handle_event(event);
        self.turn(key, unblocked);
    }

    /// A new connection.
    fn welcome(&mut self, arrival: Arrival) {
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let registry = self.poll.registry();
        let Arrival { connection, rouser } = arrival;
        let Some(connection) =
            connection.try_map_io(|stream| stream.try_map(|socket| Socket::watch(socket, registry, key)))
        else {
            return;
        };
        rouser.settle(key);
        let waker = Arc::clone(&rouser).into();
        connection.settle(self.post.index, key);
        connection.tell_came(&mut self.post.shard.tally);
        entry.insert(Member { connection, rouser, waker, armed: Time::MAX });
        self.turn(key, true);
    }

    /// Gives a connection its turn. `woken` as in [`Connection::poll_io`].
    fn turn(&mut self, key: usize, woken: bool) {
        self.turn_as(key, |connection, cx, now, here| connection.poll_io(cx, woken, now, here));
    }

    /// Gives a connection a turn after which it ends: its peer takes nothing more, and may have said why.
    fn hear_out(&mut self, key: usize) {
        // All that came before the socket broke is here.
        self.turn_as(key, |connection, cx, now, here| connection.poll_hear(cx, now, here).and(Err(Stopped::Gone)));
    }

    /// A turn in which the connection is polled so.
    fn turn_as(
        &mut self,
        key: usize,
        poll: impl FnOnce(&mut Connection<Stream<Socket>>, &mut Context<'_>, Time, &mut OurShard<'_>) -> Result<(), Stopped>,
    ) {
        let Self { connections, post, now, .. } = self;
        let Some(member) = connections.get_mut(key) else { return };
        let Member { connection, waker, .. } = member;
        let mark = connection.mark();
        let mut cx = Context::from_waker(waker);
        let mut here = OurShard::new(post, *now);
        let turn = catch_unwind(AssertUnwindSafe(|| poll(connection, &mut cx, *now, &mut here)));
        // The rooms may be anything now.
        let shard_panicked = here.busy;
        match turn {
            Err(panic) if shard_panicked => resume_unwind(panic),
            turn => self.handle_turned(key, mark, turn),
        }
    }

    /// A turn has ended; `mark` is how the connection stood before.
    fn handle_turned(&mut self, key: usize, mark: Mark, turn: std::thread::Result<Result<(), Stopped>>) {
        if let Some(member) = self.connections.get_mut(key) {
            member.connection.tell(mark, &mut self.post.shard.tally);
        }
        match turn {
            Ok(Ok(())) => self.arm(key),
            Ok(Err(Stopped::Deaf)) => self.hear_out(key),
            Ok(Err(stopped)) => self.end(key, stopped),
            Err(_) => self.give_up(key),
        }
    }

    /// Gives those a turn who were woken, one by one.
    fn handle_woken(&mut self) {
        let mut woken = std::mem::take(&mut self.woken);
        self.post.hub.take_woken(&mut woken);
        for key in woken.drain(..) {
            if let Some(member) = self.connections.get(key) {
                member.rouser.begin_turn();
                self.turn(key, true);
                self.pause();
            }
        }
        self.woken = woken;
    }

    /// Looks at what a connection's turn will touch. Where many have a turn, most of what that costs is waiting for
    /// memory: several looks wait together, where turns would wait one after the other.
    fn warm(&self, key: usize) {
        if let Some(member) = self.connections.get(key) {
            black_box((member.armed, &member.waker));
            self.post.shard.warm(member.connection.warm());
        }
    }

    /// Something took its time. After a few such things it is looked whether a tick has come, and rooms
    /// that flush at once have gathered enough.
    fn pause(&mut self) {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(TURNS) {
            let now = self.look();
            let due = self.post.shard.deadline().is_some_and(|deadline| deadline <= now);
            if due || self.turns.is_multiple_of(MANY_TURNS) {
                self.end_turn();
            }
        }
    }

    /// Handles the mail that is here, a part at a time.
    fn receive(&mut self) {
        self.post.take_mail();
        while self.post.handle_some(self.now) {
            self.pause();
        }
    }

    /// A connection goes to the runtime, where it ends.
    fn end(&mut self, key: usize, stopped: Stopped) {
        let Some(mut member) = self.remove(key) else { return };
        Connection::<Socket>::tell_ended(&stopped, &mut self.post.shard.tally);
        member.connection.log_ended(&stopped, self.now);
        if member.connection.just_ends(&stopped) {
            member.connection.io_mut().say_goodbye(&mut Context::from_waker(Waker::noop()));
            return member.connection.end();
        }
        let registry = self.poll.registry();
        let released = member.connection.try_map_io(|stream| stream.try_map(|socket| socket.release(registry)));
        let (Some(connection), Some(runtime)) = (released, &self.runtime) else { return };
        runtime.spawn(async move {
            if let Some(connection) = connection.try_map_io(|stream| stream.try_map(tokio::net::TcpStream::from_std)) {
                connection.close(stopped).await;
            }
        });
    }

    /// A connection has panicked: it is closed, and leaves its rooms. Nothing it knows can be trusted,
    /// so it says nothing.
    fn give_up(&mut self, key: usize) {
        error!("a connection panicked and is closed; this is a bug in the server");
        self.post.shard.tally.ended.add(Reason::INTERNAL);
        drop(self.remove(key));
    }

    fn remove(&mut self, key: usize) -> Option<Member> {
        let member = self.connections.try_remove(key)?;
        member.connection.unsettle();
        if self.connections.is_empty() {
            self.connections = Slab::new();
        }
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox::Outbox;
    use super::super::registry::Place;
    use super::super::rooms::Rooms;
    use super::super::writer::Writer;
    use super::*;
    use crate::session::Session;

    /// docs/memory.md says where each byte of an idle connection sits; this is what it says.
    #[test]
    fn an_idle_connection_takes_what_is_written_down() {
        let parts = [
            ("connection, in the worker's slab", size_of::<Member>()),
            ("  its session", size_of::<Session>()),
            ("  its writer", size_of::<Writer>()),
            ("  its rooms", size_of::<Rooms>()),
            ("outbox", 16 + size_of::<Outbox>()),
            ("place", 16 + size_of::<Place>()),
            ("rouser", 16 + size_of::<Rouser>()),
            ("timer", size_of::<Reverse<(Time, usize)>>()),
        ];
        for (part, bytes) in parts {
            println!("{bytes:>5} {part}");
        }
        let [member, _, _, _, outbox, place, rouser, timer] = parts.map(|(_, bytes)| bytes);
        assert!(member + outbox + place + rouser + timer <= 1400);
    }
}
