//! Whether the figures are right, after scripts whose figures are known.

use tickwire::server::{Handle, Server};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind, Reason};
use tokio::io::duplex;

use super::{eventually, metrics, observed};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{Transport, limits, soon};

/// Three peers, the last one over WebSocket, who do one of each.
async fn run(server: &Handle, [mut a, mut b, mut c]: [Peer; 3]) {
    let mut numbers = Vec::new();
    for peer in [&mut a, &mut b, &mut c] {
        numbers.push(peer.join(1, Mode::BOTH, "target").await.member);
    }
    for payload in [b"one", b"two", b"six"] {
        a.send(&say::event(1, payload)).await;
        for peer in [&mut a, &mut b, &mut c] {
            peer.event(payload).await;
        }
    }
    // Two writes of a chunk are of one tick: the second takes the place of the first.
    let writes = [say::value(1, Key::member(7), b"old"), say::value(1, Key::member(7), b"new")].concat();
    b.send(&writes).await;
    for peer in [&mut a, &mut b, &mut c] {
        assert_eq!(peer.said_as(Kind::Value).await.payload, b"new"[..]);
    }
    c.send(&say::direct(1, numbers[0], b"psst")).await;
    assert_eq!(a.said_as(Kind::Direct).await.payload, b"psst"[..]);
    // One is refused by the session, one by the shard.
    c.send(&say::event(9, b"nowhere")).await;
    assert_eq!(c.refused().await.2, Reason::NOT_JOINED);
    c.send(&say::direct(1, 999, b"nobody")).await;
    assert_eq!(c.refused().await.2, Reason::NO_SUCH_MEMBER);

    let page = metrics(server).await;
    let check = |expected: &[(&str, f64)]| {
        for (key, value) in expected {
            assert_eq!(page.of(key), *value, "{key}");
        }
    };
    check(&[
        ("tickwire_connections", 3.0),
        ("tickwire_sessions", 3.0),
        ("tickwire_connections_total{transport=\"tcp\"}", 2.0),
        ("tickwire_connections_total{transport=\"websocket\"}", 1.0),
        ("tickwire_handshakes_total{transport=\"tcp\"}", 2.0),
        ("tickwire_handshakes_total{transport=\"websocket\"}", 1.0),
        ("tickwire_messages_total{class=\"event\"}", 3.0),
        ("tickwire_messages_total{class=\"value\"}", 1.0),
        ("tickwire_messages_total{class=\"direct\"}", 1.0),
        ("tickwire_deliveries_total{class=\"event\"}", 9.0),
        ("tickwire_deliveries_total{class=\"value\"}", 3.0),
        ("tickwire_deliveries_total{class=\"direct\"}", 1.0),
        ("tickwire_values_conflated_total", 1.0),
        ("tickwire_conflation_ratio", 0.5),
        ("tickwire_compression_ratio", 1.0),
        ("tickwire_joins_total", 3.0),
        ("tickwire_rejections_total{reason=\"not_joined\"}", 1.0),
        ("tickwire_rejections_total{reason=\"no_such_member\"}", 1.0),
        ("tickwire_shards_silent", 0.0),
        ("tickwire_ready", 1.0),
    ]);
    assert_eq!(page.sum("tickwire_rejections_total"), 2.0);
    assert_eq!((page.sum("tickwire_rooms"), page.sum("tickwire_room_sessions")), (1.0, 3.0));
    assert_eq!(page.sum("tickwire_outbox_sessions"), 3.0);
    // HELLO and JOIN of each, and eight messages; pings come on top of that.
    assert!(page.of("tickwire_frames_received_total") >= 14.0);
    assert!(page.of("tickwire_frames_sent_total") >= 24.0);
    assert!(page.of("tickwire_bytes_received_total") >= 14.0 * 6.0);
    assert!(page.of("tickwire_bytes_sent_total") >= 24.0 * 6.0);
    for histogram in ["tickwire_tick_lag_seconds", "tickwire_tick_duration_seconds", "tickwire_tick_frames"] {
        assert!(page.of(&format!("{histogram}_count")) >= 5.0, "{histogram}");
    }
    assert!(page.of("tickwire_tick_frames_sum") >= page.of("tickwire_batches_total"));

    a.send(&say::close(5)).await;
    assert_eq!(a.ended().await.reason, Reason::FINISHED);
    drop(b);
    c.send(&say::hello()).await;
    assert_eq!(c.ended().await.reason, Reason::HELLO_TWICE);
    drop((a, c));
    let ended = "tickwire_connections_closed_total";
    let last = eventually(server, "all ends to be counted", |page| page.sum(ended) == 3.0).await;
    for reason in ["finished", "gone", "hello_twice"] {
        assert_eq!(last.of(&format!("{ended}{{reason=\"{reason}\"}}")), 1.0, "{reason}");
    }
    assert!(page.went_back(&last).is_empty(), "{:?}", page.went_back(&last));
}

