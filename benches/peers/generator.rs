//! The load generator: one thread, open loop, on a grid of 0.25 ms, without ever blocking.
//!
//! ```text
//! Schedule ──due──> Ledger::write ──Dialect::message, carry──> Connection ──write──> server
//! Ledger::deliver <──Dialect::walk──────────────── Connection <──poll, read──────────┘
//! ```

use std::io::{self, Read};

use mio::{Events, Interest, Poll, Token};

use super::clock::{self, SECOND, now};
use super::connection::{self, Connection};
use super::dialect::Dialect;
use super::ledger::{Ledger, Reading};
use super::schedule::Schedule;
use super::workload::Workload;

/// All clients of one run.
pub(crate) struct Generator<D> {
    pub(crate) ledger: Ledger,
    /// How late a message was made at the most, in nanoseconds.
    pub(crate) lag: u64,
    dialect: D,
    work: Workload,
    connections: Vec<Connection>,
    poll: Poll,
    events: Events,
    /// Connections with something to write; those whose socket was full.
    queued: Vec<usize>,
    blocked: Vec<usize>,
    /// Whose turn it is to send, and to send what was gathered.
    turn: usize,
    gathered_turn: usize,
    /// Nanoseconds for which a sender gathers; 0 where it does not.
    gather: u64,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    message: Vec<u8>,
}

impl<D: Dialect> Generator<D> {
    /// Connects and joins all. `gather` is in nanoseconds.
    pub(crate) fn new(dialect: D, work: Workload, ledger: Ledger, port: u16, gather: u64) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = connection::open_all(&dialect, &work, port)?;
        for (index, connection) in connections.iter_mut().enumerate() {
            poll.registry().register(&mut connection.stream, Token(index), Interest::READABLE)?;
        }
        let gather = if work.gathers { gather } else { 0 };
        Ok(Self {
            ledger,
            lag: 0,
            dialect,
            work,
            connections,
            poll,
            events: Events::with_capacity(1024),
            queued: Vec::new(),
            blocked: Vec::new(),
            turn: 0,
            gathered_turn: 0,
            gather,
            buffer: vec![0; 2 * connection::READ],
            payload: Vec::new(),
            message: Vec::new(),
        })
    }

    /// Runs for some seconds, in which all together send at `rate` messages a second; returns nanoseconds.
    pub(crate) fn span(&mut self, seconds: f64, rate: f64) -> u64 {
        let start = now();
        let end = start + (seconds * SECOND as f64) as u64;
        let mut messages = Schedule::new(start, rate);
        let flushes = if self.gather > 0 { SECOND as f64 / self.gather as f64 } else { 0.0 };
        let mut chunks = Schedule::new(start, flushes * self.work.senders.len() as f64);
        loop {
            let time = now();
            if time >= end {
                return time - start;
            }
            // Bounded, so that a generator that is too slow still reads.
            for _ in 0..4096 {
                let Some(lag) = messages.take(time) else { break };
                self.lag = self.lag.max(lag);
                self.send();
            }
            while chunks.take(time).is_some() {
                let sender = self.work.senders[self.gathered_turn % self.work.senders.len()];
                self.gathered_turn += 1;
                self.send_gathered(sender as usize);
            }
            self.write();
            self.read();
            clock::nap();
        }
    }

    /// Sends what is still gathered, then reads until all has come, at most for some seconds.
    pub(crate) fn drain(&mut self, seconds: f64) {
        for index in 0..self.connections.len() {
            self.send_gathered(index);
        }
        let end = now() + (seconds * SECOND as f64) as u64;
        while self.ledger.outstanding() && now() < end {
            let before = self.ledger.counts.delivered;
            self.span(0.25, 0.0);
            // Losses stay lost: a quarter of a second without anything is the end of it.
            if self.ledger.counts.delivered == before && self.blocked.is_empty() {
                break;
            }
        }
    }

    /// Connections that the server has ended.
    pub(crate) fn dead(&self) -> usize {
        self.connections.iter().filter(|connection| connection.dead).count()
    }

    fn send(&mut self) {
        let sender = self.work.senders[self.turn % self.work.senders.len()] as usize;
        self.turn += 1;
        let connection = &mut self.connections[sender];
        if connection.dead || connection.is_full() {
            self.ledger.counts.skipped += 1;
            return;
        }
        self.ledger.write(sender as u32, &mut self.payload);
        let who = self.work.members[sender];
        if self.gather > 0 {
            self.dialect.message(who, &self.payload, &mut connection.gathered);
            return;
        }
        self.message.clear();
        self.dialect.message(who, &self.payload, &mut self.message);
        self.dialect.carry(&self.message, &mut connection.output);
        queue(&mut self.queued, sender, connection);
    }

    fn send_gathered(&mut self, sender: usize) {
        let connection = &mut self.connections[sender];
        if connection.gathered.is_empty() {
            return;
        }
        self.dialect.carry(&connection.gathered, &mut connection.output);
        connection.gathered.clear();
        queue(&mut self.queued, sender, connection);
    }

    fn write(&mut self) {
        let mut list = std::mem::take(&mut self.queued);
        list.append(&mut self.blocked);
        for index in list.drain(..) {
            let connection = &mut self.connections[index];
            connection.queued = false;
            match connection.write() {
                Ok(true) => {}
                Ok(false) => {
                    connection.queued = true;
                    self.blocked.push(index);
                }
                Err(error) => {
                    connection.dead = true;
                    self.ledger.counts.add_bad(format!("write: {error}"));
                }
            }
        }
        self.queued = list;
    }

    fn read(&mut self) {
        let polled = self.poll.poll(&mut self.events, Some(std::time::Duration::ZERO));
        if let Err(error) = polled
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.ledger.counts.add_bad(format!("poll: {error}"));
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            while self.read_once(event.token().0, event.is_read_closed()) {}
        }
        self.events = events;
    }

    /// Reads once; whether there may be more.
    fn read_once(&mut self, index: usize, closed: bool) -> bool {
        let connection = &mut self.connections[index];
        if connection.dead {
            return false;
        }
        let kept = connection.rest.len();
        if kept > connection::MAX_UNIT {
            return self.die(index, "a unit that does not end".into());
        }
        if self.buffer.len() < kept + connection::READ {
            self.buffer.resize(2 * kept + connection::READ, 0);
        }
        self.buffer[..kept].copy_from_slice(&connection.rest);
        let room = self.buffer.len() - kept;
        let len = match connection.stream.read(&mut self.buffer[kept..]) {
            Ok(0) => return self.die(index, "the server closed".into()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => return self.die(index, format!("read: {error}")),
        };
        self.ledger.counts.bytes += len as u64;
        self.ledger.counts.reads += 1;
        let (bytes, receiver) = (&self.buffer[..kept + len], connection.receiver);
        let before = connection.output.len();
        let mut sink = Reading { ledger: &mut self.ledger, replies: &mut connection.output, receiver, time: now() };
        let used = self.dialect.walk(&mut connection.carried, bytes, &mut sink);
        connection.rest.clear();
        connection.rest.extend_from_slice(&bytes[used..]);
        if connection.output.len() > before {
            queue(&mut self.queued, index, connection);
        }
        // A read that does not fill the buffer has emptied the socket.
        len == room || closed
    }

    fn die(&mut self, index: usize, what: String) -> bool {
        self.connections[index].dead = true;
        self.ledger.counts.add_bad(what);
        false
    }
}

fn queue(queued: &mut Vec<usize>, index: usize, connection: &mut Connection) {
    if !connection.queued {
        connection.queued = true;
        queued.push(index);
    }
}
