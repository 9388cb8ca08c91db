//! One connection of the generator: hello, join, frames in, answers out.
//!
//! ```text
//! socket ──read──> | frame | frame | par... |       whole frames are walked in place
//!                                   └ moved to the front before the next read
//! ```

use std::io;
use std::net::SocketAddr;

use tickwire::wire::control::{Command, Hello, Join, Joined, Mode};
use tickwire::wire::{
    Capabilities, Control, Epoch, Extensions, FrameType, Handle, Header, MAGIC, MemberNumber, Ping, PingBody, Position,
    RawFrame, Reader, RequestId, Sender, VERSION, put_extension, put_varint, split_frame,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// The room of the bench.
pub(crate) const ROOM: &[u8] = b"bench";

/// The handle of that room.
pub(crate) const HANDLE: Handle = Handle(1);

/// A connection that has joined.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) seat: Seat,
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    /// Bytes of frames taken, beginning with WELCOME.
    pub(crate) taken: u64,
    /// The highest direct that came.
    pub(crate) directs: u64,
}

/// What JOINED said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) member: MemberNumber,
    pub(crate) epoch: Epoch,
    pub(crate) position: Position,
    pub(crate) tick: u64,
    pub(crate) tick_time: u64,
    pub(crate) period: u64,
    /// Positions that are lost, for who came back.
    pub(crate) lost: Option<(u64, u64)>,
}

/// Where somebody comes back to.
pub(crate) type Since = (Epoch, Position);

impl Seat {
    fn new(joined: &Joined<'_>) -> Self {
        let lost = joined.extensions.get(4).and_then(|content| {
            let mut reader = Reader::new(content);
            Some((reader.varint().ok()?, reader.varint().ok()?))
        });
        let Joined { member, epoch, position, period, tick, tick_time, .. } = *joined;
        Self { member, epoch, position, tick, tick_time, period, lost }
    }

    /// The whole number of a tick, of which frames carry 16 bits.
    #[expect(clippy::cast_possible_truncation, reason = "frames carry the low bits")]
    pub(crate) const fn whole_tick(&self, low: u16) -> u64 {
        self.tick + low.wrapping_sub(self.tick as u16) as u64
    }

    /// Server time at which a tick begins.
    pub(crate) const fn begins(&self, tick: u64) -> u64 {
        self.tick_time + (tick - self.tick) * self.period
    }
}

impl Peer {
    /// Connects and joins. A small buffer is set before connecting, so that the window is small too.
    pub(crate) async fn join(
        addr: SocketAddr,
        mode: Mode,
        small_buffer: Option<u32>,
        since: Option<Since>,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = small_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let mut stream = socket.connect(addr).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&greeting(mode, since)).await?;
        let seat = Seat {
            member: MemberNumber(0),
            epoch: Epoch([0; 8]),
            position: Position(0),
            tick: 0,
            tick_time: 0,
            period: 1,
            lost: None,
        };
        let mut peer = Self { stream, seat, buffer: vec![0; 64 * 1024].into(), begin: 0, end: 0, taken: 0, directs: 0 };
        loop {
            while let Some(frame) = peer.next_frame()? {
                if frame.header.frame_type == FrameType::Control
                    && let Ok(Control { command: Command::Joined(joined), .. }) = Control::decode(frame.payload)
                {
                    peer.seat = Seat::new(&joined);
                    return Ok(peer);
                }
            }
            peer.read(usize::MAX).await?;
        }
    }

    /// Reads what is there, at most `most` bytes; 0 at the end.
    pub(crate) async fn read(&mut self, most: usize) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            match self.try_read(most) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// As [`read`](Self::read), without waiting.
    pub(crate) fn try_read(&mut self, most: usize) -> io::Result<usize> {
        self.buffer.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        let until = self.end.saturating_add(most).min(self.buffer.len());
        let read = self.stream.try_read(&mut self.buffer[self.end..until])?;
        self.end += read;
        Ok(read)
    }

    /// The next whole frame.
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<RawFrame<'_>>> {
        let split = split_frame(&self.buffer[self.begin..self.end], 16 * 1024, Sender::Server);
        let Some((frame, _)) = split.map_err(|error| io::Error::other(format!("{error:?}")))? else { return Ok(None) };
        let len = Header::LEN + frame.payload.len();
        self.begin += len;
        self.taken += len as u64;
        Ok(Some(frame))
    }

    /// Answers a ping; `consumed` is what the application has taken. Other frames are let pass.
    pub(crate) fn answer(&self, time: u64, consumed: u64) -> io::Result<()> {
        let body = PingBody::Client { answer: true, consumed, directs: self.directs };
        self.send_ping(&Ping { time, body, extensions: Extensions::NONE })
    }

    /// Asks for the server's time.
    pub(crate) fn ask(&self, time: u64) -> io::Result<()> {
        let body = PingBody::Client { answer: false, consumed: 0, directs: 0 };
        self.send_ping(&Ping { time, body, extensions: Extensions::NONE })
    }

    fn send_ping(&self, ping: &Ping<'_>) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(32);
        ping.encode(&mut bytes);
        // A socket whose peer reads always has room for these few bytes.
        let sent = self.stream.try_write(&bytes)?;
        if sent == bytes.len() { Ok(()) } else { Err(io::Error::other("an answer did not fit the socket")) }
    }
}

/// The time that a server's ping asks with.
pub(crate) fn asked(frame: &RawFrame<'_>) -> Option<u64> {
    let ping = Ping::decode(frame.header.flags, frame.payload, Sender::Server).ok()?;
    matches!(ping.body, PingBody::ServerAsk { .. }).then_some(ping.time)
}

fn greeting(mode: Mode, since: Option<Since>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    let capabilities = Capabilities(Capabilities::HISTORY.0);
    let hello = Hello { capabilities, max_record: 0, max_frame: 0, extensions: Extensions::NONE };
    Control::new(RequestId(1), Command::Hello(hello)).encode(&mut bytes);
    let mut extensions = Vec::new();
    if let Some((Epoch(epoch), Position(position))) = since {
        let mut content = epoch.to_vec();
        put_varint(position, &mut content);
        put_extension(4, &content, &mut extensions);
    }
    let extensions = Extensions::from_encoded(&extensions).expect("one extension is in order");
    let join = Join { handle: HANDLE, mode, name: ROOM, extensions };
    Control::new(RequestId(2), Command::Join(join)).encode(&mut bytes);
    bytes
}
