//! How often a connection is written to: once for all that a flush of its shard brought.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tickwire::server::Server;
use tickwire::wire::control::Mode;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::peer::Peer;
use super::say;
use super::support::Transport;

/// A stream that counts the writes it takes.
struct Counting {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_gets_one_write_a_flush_however_many_rooms_it_is_in() {
    let server = Server::builder().shards(1).detached().unwrap();
    let handle = server.handle();
    tokio::spawn(server.run(std::future::pending()));
    let (stream, client) = duplex(64 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let counting = Counting { stream, writes: Arc::clone(&writes) };
    tokio::spawn(async move { handle.attach_tcp(counting).await });

    const ROOMS: u64 = 20;
    let mut peer = Peer::new(client, Transport::Tcp);
    peer.send_raw(&say::preamble()).await;
    peer.greet().await;
    for room in 1..=ROOMS {
        peer.join(room, Mode::BOTH, &format!("room/{room}")).await;
    }
    // Nobody's presence is left to tell: each room has told of its first member by now.
    for room in 1..=ROOMS {
        peer.send(&say::event(room, b"settled")).await;
        peer.event(b"settled").await;
    }

    writes.store(0, Ordering::Relaxed);
    let everywhere = (1..=ROOMS).flat_map(|room| say::event(room, b"tick")).collect::<Vec<u8>>();
    peer.send(&everywhere).await;
    for _ in 1..=ROOMS {
        peer.event(b"tick").await;
    }
    assert_eq!(writes.load(Ordering::Relaxed), 1);
}
