//! Bytes into the WebSocket side of a server, over an in-memory stream: whatever comes in, what
//! goes out is whole messages of whole frames, and the connection ends. A connection may break, and
//! another one go on with its session.
#![no_main]

use std::cell::RefCell;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tickwire::server::{Handle, Server};
use tickwire::deflate::Inflater;
use tickwire::wire::control::Command;
use tickwire::wire::header::flags;
use tickwire::wire::{Control, FrameType, Ping, Sender, ServerData, extension, split_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static SERVER: RefCell<(Runtime, Handle)> = RefCell::new(start());
}

fn start() -> (Runtime, Handle) {
    // A paused clock: deadlines cost no time.
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let server = runtime.block_on(async { Server::builder().shards(1).detached() }).expect("defaults agree");
    let handle = server.handle();
    runtime.spawn(server.run(std::future::pending()));
    (runtime, handle)
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let bytes = |data: &[u8]| if mode % 2 == 0 { data.to_vec() } else { messages(data) };
    SERVER.with_borrow(|(runtime, handle)| {
        if mode & 2 == 0 {
            check(&runtime.block_on(exchange(handle.clone(), bytes(data))));
        } else {
            let (first, second) = data.split_at(data.len() / 2);
            let capable = [messages(&framed(CAPABLE)), bytes(first)].concat();
            runtime.block_on(resume(handle.clone(), capable, &bytes(second)));
        }
        assert_eq!(handle.connections(), 0, "a connection that is over has given its place back");
    });
});

/// HELLO with every capability, and JOIN of "a" as handle 1.
const CAPABLE: &[u8] = &[2, 0, 5, 0, 1, 1, 0x6f, 0, 0, 2, 0, 6, 0, 3, 2, 1, 3, 1, b'a'];

/// Bytes below 256 as [`messages`] wants them.
fn framed(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

/// Sends everything, breaks off, and goes on over another connection, if there is a token for that.
async fn resume(server: Handle, input: Vec<u8>, behind: &[u8]) {
    let (output, first) = connection(server.clone(), input).await;
    let token = check(&output);
    let mut hello = vec![2, 0, 33, 0, 1, 1, 0x6f, 0, 0, 4, 26, 24];
    hello.extend(token.unwrap_or_else(|| vec![0; 24]));
    hello.extend([0, 2, 0, 6, 0, 3, 2, 1, 3, 1, b'a']);
    let (output, second) = connection(server, [&messages(&framed(&hello)), behind].concat()).await;
    check(&output);
    first.await.expect("no panic");
    second.await.expect("no panic");
}

/// Sends everything, closes, and reads to the end.
async fn exchange(server: Handle, input: Vec<u8>) -> Vec<u8> {
    let (output, attached) = connection(server, input).await;
    attached.await.expect("no panic");
    output
}

/// What was read, and the server's task, which may wait for another connection.
async fn connection(server: Handle, input: Vec<u8>) -> (Vec<u8>, tokio::task::JoinHandle<()>) {
    let (client, io) = duplex(4096);
    let (mut reader, mut writer) = tokio::io::split(client);
    let attached =
        tokio::spawn(async move { server.attach(io, Bytes::new(), None).await.expect("there is a place") });
    let send = async {
        // The server may close before it has read everything.
        let _closed = writer.write_all(&input).await;
        let _closed = writer.shutdown().await;
    };
    let mut output = Vec::new();
    let (_, read) = tokio::join!(send, reader.read_to_end(&mut output));
    read.expect("an in-memory stream does not break");
    (output, attached)
}

/// Makes masked binary messages of the fuzzer's bytes: a length, then so many bytes. The mask is
/// zero, so that the fuzzer sees what the decoder sees.
fn messages(mut data: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some((len, rest)) = data.split_first() {
        let (message, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        stream.push(0x82);
        match u8::try_from(message.len()) {
            Ok(short @ 0..=125) => stream.push(0x80 | short),
            _ => stream.extend([0x80 | 126, 0, message.len() as u8]),
        }
        stream.extend([0; 4]);
        stream.extend(message);
        data = rest;
    }
    stream
}

/// Unmasked final messages: binary ones of whole frames, pongs, and at most one close, at the end.
/// The token of a WELCOME, if there was one.
fn check(mut output: &[u8]) -> Option<Vec<u8>> {
    let mut token = None;
    while let [first, len, rest @ ..] = output {
        let (len, rest) = match len {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            len => (usize::from(*len), rest),
        };
        let (message, rest) = rest.split_at_checked(len).expect("messages are whole");
        match first {
            0x82 => token = check_frames(message).or(token),
            0x8a => assert!(len <= 125),
            0x88 => assert!(rest.is_empty(), "nothing follows a close"),
            other => panic!("unexpected first byte {other:#04x}"),
        }
        output = rest;
    }
    assert!(output.is_empty());
    token
}

fn check_frames(mut message: &[u8]) -> Option<Vec<u8>> {
    let mut token = None;
    while !message.is_empty() {
        let (frame, rest) = split_frame(message, 65_535, Sender::Server).expect("readable").expect("whole");
        match frame.header.frame_type {
            FrameType::Data => {
                let data = ServerData::decode(frame.header.flags, frame.payload).expect("readable").expect("known");
                let mut plain = data.records.to_vec();
                if data.options & flags::COMPRESSED != 0 {
                    Inflater::new().inflate(data.records, 16_384, &mut plain).expect("a stream below the limit");
                }
                let data = ServerData { records: &plain, options: data.options & !flags::COMPRESSED, ..data };
                assert!(data.records().all(|record| record.is_ok()));
            }
            FrameType::Control => {
                if let Command::Welcome(welcome) = Control::decode(frame.payload).expect("readable").command {
                    token = welcome.extensions.get(extension::kind::RESUME_TOKEN).map(<[u8]>::to_vec);
                }
            }
            FrameType::Ping => assert!(Ping::decode(frame.header.flags, frame.payload, Sender::Server).is_ok()),
        }
        message = rest;
    }
    token
}
