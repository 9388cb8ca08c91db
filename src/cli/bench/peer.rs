//! A connection of the bench while it runs: what it reads is checked, what it sends is bounded.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use tickwire::client::Membership;
use tickwire::wire::control::Command;
use tickwire::wire::header::flags;
use tickwire::wire::{
    Control, Extensions, FrameType, Header, Kind, Ping, PingBody, Position, RawFrame, Sender, ServerData,
};
use tokio::time::Instant;

use super::framing::{Fault, Framing};
use super::link::Link;
use super::pipe::Pipe;
use super::tally::Tally;
use crate::cli::output;

/// Bytes that may wait for a connection to take them. 1 MiB: beyond, the server does not read, and
/// what is due is counted as unsent.
const MAX_OUT: usize = 1024 * 1024;

/// Bytes read at once. 256 KiB: more than the largest message, so that every message fits.
const SCRATCH: usize = 256 * 1024;

/// What all connections share, on one thread.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) start: Instant,
    /// Server time at `start`, in microseconds.
    pub(super) server_start: Option<u64>,
    pub(super) tally: RefCell<Tally>,
    scratch: RefCell<Vec<u8>>,
    reads: Cell<u64>,
}

impl Shared {
    pub(super) fn new(start: Instant, server_start: Option<u64>, tally: Tally) -> Self {
        Self {
            start,
            server_start,
            tally: RefCell::new(tally),
            scratch: RefCell::new(vec![0; SCRATCH]),
            reads: Cell::new(0),
        }
    }

    /// How often bytes were read.
    pub(super) const fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// Nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    index: usize,
    stream: Pipe,
    framing: Framing,
    membership: Membership,
    /// The last tick seen, and the last position that is complete.
    tick: Cell<u64>,
    complete: Cell<Position>,
    /// Bytes of frames that were read (PROTOCOL 9).
    consumed: Cell<u64>,
    out: RefCell<Vec<u8>>,
    /// Whole frames that wait for others.
    held: RefCell<Vec<u8>>,
    closed: Cell<bool>,
}

impl Peer {
    /// The connection, and the bytes it has read already.
    pub(super) fn new(index: usize, framing: Framing, link: Link) -> (Rc<Self>, Vec<u8>) {
        let Link { stream, membership, left } = link;
        let (tick, complete) = (Cell::new(membership.tick), Cell::new(membership.position));
        let peer = Self {
            index,
            stream: Pipe::new(stream),
            framing,
            membership,
            tick,
            complete,
            consumed: Cell::new(0),
            out: RefCell::default(),
            held: RefCell::default(),
            closed: Cell::new(false),
        };
        (Rc::new(peer), left)
    }

    /// Queues whole frames behind those that are held, if there is room for them.
    pub(super) fn queue(&self, frames: &[u8]) -> bool {
        self.release();
        let has_room = self.has_room(frames);
        if has_room {
            self.framing.wrap(frames, &mut self.out.borrow_mut());
        }
        has_room
    }

    /// Holds a whole frame for others to come, if there is room for it. Together they are at most so
    /// many bytes; those that are held already leave for one that finds no place among them.
    pub(super) fn hold(&self, frame: &[u8], most: usize) -> bool {
        let has_room = self.has_room(frame);
        if has_room {
            if self.held.borrow().len() + frame.len() > most {
                self.release();
            }
            self.held.borrow_mut().extend_from_slice(frame);
        }
        has_room
    }

    /// Whether frames are held.
    pub(super) fn holds(&self) -> bool {
        !self.held.borrow().is_empty()
    }

    /// Queues what is held, as one message where the transport has messages.
    pub(super) fn release(&self) {
        let mut held = self.held.borrow_mut();
        if !held.is_empty() {
            self.framing.wrap(&held, &mut self.out.borrow_mut());
            held.clear();
        }
    }

    fn has_room(&self, frames: &[u8]) -> bool {
        let waiting = self.out.borrow().len() + self.held.borrow().len();
        !self.closed.get() && waiting + frames.len() < MAX_OUT
    }

