//! Messages that wait for others, and what takes them along.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep_until;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use std::sync::Arc;

use super::script::*;
use crate::client::outgoing::{Chunk, Outgoing};
use crate::wire::SUBPROTOCOL;

const HANDLE: Handle = Handle(1);

/// How long messages wait where the clock is paused.
const GATHER: Duration = Duration::from_millis(5);

/// Longer than any test runs: what leaves does so for another reason.
const NEVER: Duration = ClientConfig::MAX_GATHER;

fn outgoing(max_frame: u64) -> (mpsc::Sender<Chunk>, Outgoing) {
    let (queue, chunks) = mpsc::channel(64);
    (queue, Outgoing::new(Vec::new(), chunks, max_frame, Arc::default()))
}

async fn wait(queue: &mpsc::Sender<Chunk>, frames: &[u8]) {
    queue.send(Chunk::waiting(Bytes::copy_from_slice(frames), Instant::now() + GATHER)).await.unwrap();
}

async fn urge(queue: &mpsc::Sender<Chunk>, frames: &[u8]) {
    queue.send(Chunk::at_once(Bytes::copy_from_slice(frames))).await.unwrap();
}

/// What leaves next, and how long that took, in milliseconds.
async fn next(outgoing: &mut Outgoing) -> (Bytes, u128) {
    let began = Instant::now();
    let bytes = outgoing.next().await.expect("there is more");
    (bytes, began.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn ten_messages_within_the_time_leave_together() {
    let (queue, mut outgoing) = outgoing(16_384);
    let start = Instant::now();
    let publishing = async {
        for (name, after) in (b'0'..).zip([0, 0, 0, 1, 1, 2, 2, 3, 3, 4]) {
            sleep_until(start + Duration::from_millis(after)).await;
            wait(&queue, &[name]).await;
        }
        sleep_until(start + 4 * GATHER).await;
        wait(&queue, b"late").await;
        sleep_until(start + 8 * GATHER).await;
    };
    let writing = async {
        let (bytes, took) = next(&mut outgoing).await;
        assert_eq!(bytes, &b"0123456789"[..]);
        // The time counts from the first that waits; timers are a millisecond coarse.
        assert!((5..=6).contains(&took), "{took} ms");
        assert_eq!(next(&mut outgoing).await.0, &b"late"[..]);
        assert!(start.elapsed() >= 5 * GATHER && start.elapsed() < 6 * GATHER);
    };
    tokio::join!(publishing, writing);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_already_does_not_wait_again() {
    let (queue, mut outgoing) = outgoing(16_384);
    wait(&queue, b"ab").await;
    sleep_until(Instant::now() + 2 * GATHER).await;
    wait(&queue, b"cd").await;
    let (bytes, took) = next(&mut outgoing).await;
    assert_eq!((&bytes[..], took), (&b"abcd"[..], 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_wait_takes_the_rest_along() {
    let (queue, mut outgoing) = outgoing(16_384);
    wait(&queue, b"1").await;
    wait(&queue, b"2").await;
    urge(&queue, b"!").await;
    wait(&queue, b"3").await;
    let (bytes, took) = next(&mut outgoing).await;
    // What is here already costs nothing to take along.
    assert_eq!((&bytes[..], took), (&b"12!3"[..], 0));
    wait(&queue, b"4").await;
    let urging = async {
        sleep_until(Instant::now() + GATHER / 5).await;
        urge(&queue, b"!").await;
    };
    let ((bytes, took), ()) = tokio::join!(next(&mut outgoing), urging);
    assert_eq!(bytes, &b"4!"[..]);
    assert!((1..=2).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn a_full_write_leaves_early_and_the_rest_waits() {
    // A server that takes messages of 8 bytes and 4 of header.
    let (queue, mut outgoing) = outgoing(8);
    for frame in [&b"12345"[..], b"67890", b"abcde", b"ABCDEFG", b"x"] {
        wait(&queue, frame).await;
    }
    assert_eq!(next(&mut outgoing).await, (Bytes::from_static(b"1234567890"), 0));
    assert_eq!(next(&mut outgoing).await, (Bytes::from_static(b"abcdeABCDEFG"), 0), "exactly full");
    let (bytes, took) = next(&mut outgoing).await;
    assert_eq!(bytes, &b"x"[..]);
    assert!(took >= 5, "{took} ms");
    // A fast sender does not fill the memory: what one write takes has left the queue, no more.
    let large = vec![0; 16 * 1024];
    let (queue, mut outgoing) = self::outgoing(65_535);
    for _ in 0..64 {
        wait(&queue, &large).await;
    }
    assert_eq!(next(&mut outgoing).await.0.len(), large.len());
    assert_eq!(queue.capacity(), 1);
    // Nor does a server that takes anything.
    let (queue, mut outgoing) = self::outgoing(u64::MAX);
    wait(&queue, &large).await;
    urge(&queue, b"x").await;
    assert_eq!(next(&mut outgoing).await.0.len(), large.len());
}

#[tokio::test(start_paused = true)]
async fn the_end_takes_everything_along() {
    let (queue, mut outgoing) = outgoing(16_384);
    wait(&queue, b"1").await;
    wait(&queue, b"2").await;
    drop(queue);
    assert_eq!(next(&mut outgoing).await, (Bytes::from_static(b"12"), 0));
    assert_eq!(outgoing.next().await, None);
}

/// What frames are, shortly: a message's payload, or a letter.
fn names(mut bytes: BytesMut) -> Vec<String> {
    let decoder = Decoder::new(crate::wire::Sender::Client, 65_535);
    let mut names = Vec::new();
    while let Some(frame) = decoder.decode(&mut bytes).unwrap() {
        names.push(match frame.header.frame_type {
            FrameType::Data => {
                let data = ClientData::decode(frame.header.flags, &frame.payload).unwrap();
                String::from_utf8(data.payload.to_vec()).unwrap()
            }
            FrameType::Ping if frame.header.flags & flags::ANSWER != 0 => "PONG".into(),
            FrameType::Ping => "PING".into(),
            FrameType::Control => match Control::decode(&frame.payload).unwrap().command {
                Command::Join(_) => "JOIN".into(),
                Command::Leave(_) => "LEAVE".into(),
                Command::Close(_) => "CLOSE".into(),
                other => panic!("{other:?}"),
            },
        });
    }
    assert!(bytes.is_empty(), "whole frames");
    names
}

/// What one read brings, joined.
async fn read(script: &mut Script) -> String {
    let mut bytes = BytesMut::with_capacity(64 * 1024);
    script.stream.read_buf(&mut bytes).await.unwrap();
    names(bytes).join(" ")
}

async fn events(client: &mut Client, names: &[&str]) {
    for name in names {
        client.event(HANDLE, name.as_bytes()).await.unwrap();
        // The writer has its turn, and would write what need not wait.
        yield_now().await;
    }
}

#[tokio::test]
async fn everything_else_takes_messages_along_in_order() {
    let mut listener = Listener::bind().await;
    listener.config = listener.config.gather(NEVER);
    let server = async {
        let mut script = listener.accept().await;
        script.welcome(WELCOME).await;
        let request = script.receive_request().await;
        script.send(joined(HANDLE), request).await;
        // A batch behind each, so that the next does not come before this is read.
        let expected = ["0 1 2 3 4 5 6 7 8 9 now", "a b PING", "c JOIN", "d e LEAVE", "f PONG"];
        for (position, expected) in (1..).zip(expected) {
            if expected.ends_with("PONG") {
                script.ping(0).await;
            }
            assert_eq!(read(&mut script).await, expected);
            script.batch(Kind::Event, 0, position, &[b""]).await;
        }
        assert_eq!(read(&mut script).await, "g h CLOSE");
        script.send(close(Reason::FINISHED), RequestId(0)).await;
    };
    let client = async {
        let mut client = Client::connect(&listener.config).await.unwrap();
        client.join("room", Mode::BOTH).await.unwrap();
        events(&mut client, &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]).await;
        client.publish(HANDLE, Target::Event, Timing::Urgent, b"now").await.unwrap();
        next_batch(&mut client).await;
        events(&mut client, &["a", "b"]).await;
        client.sender().ping().await.unwrap();
        next_batch(&mut client).await;
        events(&mut client, &["c"]).await;
        client.sender().join("other", Mode::BOTH).await.unwrap();
        next_batch(&mut client).await;
        events(&mut client, &["d", "e"]).await;
        client.sender().leave(Handle(2)).await.unwrap();
        next_batch(&mut client).await;
        // The server's ping is answered while the next event is awaited.
        events(&mut client, &["f"]).await;
        next_batch(&mut client).await;
        events(&mut client, &["g", "h"]).await;
        client.close().await.unwrap();
    };
    both(server, client).await;
}

#[tokio::test]
async fn a_client_that_is_dropped_sends_what_it_gathered() {
    // However long it is told to wait.
    for gather in [NEVER, Duration::MAX] {
        let mut listener = Listener::bind().await;
        listener.config = listener.config.gather(gather);
        let server = async {
            let mut script = listener.accept().await;
            script.welcome(WELCOME).await;
            assert_eq!(read(&mut script).await, "a b");
            assert_eq!(read(&mut script).await, "", "the end");
        };
        let client = async {
            let mut client = Client::connect(&listener.config).await.unwrap();
            events(&mut client, &["a", "b"]).await;
        };
        both(server, client).await;
    }
}

#[tokio::test]
async fn what_waits_leaves_by_itself() {
    for gather in [Duration::ZERO, Duration::from_millis(1)] {
        let mut listener = Listener::bind().await;
        listener.config = listener.config.gather(gather);
        let server = async {
            let mut script = listener.accept().await;
            script.welcome(WELCOME).await;
            for name in [b"a", b"b"] {
                assert_eq!(script.receive_data().await.2, name);
            }
            script.send(close(Reason::GOING_AWAY), RequestId(0)).await;
        };
        let client = async {
            let mut client = Client::connect(&listener.config).await.unwrap();
            events(&mut client, &["a", "b"]).await;
            assert!(matches!(client.next().await, Ok(Event::Closed(_))));
        };
        both(server, client).await;
    }
}

/// Shakes hands, and answers HELLO.
async fn accept_websocket(listener: &TcpListener, welcome: Welcome<'_>) -> WebSocketStream<TcpStream> {
    #[expect(clippy::result_large_err, reason = "tungstenite's callback")]
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_binary(), "HELLO");
    let mut out = Vec::new();
    Control::new(RequestId(1), Command::Welcome(welcome)).encode(&mut out);
    socket.send(Message::Binary(out.into())).await.unwrap();
    socket
}

/// The messages that a client sends for ten events and its end, as the server's limit wants them.
async fn check_messages(max_frame: u64, expected: &[&str]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("ws://{}/ws", listener.local_addr().unwrap()).parse().unwrap();
    let config = ClientConfig::new(url).gather(NEVER);
    let server = async {
        let mut socket = accept_websocket(&listener, Welcome { max_frame, ..WELCOME }).await;
        for expected in expected {
            let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() else { panic!("binary") };
            assert!(bytes.len() as u64 <= max_frame + 4, "PROTOCOL 4.2");
            assert_eq!(names(bytes.into()).join(" "), *expected);
        }
        assert!(socket.next().await.unwrap().unwrap().is_close());
    };
    let client = async {
        let mut client = Client::connect(&config).await.unwrap();
        events(&mut client, &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]).await;
    };
    both(server, client).await;
}

#[tokio::test]
async fn gathered_frames_go_in_as_few_websocket_messages_as_fit() {
    check_messages(16_384, &["0 1 2 3 4 5 6 7 8 9"]).await;
    // An event of one byte is a frame of 6.
    check_messages(26, &["0 1 2 3 4", "5 6 7 8 9"]).await;
    check_messages(25, &["0 1 2 3", "4 5 6 7", "8 9"]).await;
}
