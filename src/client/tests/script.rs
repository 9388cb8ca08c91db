//! A server that says exactly what a test wants, over loopback TCP.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) use std::time::Duration;

pub(super) use crate::client::*;
pub(super) use crate::wire::control::{
    Accepted, Close, Command, Done, Gap, Join, Joined, Left, Members, Outcome, Page, Refused, Welcome,
};
pub(super) use crate::wire::extension::kind;
pub(super) use crate::wire::header::flags;
pub(super) use crate::wire::{
    ClientData, Control, DecodeError, Decoder, Extensions, Frame, FrameType, Head, Kind, Ping, PingBody, Presence,
    Record, RoomId, ServerData, put_extension,
};

/// Nothing here takes longer, unless it hangs.
pub(super) const LONG: Duration = Duration::from_secs(10);

pub(super) const ROOM: RoomId = RoomId(7);

pub(super) const EPOCH: Epoch = Epoch([9; 8]);

/// What a server says that offers nothing.
pub(super) const WELCOME: Welcome<'static> = Welcome {
    capabilities: Capabilities(0),
    flags: 0,
    clock: 1,
    time: 1_000_000,
    wall: 0,
    max_message: 100,
    max_frame: 16_384,
    max_rooms: 0,
    ping: 15_000,
    accepted: 0,
    extensions: Extensions::NONE,
};

/// What a server says that offers everything.
pub(super) const ABLE: Welcome<'static> = Welcome { capabilities: ClientConfig::CAPABILITIES, ..WELCOME };

/// Where clients connect.
pub(super) struct Listener {
    listener: TcpListener,
    pub(super) config: ClientConfig,
}

impl Listener {
    pub(super) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        Self { listener, config: ClientConfig::new(url) }
    }

    /// The next client, whose hello was read.
    pub(super) async fn accept(&self) -> Script {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut script = Script { stream, buffer: BytesMut::new(), hello: Vec::new() };
        let mut magic = [0; 4];
        script.stream.read_exact(&mut magic).await.unwrap();
        assert_eq!(magic, [0xd7, 0x54, 0x57, 1]);
        let hello = script.receive().await;
        let control = Control::decode(&hello.payload).unwrap();
        assert!(matches!(control.command, Command::Hello(_)) && control.request == RequestId(1));
        script.hello = hello.payload.to_vec();
        script
    }
}

/// The other end of a client.
pub(super) struct Script {
    pub(super) stream: TcpStream,
    buffer: BytesMut,
    /// The payload of its HELLO.
    pub(super) hello: Vec<u8>,
}

