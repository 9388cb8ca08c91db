//! One connection to a server, over either transport, that says exactly what it is told.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Decoder, Frame, FrameType, Kind, Presence, Reason, Sender};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::hear::{
    Ended, Membership, Said, asked, check_message, closing, command, joined, records, refusal, take_message,
};
use super::say;
use super::support::{TestServer, Transport, soon};

pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub struct Peer {
    pub io: Box<dyn Io>,
    pub transport: Transport,
    /// Whether the server's pings are answered.
    pub answers: bool,
    /// What the WebSocket layer said beside messages.
    pub pongs: Vec<Bytes>,
    pub close_code: Option<u16>,
    /// REFUSED frames so far.
    pub refusals: usize,
    raw: BytesMut,
    frames: BytesMut,
    records: VecDeque<Said>,
    reset: bool,
}

impl Peer {
    pub fn new(io: impl Io + 'static, transport: Transport) -> Self {
        Self {
            io: Box::new(io),
            transport,
            answers: true,
            pongs: Vec::new(),
            close_code: None,
            refusals: 0,
            raw: BytesMut::new(),
            frames: BytesMut::new(),
            records: VecDeque::new(),
            reset: false,
        }
    }

    /// A socket to the transport's port, and nothing said yet.
    pub async fn socket(server: &TestServer, transport: Transport) -> Self {
        let stream = TcpStream::connect(server.addr(transport)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream, transport)
    }

    /// Up to where HELLO comes.
    pub async fn preamble(server: &TestServer, transport: Transport) -> Self {
        let mut peer = Self::socket(server, transport).await;
        peer.open("/ws").await;
        peer
    }

    /// With hello said and WELCOME heard.
    pub async fn hello(server: &TestServer, transport: Transport) -> Self {
        let mut peer = Self::preamble(server, transport).await;
        peer.greet().await;
        peer
    }

    /// Also in a room, as handle 1 and with request 2.
    pub async fn joined(server: &TestServer, transport: Transport, room: &str) -> (Self, Membership) {
        let mut peer = Self::hello(server, transport).await;
        let membership = peer.join(1, Mode::BOTH, room).await;
        (peer, membership)
    }

    /// The magic, or the upgrade.
    pub async fn open(&mut self, path: &str) {
        match self.transport {
            Transport::Tcp => self.send_raw(&say::preamble()).await,
            Transport::WebSocket => {
                self.send_raw(say::request(path, "").as_bytes()).await;
                let head = self.http_head().await;
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            }
        }
    }

    pub async fn greet(&mut self) {
        self.send(&say::hello()).await;
        let welcome = self.control().await;
        assert!(matches!(command(&welcome), Command::Welcome(_)), "{welcome:?}");
    }

    pub async fn join(&mut self, handle: u64, mode: Mode, room: &str) -> Membership {
        self.send(&say::join(handle + 1, handle, mode, room)).await;
        self.joining().await
    }

    /// The answer to a join.
    pub async fn joining(&mut self) -> Membership {
        joined(&self.control().await)
    }

    /// Sends frames: one chunk, or one binary message.
    pub async fn send(&mut self, frames: &[u8]) {
        match self.transport {
            Transport::Tcp => self.send_raw(frames).await,
            Transport::WebSocket => self.send_raw(&say::binary(frames)).await,
        }
    }

    pub async fn send_raw(&mut self, bytes: &[u8]) {
        soon(self.io.write_all(bytes), "the server to read").await.unwrap();
        // Under TLS something may be held back.
        soon(self.io.flush(), "the server to read").await.unwrap();
    }

    /// As [`send_raw`](Self::send_raw), to a server that may close meanwhile.
    pub async fn try_send_raw(&mut self, bytes: &[u8]) {
        let _closed = soon(self.io.write_all(bytes), "the server to read or to close").await;
    }

