//! The client against a server that says exactly what a test wants, over loopback TCP.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::wire::control::{Close, Joined, Left, Refused, Welcome};
use crate::wire::header::flags;
use crate::wire::{
    DecodeError, Decoder, Extensions, Frame, FrameType, Head, Kind, Ping, PingBody, Position, Put, Reason, Record,
    RoomId, ServerData, Target,
};

/// Nothing here takes longer, unless it hangs.
const LONG: Duration = Duration::from_secs(10);

const ROOM: RoomId = RoomId(7);

/// The other end of a client.
struct Script {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Script {
    async fn send(&mut self, command: Command<'_>, request: RequestId) {
        let mut out = Vec::new();
        Control::new(request, command).encode(&mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    /// A data frame with one record for each payload, from member 2.
    async fn batch(&mut self, kind: Kind, options: u8, position: u64, payloads: &[&[u8]]) {
        let key = kind.has_key().then_some(10);
        let mut records = Vec::new();
        for payload in payloads {
            Record { member: MemberNumber(2), key, payload }.encode(&mut records);
        }
        let head = Head { room: ROOM, position: Position(position), tick: 4 };
        let mut out = Vec::new();
        ServerData { kind, options, head, records: &records }.encode(&mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    async fn receive(&mut self) -> Frame {
        let decoder = Decoder::new(crate::wire::Sender::Client, 65_535);
        loop {
            if let Some(frame) = decoder.decode(&mut self.buffer).unwrap() {
                return frame;
            }
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert_ne!(read, 0, "the client is still there");
        }
    }

    async fn receive_request(&mut self) -> RequestId {
        let frame = self.receive().await;
        Control::decode(&frame.payload).unwrap().request
    }
}

fn joined(handle: Handle) -> Command<'static> {
    let joined = Joined { handle, room: ROOM, member: MemberNumber(1), mode: Mode::BOTH, tick: 3, ..Joined::default() };
    Command::Joined(joined)
}

/// Runs a server's script against a client's.
async fn check<S, C>(server: impl FnOnce(Script) -> S, client: impl FnOnce(Result<Client, Error>) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut script = Script { stream, buffer: BytesMut::new() };
        let mut magic = [0; 4];
        script.stream.read_exact(&mut magic).await.unwrap();
        assert_eq!(magic, [0xd7, 0x54, 0x57, 1]);
        assert_eq!(script.receive_request().await, RequestId(1));
        server(script).await;
    };
    let config = ClientConfig::new(url);
    let connect = async { client(Client::connect(&config).await).await };
    timeout(LONG, async { tokio::join!(serve, connect) }).await.expect("nothing hangs");
}

/// As [`check`], with hello and a join already done.
async fn check_joined<S, C>(server: impl FnOnce(Script) -> S, client: impl FnOnce(Client, Handle) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    check(
        async |mut script| {
            welcome(&mut script).await;
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

async fn welcome(script: &mut Script) {
    let welcome =
        Welcome { clock: 1, time: 1_000_000, max_message: 100, max_frame: 16_384, ping: 15_000, ..Welcome::default() };
    script.send(Command::Welcome(welcome), RequestId(1)).await;
}

fn close(reason: Reason) -> Command<'static> {
    Command::Close(Close { reason, extensions: Extensions::NONE })
}

#[tokio::test]
async fn events_come_in_order_and_carry_their_records() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Snapshot, 0, 0, &[b"old"]).await;
            script.batch(Kind::Event, flags::MORE, 1, &[b"a", b""]).await;
            script.batch(Kind::Event, 0, 1, &[b"b"]).await;
            script.batch(Kind::Value, flags::URGENT, 1, &[b"v"]).await;
            script.batch(Kind::Direct, 0, 1, &[b"d", b"e"]).await;
            script.batch(Kind::Direct, 0, 3, &[b"f"]).await;
            script.send(close(Reason::GOING_AWAY), RequestId(0)).await;
        },
        async |mut client, handle| {
            let Event::Snapshot(batch) = client.next().await.unwrap() else { panic!("a snapshot") };
            assert_eq!((batch.room(), batch.tick(), batch.has_more()), (handle, 4, false));
            let Event::Batch(batch) = client.next().await.unwrap() else { panic!("events") };
            assert_eq!(batch.records().map(|record| record.payload.to_vec()).collect::<Vec<_>>(), [&b"a"[..], b""]);
            assert!(batch.has_more() && !batch.is_early());
            let Event::Batch(batch) = client.next().await.unwrap() else { panic!("events") };
            assert_eq!(batch.position(), Position(1));
            let Event::Batch(batch) = client.next().await.unwrap() else { panic!("values") };
            assert!(batch.kind() == Kind::Value && batch.is_early());
            assert_eq!(batch.records().next().unwrap().key, Some(10));
            assert!(matches!(client.next().await.unwrap(), Event::Direct(_)));
            assert!(matches!(client.next().await.unwrap(), Event::Direct(_)));
            let Event::Closed(closing) = client.next().await.unwrap() else { panic!("the end") };
            assert_eq!(closing.reason, Some(Reason::GOING_AWAY));
            assert!(matches!(client.next().await, Err(Error::Ended)));
        },
    )
    .await;
}

#[tokio::test]
async fn a_hole_in_the_positions_is_found() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[b"a"]).await;
            script.batch(Kind::Event, 0, 3, &[b"c"]).await;
        },
        async |mut client, _| {
            assert!(matches!(client.next().await, Ok(Event::Batch(_))));
            let Err(Error::Surprise(surprise)) = client.next().await else { panic!("a hole") };
            assert_eq!(surprise, Surprise::Position { expected: Position(2), found: Position(3) });
            assert!(matches!(client.next().await, Err(Error::Ended)));
        },
    )
    .await;
}

