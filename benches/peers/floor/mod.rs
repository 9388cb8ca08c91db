//! The floor: as little as a server can do that gives each receiver one write a tick. One thread, no protocol.
//!
//! ```text
//! peer ──one read a chunk──> Room::batch ──tick: one write a receiver──> peers, the sender too
//!                            length, payload, length, payload ...        WebSocket: one header in front
//! ```
//!
//! With a tick of 0 what one read brought is forwarded at once. Where urgent messages are told apart, one of them has all
//! leave at once that its room has gathered.

mod peer;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use self::peer::Peer;
use super::clock::now;
use super::dialect::floor::GREETING;
use super::ledger::is_urgent;
use super::websocket;

/// Serves until it is killed. With `urgent`, messages that are do not wait for the tick. A tick's end is late by up to a
/// millisecond: the poll counts in these.
pub(crate) fn serve(port: u16, tick: Duration, ws: bool, urgent: bool) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor { ws, at_once: tick.is_zero(), urgent, ..Floor::default() };
    let period = tick.as_nanos() as u64;
    let mut next = now() + period;
    loop {
        let mut timeout = (period > 0).then(|| Duration::from_nanos(next.saturating_sub(now())));
        if !floor.stuck.is_empty() {
            timeout = Some(timeout.unwrap_or(RETRY).min(RETRY));
        }
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER { floor.accept(&poll, &listener)? } else { floor.handle_event(event) }
        }
        let time = now();
        if period > 0 && time >= next {
            // On the grid of the start; ticks that were missed are not made up for.
            next += (time - next) / period * period + period;
            floor.flush();
        }
        floor.retry();
    }
}

#[derive(Default)]
struct Floor {
    ws: bool,
    at_once: bool,
    /// Whether some messages do not wait for the tick.
    urgent: bool,
    peers: Vec<Option<Peer>>,
    /// By number.
    rooms: Vec<Room>,
    /// Rooms with something to send.
    dirty: Vec<u32>,
    /// Peers whose socket was full.
    stuck: Vec<usize>,
    buffer: Vec<u8>,
}

#[derive(Debug, Default)]
struct Room {
    members: Vec<usize>,
    batch: Vec<u8>,
}

impl Floor {
    fn accept(&mut self, poll: &Poll, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.peers.len() >= MAX_PEERS {
                return Err(io::Error::other("more connections than the floor takes"));
            }
            stream.set_nodelay(true)?;
            if !self.ws {
                let _gone = stream.write(&GREETING);
            }
            poll.registry().register(&mut stream, Token(self.peers.len()), Interest::READABLE)?;
            self.peers.push(Some(Peer::new(stream, self.ws)));
        }
    }

    /// Reads once, as a rule: a read that does not fill the buffer has emptied the socket.
    fn handle_event(&mut self, event: &Event) {
        let index = event.token().0;
        loop {
            let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
            let kept = peer.rest.len();
            self.buffer.resize(READ.max(2 * kept), 0);
            self.buffer[..kept].copy_from_slice(&peer.rest);
            match peer.stream.read(&mut self.buffer[kept..]) {
                Ok(len @ 1..) => {
                    let full = kept + len == self.buffer.len();
                    if !self.handle_bytes(index, kept + len) {
                        return self.leave(index);
                    }
                    if !full && !event.is_read_closed() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.leave(index),
            }
        }
    }

    /// Takes the first `len` bytes of the buffer; whether they could be read.
    fn handle_bytes(&mut self, index: usize, len: usize) -> bool {
        let Some(peer) = self.peers[index].as_mut() else { return false };
        let (rooms, dirty) = (&mut self.rooms, &mut self.dirty);
        let bytes = &mut self.buffer[..len];
        let urgent = self.urgent;
        let mut hurried = None;
        let used = peer.handle_bytes(bytes, |room, receives, unit| {
            let number = room as usize;
            if receives.is_some() && rooms.len() <= number {
                rooms.resize_with(number + 1, Room::default);
            }
            let Some(place) = rooms.get_mut(number) else { return };
            match receives {
                Some(receives) if receives => place.members.push(index),
                Some(_) => {}
                None => {
                    if place.batch.is_empty() {
                        dirty.push(room);
                    }
                    place.batch.extend_from_slice(unit);
                    if urgent && is_urgent(&unit[LENGTH..]) {
                        hurried = Some(room);
                    }
                }
            }
        });
        let Some(used) = used else { return false };
        peer.rest.clear();
        peer.rest.extend_from_slice(&bytes[used..]);
        if self.at_once {
            self.flush();
        } else if let Some(room) = hurried {
            self.flush_room(room);
        }
        true
    }

    fn flush(&mut self) {
        for room in std::mem::take(&mut self.dirty) {
            self.flush_room(room);
        }
    }

    fn flush_room(&mut self, room: u32) {
        let Some(room) = self.rooms.get_mut(room as usize).filter(|room| !room.batch.is_empty()) else { return };
        let mut head = Vec::new();
        if self.ws {
            websocket::put_head(websocket::BINARY, room.batch.len(), false, &mut head);
        }
        for index in &room.members {
            let Some(peer) = self.peers[*index].as_mut() else { continue };
            if peer.write(&head, &room.batch) {
                self.stuck.push(*index);
            }
        }
        room.batch.clear();
    }

    fn retry(&mut self) {
        for index in std::mem::take(&mut self.stuck) {
            let Some(peer) = self.peers[index].as_mut() else { continue };
            match peer.retry() {
                Ok(true) => {}
                Ok(false) => self.stuck.push(index),
                Err(_) => self.leave(index),
            }
        }
    }

    fn leave(&mut self, index: usize) {
        let room = self.peers[index].take().and_then(|peer| peer.room);
        if let Some(room) = room.and_then(|room| self.rooms.get_mut(room as usize)) {
            room.members.retain(|member| *member != index);
        }
    }
}

/// Bytes of a unit before its payload.
const LENGTH: usize = 2;

const LISTENER: Token = Token(usize::MAX);

/// More than the generator ever opens.
const MAX_PEERS: usize = 20_000;

/// More than a tick brings of one peer, so that one read is enough.
const READ: usize = 256 * 1024;

/// How soon a full socket is tried again.
const RETRY: Duration = Duration::from_millis(1);