    /// The next frame that is no ping of the server's; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = soon(self.read_frame(), "a frame, or the end").await?;
            match asked(&frame) {
                None => return Some(frame),
                Some(time) if self.answers => self.send(&say::answer(time)).await,
                Some(_) => {}
            }
        }
    }

    /// The next control frame.
    pub async fn control(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("a control frame, and not the end");
            match frame.header.frame_type {
                FrameType::Control => return frame,
                FrameType::Data => self.records.extend(records(&frame)),
                FrameType::Ping => {}
            }
        }
    }

    /// The next record, of any kind. Whatever else comes is a failure.
    pub async fn said(&mut self) -> Said {
        loop {
            if let Some(said) = self.records.pop_front() {
                return said;
            }
            let frame = self.next().await.expect("a data frame, and not the end");
            assert_eq!(frame.header.frame_type, FrameType::Data, "{frame:?}");
            self.records.extend(records(&frame));
        }
    }

    /// The next record of this kind; others are passed over.
    pub async fn said_as(&mut self, kind: Kind) -> Said {
        loop {
            let said = self.said().await;
            if said.kind == kind {
                return said;
            }
        }
    }

    /// Sends a frame, and waits for a record of this kind.
    pub async fn said_after(&mut self, frame: &[u8], kind: Kind) -> Said {
        self.send(frame).await;
        loop {
            if let Some(said) = self.records.pop_front() {
                if said.kind == kind {
                    return said;
                }
                continue;
            }
            let frame = self.next().await.expect("a data frame, and not the end");
            match frame.header.frame_type {
                FrameType::Data => self.records.extend(records(&frame)),
                FrameType::Control => self.refusals += usize::from(matches!(command(&frame), Command::Refused(_))),
                FrameType::Ping => {}
            }
        }
    }

    /// Waits for an event with this payload, from whomever.
    pub async fn event(&mut self, payload: &[u8]) -> Said {
        loop {
            let said = self.said_as(Kind::Event).await;
            if said.payload == payload {
                return said;
            }
        }
    }

    /// Waits until this member is said to have left.
    pub async fn left(&mut self, member: u64) -> Reason {
        loop {
            let said = self.said_as(Kind::Presence).await;
            if let (true, Presence::Left(reason)) = (said.member == member, Presence::decode(&said.payload).unwrap()) {
                return reason;
            }
        }
    }

    /// The next REFUSED: request, number, reason. CLOSE is a failure.
    pub async fn refused(&mut self) -> (u64, u64, Reason) {
        loop {
            let frame = self.control().await;
            if let Some(refusal) = refusal(&frame) {
                self.refusals += 1;
                return refusal;
            }
            assert!(!matches!(command(&frame), Command::Close(_)), "{:?}", command(&frame));
        }
    }

    /// The next frame that is no ping, and its records.
    pub async fn next_with_records(&mut self) -> (Frame, Vec<Said>) {
        let frame = self.next().await.expect("a frame, and not the end");
        if frame.header.frame_type == FrameType::Data {
            self.records.extend(records(&frame));
        }
        (frame, self.records.drain(..).collect())
    }

    /// Reads up to CLOSE and on to the end of the stream.
    pub async fn ended(&mut self) -> Ended {
        loop {
            let frame = self.control().await;
            self.refusals += usize::from(refusal(&frame).is_some());
            if let Some(ended) = self.closed_by(&frame).await {
                return ended;
            }
        }
    }

    /// Where this frame is CLOSE, reads on to the end of the stream.
    pub async fn closed_by(&mut self, frame: &Frame) -> Option<Ended> {
        let (request, reason, reconnect) = closing(frame)?;
        let behind = self.next().await;
        assert!(behind.is_none(), "something came behind CLOSE: {behind:?}");
        Some(Ended { reason, request, reconnect, close_code: self.close_code, reset: self.reset })
    }

    /// The end of the stream, with no CLOSE before it.
    pub async fn gone(&mut self) {
        while let Some(frame) = self.next().await {
            assert_ne!(frame.header.frame_type, FrameType::Control, "{frame:?}");
        }
    }

    /// The head of an HTTP answer.
    pub async fn http_head(&mut self) -> String {
        loop {
            if let Some(end) = self.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                return String::from_utf8(self.raw.split_to(end + 4).to_vec()).unwrap();
            }
            assert!(soon(self.fill(), "an HTTP answer").await, "the end in an HTTP answer: {:?}", self.raw);
        }
    }

    /// Everything up to the end of the stream, as it is.
    pub async fn rest(&mut self) -> Bytes {
        while soon(self.fill(), "the end").await {}
        self.raw.split().freeze()
    }

    /// Reads until the WebSocket layer has answered so many pings.
    pub async fn pongs(&mut self, count: usize) {
        while self.pongs.len() < count {
            self.take_messages();
            if self.pongs.len() < count {
                assert!(soon(self.fill(), "a pong").await, "the end instead of a pong");
            }
        }
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        loop {
            self.take_messages();
            let decoder = Decoder::new(Sender::Server, 0xffff);
            if let Some(frame) = decoder.decode(&mut self.frames).expect("the server sends what can be read") {
                return Some(frame);
            }
            if !self.fill().await {
                assert!(self.frames.is_empty() && self.raw.is_empty(), "the stream ended inside a frame");
                return None;
            }
        }
    }

    /// False at the end.
    async fn fill(&mut self) -> bool {
        match self.io.read_buf(&mut self.raw).await {
            Ok(count) => count > 0,
            Err(_) => {
                self.reset = true;
                false
            }
        }
    }

    /// Takes the WebSocket layer off what was read.
    fn take_messages(&mut self) {
        if self.transport == Transport::Tcp {
            self.frames.unsplit(self.raw.split());
            return;
        }
        while let Some((first, mut payload)) = take_message(&mut self.raw) {
            assert_eq!(self.close_code, None, "something came behind the close frame");
            match first {
                0x82 => {
                    check_message(&payload);
                    self.frames.unsplit(payload);
                }
                0x8a => self.pongs.push(payload.freeze()),
                0x88 => self.close_code = Some(if payload.is_empty() { 1005 } else { payload.get_u16() }),
                other => panic!("a server sends no {other:02x}"),
            }
        }
    }
}