#[tokio::test]
async fn hostile_bytes_are_errors() {
    /// Sends `bytes` to a client in a room.
    async fn check(bytes: &[u8], expected: fn(&Error) -> bool) {
        check_joined(
            async |mut script| script.stream.write_all(bytes).await.unwrap(),
            async |mut client, _| {
                let error = client.next().await.unwrap_err();
                assert!(expected(&error), "{bytes:02x?}: {error}");
            },
        )
        .await;
    }
    check(&[0xff, 0, 0, 0], |error| matches!(error, Error::Decode(DecodeError::UnknownType(0xff)))).await;
    check(&[1, 0, 2, 0, 7, 1], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
    // A record that says it is longer than its frame.
    check(&[1, 0, 6, 0, 7, 1, 0, 4, 9, 1], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
    // Presence without a state.
    check(&[1, 0, 6, 4, 7, 1, 0, 4, 0, 1], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
    check(&[1, 0, 4, 0, 8, 1, 0, 4], |error| matches!(error, Error::Surprise(Surprise::UnknownRoom(RoomId(8))))).await;
    check(&[1, 0, 4, 1, 7, 1, 0, 4], |error| matches!(error, Error::Surprise(Surprise::Compressed))).await;
    check(&[1, 0, 4, 6, 7, 5, 0, 4], |error| matches!(error, Error::Surprise(Surprise::DirectNumber { .. }))).await;
    check(&[2, 0, 2, 0, 4, 0x80], |error| matches!(error, Error::Decode(DecodeError::Truncated))).await;
}

#[tokio::test]
async fn what_a_client_does_not_know_it_ignores() {
    check_joined(
        async |mut script| {
            // A reserved kind, an unknown command, an unknown even and an odd extension of LEFT.
            script.stream.write_all(&[1, 0, 1, 0x0e, 0xff]).await.unwrap();
            script.stream.write_all(&[2, 0, 3, 0, 0x70, 0, 9]).await.unwrap();
            script.stream.write_all(&[2, 0, 7, 0, 6, 0, 1, 0xc8, 1, 9, 0]).await.unwrap();
            script.stream.write_all(&[2, 0, 7, 0, 6, 0, 1, 0xc8, 1, 8, 0]).await.unwrap();
        },
        async |mut client, handle| {
            let left = Event::Left { request: RequestId(0), handle, reason: Reason::FINISHED };
            assert_eq!(client.next().await.unwrap(), left);
            let Event::Closed(closing) = client.next().await.unwrap() else { panic!("the end") };
            assert_eq!(closing.reason, None);
        },
    )
    .await;
}

#[tokio::test]
async fn pings_are_answered_with_what_was_taken() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Direct, 0, 1, &[b"d", b"e"]).await;
            let ask = Ping { time: 5, body: PingBody::ServerAsk { accepted: 0 }, extensions: Extensions::NONE };
            let mut out = Vec::new();
            ask.encode(&mut out);
            script.stream.write_all(&out).await.unwrap();
            script.batch(Kind::Value, 0, 0, &[b"v"]).await;
            let answer = script.receive().await;
            assert_eq!((answer.header.frame_type, answer.header.flags), (FrameType::Ping, flags::ANSWER));
            let ping = Ping::decode(answer.header.flags, &answer.payload, crate::wire::Sender::Client).unwrap();
            let PingBody::Client { consumed, directs, .. } = ping.body else { panic!("a client's") };
            assert_eq!((ping.time, directs), (5, 2));
            assert!(consumed > 30, "{consumed} bytes: welcome, joined, a direct");
            script.send(close(Reason::FINISHED), RequestId(0)).await;
        },
        async |mut client, _| {
            assert!(matches!(client.next().await, Ok(Event::Direct(_))));
            assert!(matches!(client.next().await, Ok(Event::Batch(_))));
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
        },
    )
    .await;
}