impl Script {
    pub(super) async fn send(&mut self, command: Command<'_>, request: RequestId) {
        let mut out = Vec::new();
        Control::new(request, command).encode(&mut out);
        self.write(&out).await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(super) async fn welcome(&mut self, welcome: Welcome<'_>) {
        self.send(Command::Welcome(welcome), RequestId(1)).await;
    }

    pub(super) async fn ping(&mut self, accepted: u64) {
        let ask = Ping { time: 5, body: PingBody::ServerAsk { accepted }, extensions: Extensions::NONE };
        let mut out = Vec::new();
        ask.encode(&mut out);
        self.write(&out).await;
    }

    pub(super) async fn accepted(&mut self, number: u64) {
        self.send(Command::Accepted(Accepted { number, extensions: Extensions::NONE }), RequestId(0)).await;
    }

    pub(super) async fn refuse(&mut self, request: RequestId, number: u64, reason: Reason) {
        let refused = Refused { number, reason, extensions: Extensions::NONE };
        self.send(Command::Refused(refused), request).await;
    }

    /// A data frame with one record for each payload, from member 2.
    pub(super) async fn batch(&mut self, kind: Kind, options: u8, position: u64, payloads: &[&[u8]]) {
        let records = records(kind, payloads);
        self.records(kind, options, position, &records).await;
    }

    pub(super) async fn records(&mut self, kind: Kind, options: u8, position: u64, records: &[u8]) {
        let head = Head { room: ROOM, position: Position(position), tick: 4 };
        let mut out = Vec::new();
        ServerData { kind, options, head, records }.encode(&mut out);
        self.write(&out).await;
    }

    pub(super) async fn receive(&mut self) -> Frame {
        self.try_receive().await.expect("the client is still there")
    }

    /// The next frame, unless the client is gone.
    pub(super) async fn try_receive(&mut self) -> Option<Frame> {
        let decoder = Decoder::new(crate::wire::Sender::Client, 65_535);
        loop {
            if let Some(frame) = decoder.decode(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if read > 0) {
                return None;
            }
        }
    }

    pub(super) async fn receive_request(&mut self) -> RequestId {
        let frame = self.receive().await;
        Control::decode(&frame.payload).unwrap().request
    }

    /// A data frame: its handle, flags and payload.
    pub(super) async fn receive_data(&mut self) -> (Handle, u8, Vec<u8>) {
        let frame = self.receive().await;
        assert_eq!(frame.header.frame_type, FrameType::Data);
        let data = ClientData::decode(frame.header.flags, &frame.payload).unwrap();
        (data.handle, frame.header.flags, data.payload.to_vec())
    }

    /// A JOIN: its request, handle, name and extensions.
    pub(super) async fn receive_join(&mut self) -> (RequestId, Handle, Vec<u8>, Vec<u8>) {
        let frame = self.receive().await;
        let control = Control::decode(&frame.payload).unwrap();
        let Command::Join(Join { handle, name, extensions, .. }) = control.command else { panic!("{control:?}") };
        (control.request, handle, name.to_vec(), extensions.encoded().to_vec())
    }
}

pub(super) fn records(kind: Kind, payloads: &[&[u8]]) -> Vec<u8> {
    let key = kind.has_key().then_some(10);
    let mut records = Vec::new();
    for payload in payloads {
        Record { member: MemberNumber(2), key, payload }.encode(&mut records);
    }
    records
}

/// A JOINED of a room at position 0.
pub(super) const JOINED: Joined<'static> = Joined {
    handle: Handle(1),
    room: ROOM,
    member: MemberNumber(1),
    mode: Mode::BOTH,
    outcome: Outcome::FRESH,
    epoch: EPOCH,
    position: Position(0),
    period: 50_000,
    tick: 3,
    tick_time: 0,
    extensions: Extensions::NONE,
};

pub(super) fn joined(handle: Handle) -> Command<'static> {
    Command::Joined(Joined { handle, ..JOINED })
}

pub(super) fn close(reason: Reason) -> Command<'static> {
    Command::Close(Close { reason, extensions: Extensions::NONE })
}

/// Runs both sides to their ends.
pub(super) async fn both(server: impl Future<Output = ()>, client: impl Future<Output = ()>) {
    timeout(LONG, async { tokio::join!(server, client) }).await.expect("nothing hangs");
}

/// Runs a server's script against a client's.
pub(super) async fn check<S, C>(server: impl FnOnce(Script) -> S, client: impl FnOnce(Result<Client, Error>) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let listener = Listener::bind().await;
    both(async { server(listener.accept().await).await }, async {
        client(Client::connect(&listener.config).await).await;
    })
    .await;
}

/// As [`check`], with hello and a join already done, and nothing offered.
pub(super) async fn check_joined<S, C>(server: impl FnOnce(Script) -> S, client: impl FnOnce(Client, Handle) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    check_welcomed(WELCOME, server, client).await;
}

/// As [`check_joined`], with everything offered.
pub(super) async fn check_able<S, C>(server: impl FnOnce(Script) -> S, client: impl FnOnce(Client, Handle) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    check_welcomed(ABLE, server, client).await;
}

async fn check_welcomed<S, C>(
    welcome: Welcome<'_>,
    server: impl FnOnce(Script) -> S,
    client: impl FnOnce(Client, Handle) -> C,
) where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    check(
        async |mut script| {
            script.welcome(welcome).await;
            let request = script.receive_request().await;
            script.send(joined(Handle(1)), request).await;
            server(script).await;
        },
        async |connected| {
            let mut connected = connected.unwrap();
            let membership = connected.join("room", Mode::BOTH).await.unwrap();
            assert_eq!((membership.handle, membership.member), (Handle(1), MemberNumber(1)));
            client(connected, membership.handle).await;
        },
    )
    .await;
}

/// The next event is a batch: its position and payloads.
pub(super) async fn next_batch(client: &mut Client) -> (u64, Vec<Vec<u8>>) {
    match client.next().await.unwrap() {
        Event::Batch(batch) | Event::Direct(batch) | Event::Snapshot(batch) => {
            (batch.position().0, batch.records().map(|record| record.payload.to_vec()).collect())
        }
        other => panic!("a batch, not {other:?}"),
    }
}
