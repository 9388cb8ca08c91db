//! Sessions that go on over another connection (PROTOCOL 12.2).

use std::time::Duration;

use tickwire::wire::control::{Command, Hello, Mode};
use tickwire::wire::header::flags;
use tickwire::wire::{Capabilities, Control, Extensions, RequestId, extension, put_extension, put_string, put_varint};

use super::hear::command;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, limits};

/// HELLO of a client that can resume, and asks for a session if it has a token.
fn hello(token: Option<&[u8]>) -> Vec<u8> {
    let (mut content, mut extensions) = (Vec::new(), Vec::new());
    if let Some(token) = token {
        put_string(token, &mut content);
        put_varint(0, &mut content);
        put_extension(extension::kind::RESUME, &content, &mut extensions);
    }
    let capabilities = Capabilities(Capabilities::RESUME.0 | Capabilities::ACCEPTED.0);
    let extensions = Extensions::from_encoded(&extensions).unwrap();
    let mut bytes = Vec::new();
    let hello = Hello { capabilities, max_record: 0, max_frame: 0, extensions };
    Control::new(RequestId(1), Command::Hello(hello)).encode(&mut bytes);
    bytes
}

/// WELCOME: whether the session was resumed, what was accepted, and its token.
async fn welcomed(peer: &mut Peer) -> (bool, u64, Vec<u8>) {
    let frame = peer.control().await;
    let Command::Welcome(welcome) = command(&frame) else { panic!("{frame:?}") };
    let token = welcome.extensions.get(extension::kind::RESUME_TOKEN).unwrap();
    (welcome.flags & flags::RESUMED != 0, welcome.accepted, token.to_vec())
}

/// In a room, with one event accepted; and its token.
async fn joined(server: &TestServer, transport: Transport) -> (Peer, u64, Vec<u8>) {
    let mut peer = Peer::preamble(server, transport).await;
    peer.send(&hello(None)).await;
    let (resumed, accepted, token) = welcomed(&mut peer).await;
    assert_eq!((resumed, accepted), (false, 0));
    let member = peer.join(1, Mode::BOTH, "room").await.member;
    peer.send(&say::event(1, b"first")).await;
    peer.event(b"first").await;
    (peer, member, token)
}

/// HELLO, JOIN and an event in one chunk, on another connection: everything is answered.
async fn comes_back(server: &TestServer, transport: Transport, member: u64, token: &[u8]) -> Peer {
    let mut peer = Peer::preamble(server, transport).await;
    peer.send(&[hello(Some(token)), say::join(2, 1, Mode::BOTH, "room"), say::event(1, b"second")].concat()).await;
    let (resumed, accepted, _) = welcomed(&mut peer).await;
    assert_eq!((resumed, accepted), (true, 1));
    assert_eq!(peer.joining().await.member, member);
    assert_eq!(peer.event(b"second").await.member, member);
    peer
}

/// On two workers, since a shard may answer while the connection looks at what it was handed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_behind_a_hello_that_resumes_is_answered() {
    // No timer may hide that nobody was woken.
    let hour = Duration::from_secs(3600);
    let limits = limits(|limits| {
        (limits.hello_timeout, limits.ping_interval, limits.busy_ping_interval) = (hour, hour, hour);
    });
    let server = TestServer::start(limits).await;
    for transport in BOTH.repeat(20) {
        let (peer, member, token) = joined(&server, transport).await;
        drop(peer);
        let mut peer = comes_back(&server, transport, member, &token).await;
        // A session with CLOSE is over, so that the server need not wait for it.
        peer.send(&say::close(9)).await;
        peer.ended().await;
    }
    server.finish().await;
}