#[tokio::test]
async fn figures_of_sockets_are_right() {
    let server = observed(Server::builder().limits(limits(|_| {})).shards(2)).await;
    let peers = [
        Peer::hello(&server, Transport::Tcp).await,
        Peer::hello(&server, Transport::Tcp).await,
        Peer::hello(&server, Transport::WebSocket).await,
    ];
    run(&server.handle, peers).await;
    server.finish().await;
}

#[tokio::test]
async fn figures_of_what_an_application_attaches_are_right() {
    let server = Server::builder().limits(limits(|_| {})).shards(2).detached().unwrap();
    let handle = server.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _stopped = stopped.await;
    }));
    let mut peers = Vec::new();
    for transport in [Transport::Tcp, Transport::Tcp, Transport::WebSocket] {
        let (near, far) = duplex(4096);
        let attached = handle.clone();
        tokio::spawn(async move {
            match transport {
                Transport::Tcp => attached.attach_tcp(far).await,
                Transport::WebSocket => attached.attach(far, bytes::Bytes::new(), None).await,
            }
        });
        let mut peer = Peer::new(near, transport);
        if transport == Transport::Tcp {
            peer.send_raw(&say::preamble()).await;
        }
        peer.greet().await;
        peers.push(peer);
    }
    let Ok(peers) = <[Peer; 3]>::try_from(peers) else { unreachable!() };
    run(&handle, peers).await;
    stop.send(()).unwrap();
    soon(running, "the server to return").await.unwrap().unwrap();
}

#[tokio::test]
async fn attached_connections_of_a_server_with_sockets_are_counted_too() {
    let server = observed(Server::builder().limits(limits(|_| {}))).await;
    let (near, far) = duplex(4096);
    let attached = server.handle.clone();
    let serving = tokio::spawn(async move { attached.attach_tcp(far).await });
    let mut near = Peer::new(near, Transport::Tcp);
    near.send_raw(&say::preamble()).await;
    near.greet().await;
    near.join(1, Mode::BOTH, "target").await;
    let (mut socket, _) = Peer::joined(&server, Transport::Tcp, "target").await;
    socket.send(&say::event(1, b"hi")).await;
    near.event(b"hi").await;
    socket.event(b"hi").await;
    let page = metrics(&server.handle).await;
    assert_eq!(page.of("tickwire_connections_total{transport=\"tcp\"}"), 2.0);
    assert_eq!(page.of("tickwire_handshakes_total{transport=\"tcp\"}"), 2.0);
    assert_eq!(page.of("tickwire_deliveries_total{class=\"event\"}"), 2.0);
    drop(near);
    assert_eq!(soon(serving, "attach to return").await.unwrap(), Ok(()));
    let gone = "tickwire_connections_closed_total{reason=\"gone\"}";
    eventually(&server.handle, "the end to be counted", |page| page.of(gone) == 1.0).await;
    drop(socket);
    server.finish().await;
}

#[tokio::test]
async fn scrapes_at_the_same_time_all_get_the_page() {
    let server = observed(Server::builder().limits(limits(|_| {})).shards(3)).await;
    let scrapes: Vec<_> = (0..20)
        .map(|_| {
            let server = server.handle.clone();
            tokio::spawn(async move { metrics(&server).await })
        })
        .collect();
    for scrape in scrapes {
        assert_eq!(soon(scrape, "a page").await.unwrap().of("tickwire_shards_silent"), 0.0);
    }
    server.finish().await;
}

#[tokio::test]
async fn a_server_that_does_not_run_has_a_page_and_says_that_its_shards_are_silent() {
    let server = Server::builder().shards(2).detached().unwrap();
    // Also a second time, when the first question still waits.
    for _ in 0..2 {
        assert_eq!(metrics(&server.handle()).await.of("tickwire_shards_silent"), 2.0);
    }
}
