//! Bytes into the HTTP side of a server, over an in-memory stream: whatever comes in, at most one answer
//! goes out, which is whole, and of a status that is ours; the connection ends and gives its places back.
#![no_main]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use tickwire::server::access::AccessConfig;
use tickwire::server::{Handle, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static SERVER: RefCell<(Runtime, Handle)> = RefCell::new(start());
}

/// A listed proxy, and a stranger.
const PEERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 0, 2, 1)];

fn start() -> (Runtime, Handle) {
    // A paused clock: deadlines cost no time.
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let mut access = AccessConfig::default();
    access.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
    access.exempt = vec!["0.0.0.0/0".parse().expect("a network"), "::/0".parse().expect("a network")];
    let server = runtime.block_on(async { Server::builder().shards(1).access(access).detached() });
    let server = server.expect("defaults agree");
    let handle = server.handle();
    runtime.spawn(server.run(std::future::pending()));
    (runtime, handle)
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let peer = PEERS[usize::from(mode & 1)];
    // The usual request, with the fuzzer's bytes among its headers, or nothing but these.
    let request = if mode & 2 == 0 { data.to_vec() } else { [USUAL, data, b"\r\n\r\n"].concat() };
    SERVER.with_borrow(|(runtime, handle)| {
        let output = runtime.block_on(exchange(handle.clone(), peer.into(), request));
        check(&output);
        assert_eq!(handle.connections(), 0, "a connection that is over has given its place back");
    });
});

const USUAL: &[u8] = b"GET /ws/a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tickwire.v1\r\n";

/// Sends everything, closes, and reads to the end.
async fn exchange(server: Handle, peer: IpAddr, input: Vec<u8>) -> Vec<u8> {
    let (client, io) = duplex(4096);
    let (mut reader, mut writer) = tokio::io::split(client);
    let attached = tokio::spawn(async move { server.attach_http(io, peer).await.expect("there is a place") });
    let send = async {
        // The server may close before it has read everything.
        let _closed = writer.write_all(&input).await;
        let _closed = writer.shutdown().await;
    };
    let mut output = Vec::new();
    let (_, read) = tokio::join!(send, reader.read_to_end(&mut output));
    read.expect("an in-memory stream does not break");
    attached.await.expect("no panic");
    output
}

fn check(output: &[u8]) {
    if output.is_empty() {
        return;
    }
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = std::str::from_utf8(&output[..end]).expect("text");
    let status: u16 = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let body = &output[end + 4..];
    if status == 101 {
        assert!(head.contains("tickwire.v1"));
        return;
    }
    assert!([200, 400, 403, 404, 405, 414, 426, 431, 503, 505].contains(&status), "{head}");
    let lower = head.to_ascii_lowercase();
    let len = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let len: usize = len.and_then(|len| len.parse().ok()).expect("a length");
    // HEAD is answered without the body that is told of.
    assert!(body.len() == len || body.is_empty(), "{head}");
}