#[tokio::test]
async fn an_own_ping_sets_the_clock() {
    check_joined(
        async |mut script| {
            script.batch(Kind::Event, 0, 1, &[b"kept for later"]).await;
            let asked = script.receive().await;
            let ping = Ping::decode(asked.header.flags, &asked.payload, crate::wire::Sender::Client).unwrap();
            let body = PingBody::ServerAnswer { clock: 1, received: 9_000_000, sent: 9_000_000, accepted: 0 };
            let mut out = Vec::new();
            Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut out);
            script.stream.write_all(&out).await.unwrap();
        },
        async |mut client, _| {
            let sample = client.ping().await.unwrap();
            assert!(sample.offset > 8_000_000 && sample.round_trip < LONG);
            assert!(client.clock().server_time(Instant::now()).is_some());
            assert!(matches!(client.next().await, Ok(Event::Batch(_))));
        },
    )
    .await;
}

#[tokio::test]
async fn publishing_numbers_messages_and_checks_their_size() {
    check_joined(
        async |mut script| {
            let urgent = script.receive().await;
            assert_eq!((urgent.header.flags, &urgent.payload[..]), (0x10, &b"\x01now"[..]));
            let value = script.receive().await;
            assert_eq!((value.header.flags, &value.payload[..]), (0x02, &b"\x01\x0b"[..]));
            let direct = script.receive().await;
            assert_eq!((direct.header.flags, &direct.payload[..]), (0x06, &b"\x01\x02hi"[..]));
            let request = script.receive_request().await;
            script
                .send(
                    Command::Left(Left { handle: Handle(1), reason: Reason::FINISHED, extensions: Extensions::NONE }),
                    request,
                )
                .await;
            let request = script.receive_request().await;
            script.send(close(Reason::FINISHED), request).await;
        },
        async |mut client, handle| {
            let urgent = client.sender().publish(handle, Target::Event, Timing::Urgent, b"now").await;
            assert_eq!(urgent.unwrap(), 1);
            assert_eq!(client.value(handle, Key::room(5), b"").await.unwrap(), 2);
            let large = client.event(handle, &[0; 101]).await;
            assert!(matches!(large, Err(Error::MessageTooLarge { len: 101, limit: 100 })));
            assert_eq!(client.direct(handle, MemberNumber(2), b"hi").await.unwrap(), 3);
            client.leave(handle).await.unwrap();
            client.close().await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn refusals_and_closes_are_told() {
    check(
        async |mut script| {
            welcome(&mut script).await;
            let request = script.receive_request().await;
            let refused = Refused { number: 0, reason: Reason::ROOM_FULL, extensions: Extensions::NONE };
            script.send(Command::Refused(refused), request).await;
            let request = script.receive_request().await;
            assert_eq!(request, RequestId(3));
            script.send(close(Reason::SLOW), RequestId(0)).await;
        },
        async |client| {
            let mut client = client.unwrap();
            assert!(matches!(client.join("a b", Mode::BOTH).await, Err(Error::RoomName)));
            let refused = client.join("room", Mode::BOTH).await.unwrap_err();
            assert_eq!(refused.to_string(), "the server refused, 104: The room has as many members as it may.");
            let closed = client.join("other", Mode::BOTH).await.unwrap_err();
            assert!(matches!(closed, Error::Closed(closing) if closing.reason == Some(Reason::SLOW)));
            assert!(matches!(client.next().await, Err(Error::Ended)));
        },
    )
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_welcome_is_an_error() {
    check(
        async |mut script| {
            script
                .send(Command::Close(Close { reason: Reason::TOKEN, extensions: Extensions::NONE }), RequestId(1))
                .await;
        },
        async |client| {
            let error = client.unwrap_err();
            assert!(matches!(error, Error::Closed(closing) if closing.reason == Some(Reason::TOKEN)));
        },
    )
    .await;
    check(
        async |mut script| script.send(joined(Handle(1)), RequestId(1)).await,
        async |client| assert!(matches!(client.unwrap_err(), Error::Surprise(Surprise::NotWelcome))),
    )
    .await;
    check(async |script| drop(script), async |client| assert!(matches!(client.unwrap_err(), Error::Closed(_)))).await;
}

#[tokio::test(start_paused = true)]
async fn silence_and_missing_answers_end_the_wait() {
    // With nothing to do, the paused clock jumps to the next deadline.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let error = Client::connect(&ClientConfig::new(url)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Connect)));
}

#[test]
fn hello_is_that_of_the_protocol() {
    assert_eq!(&hello(Scheme::WebSocket)[..], [2, 0, 5, 0, 1, 1, 0, 0, 0]);
    let mut with_magic = Vec::new();
    with_magic.put(&[0xd7, 0x54, 0x57, 1, 2, 0, 5, 0, 1, 1, 0, 0, 0]);
    assert_eq!(hello(Scheme::Tcp), with_magic);
}