    /// Writes what is queued, as far as the socket takes it: whether nothing is left.
    pub(super) fn flush(&self) -> bool {
        let mut out = self.out.borrow_mut();
        while !out.is_empty() && !self.closed.get() {
            match self.stream.try_write(&out) {
                Ok(written) => drop(out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The reading side tells why.
                Err(_) => break,
            }
        }
        self.closed.get() || self.stream.try_flush()
    }

    /// Reads until the connection ends. Dropping the future is fine.
    pub(super) async fn read(self: Rc<Self>, mut left: Vec<u8>, shared: Rc<Shared>) {
        let ended = loop {
            match self.read_once(&mut left, &shared).await {
                Ok(()) => {}
                Err(why) => break why,
            }
        };
        self.closed.set(true);
        shared.tally.borrow_mut().count_closed(ended);
    }

    async fn read_once(&self, left: &mut Vec<u8>, shared: &Shared) -> Result<(), String> {
        self.stream.readable().await.map_err(|error| error.to_string())?;
        let mut scratch = shared.scratch.borrow_mut();
        let start = left.len();
        scratch[..start].copy_from_slice(left);
        let read = match self.stream.try_read(&mut scratch[start..]) {
            Ok(0) => return Err("the connection ended without a reason".into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        shared.reads.set(shared.reads.get() + 1);
        let bytes = &scratch[..start + read];
        let mut tally = shared.tally.borrow_mut();
        tally.count_bytes(read);
        let now = shared.now();
        let mut closed = None;
        let used = self.framing.walk(bytes, |frame| {
            if let Some(why) = self.handle_frame(frame, now, shared.server_start, &mut tally) {
                closed = Some(why);
            }
        });
        if let Some(why) = closed {
            return Err(why);
        }
        let used = used.map_err(explain)?;
        left.clear();
        left.extend_from_slice(&bytes[used..]);
        // A message that is larger than any that is allowed was refused above, so this always fits.
        debug_assert!(left.len() < SCRATCH / 2);
        Ok(())
    }

    /// What a frame means here; why the session has ended, if it says so.
    fn handle_frame(
        &self,
        frame: RawFrame<'_>,
        now: u64,
        server_start: Option<u64>,
        tally: &mut Tally,
    ) -> Option<String> {
        self.consumed.set(self.consumed.get() + (Header::LEN + frame.payload.len()) as u64);
        match frame.header.frame_type {
            FrameType::Data => match ServerData::decode(frame.header.flags, frame.payload) {
                Ok(Some(data)) => self.handle_data(&data, now, server_start, tally),
                Ok(None) => {}
                Err(_) => tally.counts.corrupt += 1,
            },
            FrameType::Ping => self.answer(frame),
            FrameType::Control => match Control::decode(frame.payload).map(|control| control.command) {
                Ok(Command::Refused(refused)) => tally.count_refusal(refused.reason),
                Ok(Command::Close(close)) => return Some(output::reason(close.reason, "")),
                Ok(_) => {}
                Err(_) => tally.counts.corrupt += 1,
            },
        }
        None
    }

    fn handle_data(&self, data: &ServerData<'_>, now: u64, server_start: Option<u64>, tally: &mut Tally) {
        if data.kind.is_numbered() {
            // PROTOCOL 8.3: without a hole.
            if data.head.position != self.complete.get().next() {
                tally.counts.corrupt += 1;
            }
            if data.options & flags::MORE == 0 {
                self.complete.set(data.head.position);
            }
        }
        if !matches!(data.kind, Kind::Event | Kind::Value) {
            return;
        }
        self.tick.set(Membership::extend_tick(self.tick.get(), data.head.tick));
        // A room that flushes at once, or early, has no moment to be late for.
        let scheduled = self.membership.period > 0 && data.options & flags::URGENT == 0;
        if let Some(server_start) = server_start.filter(|_| scheduled) {
            let begins = self.membership.tick_begins(self.tick.get());
            tally.count_lateness((server_start + now / 1000).saturating_sub(begins));
        }
        for record in data.records() {
            match record {
                Ok(record) => tally.deliver(self.index, &record, now),
                Err(_) => tally.counts.corrupt += 1,
            }
        }
    }

    fn answer(&self, frame: RawFrame<'_>) {
        let Ok(ping) = Ping::decode(frame.header.flags, frame.payload, Sender::Server) else { return };
        if ping.is_answer() {
            return;
        }
        let body = PingBody::Client { answer: true, consumed: self.consumed.get(), directs: 0 };
        let mut frame = Vec::new();
        Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut frame);
        // What does not fit or is not taken now goes with the next flush; the server waits 45 s.
        self.queue(&frame);
        self.flush();
    }
}

fn explain(fault: Fault) -> String {
    crate::cli::Failure::from(fault).to_string()
}
