//! Health and readiness, on both addresses.

use tickwire::server::Server;
use tickwire::wire::Reason;

use super::{ask, get, metrics, observed};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{Transport, limits};

#[tokio::test]
async fn a_full_server_is_ready_and_counts_whom_it_turns_away() {
    let server = observed(Server::builder().limits(limits(|limits| limits.max_connections = 1))).await;
    let (peer, _) = Peer::joined(&server, Transport::Tcp, "target").await;
    let mut second = Peer::preamble(&server, Transport::Tcp).await;
    assert_eq!(second.ended().await.reason, Reason::SERVER_FULL);
    let refused = ask(server.addr(Transport::WebSocket), "GET", "/ws", "").await;
    assert_eq!(refused.status, 426);
    for addr in [server.admin.unwrap(), server.addr(Transport::WebSocket)] {
        for path in ["/readyz", "/healthz"] {
            assert_eq!(get(addr, path).await.status, 200, "{path}");
            let head = ask(addr, "HEAD", path, "").await;
            assert_eq!((head.status, &head.body[..]), (200, ""), "{path}");
            let post = ask(addr, "POST", path, "Content-Length: 0\r\n").await;
            assert!(post.status == 405 && post.head.contains("allow: get, head"), "{}", post.head);
        }
    }
    let page = metrics(&server.handle).await;
    assert_eq!(page.of("tickwire_turned_away_total{cause=\"full\"}"), 1.0);
    assert_eq!((page.of("tickwire_connections"), page.of("tickwire_connections_max")), (1.0, 1.0));
    // A room cannot be watched where there is no place.
    let events = get(server.admin.unwrap(), "/v1/rooms/target/events").await;
    assert!(events.status == 503 && events.head.contains("retry-after"), "{}", events.head);
    drop((peer, second));
    server.finish().await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_alive_and_not_ready() {
    let mut server = observed(Server::builder().limits(limits(|_| {}))).await;
    let admin = server.admin.unwrap();
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "target").await;
    assert_eq!(get(admin, "/readyz").await.status, 200);
    server.stop();
    // The notice.
    peer.control().await;
    assert!(!server.handle.is_ready());
    assert_eq!((get(admin, "/readyz").await.status, get(admin, "/healthz").await.status), (503, 200));
    let page = get(admin, "/metrics").await;
    assert!(page.body.contains("\ntickwire_ready 0\n"));
    assert_eq!(get(admin, "/v1/rooms/target/events").await.status, 503);
    peer.send(&say::close(5)).await;
    peer.ended().await;
    drop(peer);
    server.stopped().await;
    assert!(tokio::net::TcpStream::connect(admin).await.is_err(), "nobody answers any more");
}

#[tokio::test]
async fn the_page_is_served_as_prometheus_wants_it() {
    let server = observed(Server::builder().limits(limits(|_| {}))).await;
    let admin = server.admin.unwrap();
    let page = get(admin, "/metrics").await;
    assert!(page.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", page.head);
    assert!(super::Metrics::read(&page.body).families.len() > 30);
    let head = ask(admin, "HEAD", "/metrics", "").await;
    assert_eq!((head.status, &head.body[..]), (200, ""));
    assert_eq!(ask(admin, "DELETE", "/metrics", "").await.status, 405);
    assert_eq!(get(admin, "/nowhere").await.status, 404);
    assert_eq!(get(server.addr(Transport::WebSocket), "/metrics").await.status, 404, "not for strangers");
    server.finish().await;
}

#[tokio::test]
async fn a_page_whose_name_points_here_may_not_read() {
    let server = observed(Server::builder().limits(limits(|_| {}))).await;
    let hosts = [
        ("evil.example", 403),
        ("127.0.0.1.evil.example:80", 403),
        ("192.0.2.1", 403),
        ("127.0.0.1:7072", 200),
        ("[::1]:7072", 200),
        ("LOCALHOST", 200),
    ];
    for (host, status) in hosts {
        for path in ["/healthz", "/metrics"] {
            let answer = ask(server.admin.unwrap(), "GET", path, &format!("Host: {host}\r\n")).await;
            assert_eq!(answer.status, status, "{host}");
        }
    }
    server.finish().await;
}
