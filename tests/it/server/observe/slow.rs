//! A watcher that reads nothing: it holds nobody up, nothing grows, and it is told what it lost.

use std::time::Duration;

use tickwire::class::RoomClasses;
use tickwire::server::Server;
use tokio::net::TcpSocket;

use super::stream::Stream;
use super::{metrics, observed};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{Transport, limits, soon};

#[tokio::test]
async fn a_watcher_that_does_not_read_skips_and_is_told() {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::from_millis(1);
    let outbox = 256 * 1024;
    let server = observed(Server::builder().limits(limits(|_| {})).classes(classes)).await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "target").await;
    // The kernel keeps little for it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let io = soon(socket.connect(server.admin.unwrap()), "a connection").await.unwrap();
    let mut stream = Stream::open_on(io, "target", None).await;
    stream.expect("joined").await;
    // At most 60 MB, which no kernel keeps for one connection.
    let skipped = "tickwire_slow_receivers_total{step=\"skipped\"}";
    let mut sent = 0;
    while metrics(&server.handle).await.of(skipped) == 0.0 {
        assert!(sent < 4000, "it was never behind");
        for _ in 0..50 {
            sent += 1;
            peer.send(&say::event(1, &[7; 15_000])).await;
            peer.event(&[7; 15_000]).await;
        }
    }
    let page = metrics(&server.handle).await;
    assert!(page.of("tickwire_outbox_largest_bytes") <= f64::from(outbox), "it is bounded like any other");
    assert!(page.of("tickwire_outbox_bytes") > 0.0 && page.of("tickwire_outbox_frames") > 0.0);
    let gap = stream.find("gap").await;
    assert!(gap["from"].as_u64() <= gap["to"].as_u64(), "{gap}");
    stream.find("snapshot").await;
    peer.send(&say::event(1, b"now")).await;
    assert_eq!(stream.find("event").await["text"], "now");
    drop((peer, stream));
    server.finish().await;
}
