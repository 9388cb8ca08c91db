//! One connection of the floor: bytes to units, and writes that may be cut short.

use std::io::{self, IoSlice, Write};

use mio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use super::super::dialect::{find, floor::unit};
use super::super::websocket;

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    /// What was read of a unit that is not whole yet.
    pub(super) rest: Vec<u8>,
    /// Where it has joined.
    pub(super) room: Option<u32>,
    ws: bool,
    upgraded: bool,
    /// What the socket did not take.
    pending: Vec<u8>,
}

impl Peer {
    pub(super) const fn new(stream: TcpStream, ws: bool) -> Self {
        Self { stream, rest: Vec::new(), room: None, ws, upgraded: false, pending: Vec::new() }
    }

    /// Calls `handle(room, receives, unit)` for each whole unit: with `receives` for the join, without for others.
    /// Returns the bytes used; nothing where they cannot be read.
    pub(super) fn handle_bytes(
        &mut self,
        bytes: &mut [u8],
        mut handle: impl FnMut(u32, Option<bool>, &[u8]),
    ) -> Option<usize> {
        if !self.ws {
            return self.units(bytes, &mut handle);
        }
        let mut at = 0;
        if !self.upgraded {
            let Some(end) = find(bytes, b"\r\n\r\n") else { return (bytes.len() < MAX_REQUEST).then_some(0) };
            self.upgrade(&bytes[..end])?;
            at = end + 4;
        }
        while let Some((opcode, head, len)) = websocket::head(&bytes[at..]) {
            if len > MAX_FRAME || opcode != websocket::BINARY {
                return None;
            }
            let Some(frame) = bytes[at..].get_mut(head..head + 4 + len) else { break };
            let (key, payload) = frame.split_first_chunk_mut()?;
            websocket::mask(payload, *key);
            if self.units(payload, &mut handle)? != len {
                return None;
            }
            at += head + 4 + len;
        }
        Some(at)
    }

    fn units(&mut self, bytes: &[u8], handle: &mut impl FnMut(u32, Option<bool>, &[u8])) -> Option<usize> {
        let mut at = 0;
        while let Some(payload) = unit(&bytes[at..]) {
            let end = at + 2 + payload.len();
            match self.room {
                Some(room) => handle(room, None, &bytes[at..end]),
                None => {
                    let room = u32::from_le_bytes(*payload.first_chunk()?);
                    if room > MAX_ROOM {
                        return None;
                    }
                    self.room = Some(room);
                    handle(room, Some(payload.get(4)? & 1 != 0), &[]);
                }
            }
            at = end;
        }
        Some(at)
    }

    fn upgrade(&mut self, request: &[u8]) -> Option<()> {
        let request = std::str::from_utf8(request).ok()?;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        self.upgraded = true;
        self.stream.write_all(answer.as_bytes()).ok()
    }

    /// Writes in one system call; whether the socket has become full by it.
    pub(super) fn write(&mut self, head: &[u8], batch: &[u8]) -> bool {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(head);
            self.pending.extend_from_slice(batch);
            return false;
        }
        let written = if head.is_empty() {
            self.stream.write(batch)
        } else {
            self.stream.write_vectored(&[IoSlice::new(head), IoSlice::new(batch)])
        };
        // An error that stays shows when it is tried again.
        let written = written.unwrap_or(0);
        if written == head.len() + batch.len() {
            return false;
        }
        self.pending.extend(head.iter().chain(batch).skip(written));
        true
    }

    /// Writes what the socket did not take; whether it has taken everything now.
    pub(super) fn retry(&mut self) -> io::Result<bool> {
        if self.pending.len() > MAX_PENDING {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        match self.stream.write(&self.pending) {
            Ok(written) => {
                self.pending.drain(..written);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(self.pending.is_empty())
    }
}

/// A receiver that does not read is let go.
const MAX_PENDING: usize = 64 << 20;
/// More rooms than the generator has connections.
const MAX_ROOM: u32 = 20_000;
/// As the generator sends them, and not more.
const MAX_FRAME: usize = 65_535;
const MAX_REQUEST: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::super::dialect::{Dialect, floor::Floor};
    use super::super::super::workload::Who;
    use super::*;

    /// A peer, and its other end.
    fn peer(ws: bool) -> (Peer, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (Peer::new(TcpStream::from_std(server), ws), client)
    }

    /// What a client of the floor sends: the join of room 258, then two messages in one chunk.
    fn input(ws: bool) -> Vec<u8> {
        let floor = Floor { ws };
        let who = Who { index: 0, room: 258, receives: true, sends: true };
        let mut messages = Vec::new();
        floor.message(who, b"one", &mut messages);
        floor.message(who, &[7; 300], &mut messages);
        let mut bytes = if ws { b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n".to_vec() } else { Vec::new() };
        floor.carry(b"\x05\x00\x02\x01\x00\x00\x01", &mut bytes);
        floor.carry(&messages, &mut bytes);
        bytes
    }

    #[test]
    fn what_the_dialect_sends_is_read_wherever_it_is_cut() {
        for ws in [false, true] {
            let all = input(ws);
            for cut in 0..=all.len() {
                let (mut peer, _client) = peer(ws);
                let mut units = Vec::new();
                let mut handle = |room, receives, unit: &[u8]| units.push((room, receives, unit.to_vec()));
                let used = peer.handle_bytes(&mut all[..cut].to_vec(), &mut handle).unwrap();
                let again = peer.handle_bytes(&mut all[used..].to_vec(), &mut handle).unwrap();
                assert_eq!(used + again, all.len());
                let long = [&[44, 1][..], &[7; 300]].concat();
                let expected = [(258, Some(true), vec![]), (258, None, b"\x03\0one".to_vec()), (258, None, long)];
                assert_eq!(units, expected, "cut at {cut}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let (mut tcp, _client) = peer(false);
        assert_eq!(tcp.handle_bytes(&mut [1, 0, 0], |_, _, _| {}), None);
        let (mut ws, _client) = peer(true);
        assert_eq!(ws.handle_bytes(&mut vec![b'x'; MAX_REQUEST], |_, _, _| {}), None);
    }

    #[test]
    fn what_a_full_socket_does_not_take_comes_later_and_in_order() {
        let (mut peer, mut client) = peer(false);
        let batch: Vec<u8> = (0..1_000_003u32).map(|byte| (byte % 251) as u8).collect();
        let mut full = 0;
        for _ in 0..20 {
            full += u32::from(peer.write(b"head", &batch));
        }
        assert_eq!(full, 1, "it is told once");
        let all = std::thread::spawn(move || {
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            all
        });
        while !peer.retry().unwrap() {
            std::thread::yield_now();
        }
        drop(peer);
        let expected = [b"head", &batch[..]].concat().repeat(20);
        assert!(all.join().unwrap() == expected);
    }
}
