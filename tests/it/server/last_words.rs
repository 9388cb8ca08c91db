//! What a peer says before it stops listening is heard, also where a write to it fails first (PROTOCOL 4.3, 12.2).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use bytes::Bytes;
#[cfg(feature = "tls")]
use rustls::version::{TLS12, TLS13};
use tickwire::class::RoomClasses;
use tickwire::logic::{Context, Message, RoomLogic, Verdict};
use tickwire::server::{Builder, Server};
use tickwire::wire::control::Mode;
use tickwire::wire::{Capabilities, MemberNumber, Reason};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::attach::serve;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, limits, soon};
#[cfg(feature = "tls")]
use super::tls::{Pem, shake};

/// Sees who comes and leaves.
const WATCHES: Mode = Mode::BOTH.with(Mode::MEMBERS);

/// Rooms send at once, and a session whose connection breaks is kept for longer than a test waits.
fn builder() -> Builder {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::ZERO;
    let limits = limits(|limits| limits.grace = Duration::from_secs(3600));
    Server::builder().shards(1).classes(classes).limits(limits)
}

/// A client that can resume, in the room.
async fn join(mut peer: Peer, mode: Mode) -> (Peer, u64) {
    peer.send(&say::hello_with(Capabilities::RESUME.0)).await;
    peer.control().await;
    let member = peer.join(1, mode, "room").await.member;
    (peer, member)
}

/// An event, and that it leaves: with CLOSE, or with a close frame that is going away.
fn last_words(transport: Transport) -> Vec<u8> {
    let event = say::event(1, b"last words");
    match transport {
        Transport::Tcp => [event, say::close(9)].concat(),
        Transport::WebSocket => [say::binary(&event), say::masked(0x88, &1001_u16.to_be_bytes())].concat(),
    }
}

/// The last words are heard, and the member leaves: its session does not wait for it.
async fn check_heard(mut watcher: Peer, member: u64, server: TestServer) {
    assert_eq!(watcher.event(b"last words").await.member, member);
    assert_eq!(watcher.left(member).await, Reason::FINISHED);
    watcher.send(&say::close(9)).await;
    drop(watcher);
    server.finish().await;
}

/// Holds the shard while it reads an event that says so, as long as somebody wants it held.
struct Holds {
    held: Arc<Notify>,
    wanted: Weak<()>,
}

impl RoomLogic for Holds {
    fn message(&mut self, _: MemberNumber, message: &Message<'_>, _: &mut Context<'_>) -> Verdict {
        if message.payload == b"hold" {
            self.held.notify_one();
            while self.wanted.strong_count() > 0 {
                std::thread::yield_now();
            }
        }
        Verdict::Relay
    }
}

/// Connects two peers as `connect` does, and resets the one of them whose last words the shard has not read when it has
/// something to send to it.
async fn check_reset(builder: Builder, transport: Transport, connect: impl AsyncFn(TcpStream, Transport) -> Peer) {
    let (wants, held) = (Arc::new(()), Arc::new(Notify::new()));
    let (wanted, holding) = (Arc::downgrade(&wants), Arc::clone(&held));
    let logic = move |_: &_| Holds { held: Arc::clone(&holding), wanted: Weak::clone(&wanted) };
    let server = TestServer::build(builder.logic("room", logic)).await;
    let open = async |transport| {
        let stream = TcpStream::connect(server.addr(transport)).await.unwrap();
        // Dropped, it is reset, as by a peer that has not read everything.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        let mut peer = connect(stream, transport).await;
        peer.open("/ws").await;
        peer
    };
    let (mut watcher, _) = join(open(Transport::Tcp).await, WATCHES).await;
    let (mut peer, member) = join(open(transport).await, Mode::BOTH).await;
    watcher.send(&say::event(1, b"hold")).await;
    soon(held.notified(), "the shard to be held").await;
    peer.send_raw(&last_words(transport)).await;
    drop(peer);
    drop(wants);
    watcher.event(b"hold").await;
    check_heard(watcher, member, server).await;
}

#[tokio::test]
async fn a_socket_that_was_reset_is_read_to_its_end() {
    for transport in BOTH {
        check_reset(builder(), transport, async |stream, transport| Peer::new(stream, transport)).await;
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn under_tls_a_socket_that_was_reset_is_read_to_its_end() {
    let pem = Pem::new();
    for (transport, version) in BOTH.into_iter().zip([&TLS12, &TLS13]) {
        let connect = async |stream, transport| {
            let stream = shake(stream, pem.client_over(version, transport)).await.unwrap();
            Peer::new(stream, transport)
        };
        check_reset(builder().tls(pem.tls()), transport, connect).await;
    }
}

/// A stream that takes nothing more from some event on, and has its last words only then.
struct Breaks {
    io: DuplexStream,
    last: Bytes,
    broken: bool,
}

impl AsyncRead for Breaks {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Cx<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.broken {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        // Behind them it ends.
        let len = self.last.len().min(buffer.remaining());
        buffer.put_slice(&self.last.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Breaks {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.broken |= bytes.windows(5).any(|window| window == b"break");
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_stream_that_takes_nothing_more_is_read_to_its_end() {
    for transport in BOTH {
        let server = TestServer::build(builder()).await;
        let (mut watcher, _) = join(Peer::preamble(&server, Transport::Tcp).await, WATCHES).await;
        let (near, io) = duplex(4096);
        let far = Breaks { io, last: last_words(transport).into(), broken: false };
        serve(&server.handle, transport, far);
        let mut peer = Peer::new(near, transport);
        if transport == Transport::Tcp {
            peer.send_raw(&say::preamble()).await;
        }
        let (_peer, member) = join(peer, Mode::BOTH).await;
        watcher.send(&say::event(1, b"break")).await;
        watcher.event(b"break").await;
        check_heard(watcher, member, server).await;
    }
}
