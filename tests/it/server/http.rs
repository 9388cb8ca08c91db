//! HTTP: what a request for `/ws` is answered that is not one, and what else there is.

use tickwire::rejections::Rejected;

use super::peer::Peer;
use super::say;
use super::support::{TestServer, Transport, limits, survives};

/// Sends bytes, and expects an answer with this status and these words, and then the end.
async fn check(server: &TestServer, name: &str, request: &[u8], status: &[u16], words: &str) {
    let mut peer = Peer::socket(server, Transport::WebSocket).await;
    peer.try_send_raw(request).await;
    let answer = peer.rest().await;
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let expected = status.iter().any(|status| answer.starts_with(&format!("http/1.1 {status} ")));
    assert!(expected && answer.contains(words), "{name}: {answer:?}");
}

/// The usual request with something replaced.
fn with(from: &str, to: &str) -> Vec<u8> {
    let usual = say::request("/ws", "");
    assert!(usual.contains(from));
    usual.replace(from, to).into_bytes()
}

#[tokio::test]
async fn a_request_that_is_no_websocket_request_is_told_what_is_missing() {
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let twice = format!("{KEY}{KEY}");
    let cases: &[(&str, Vec<u8>, u16, &str)] = &[
        ("plain GET", b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 426, "upgrade: websocket"),
        ("another upgrade", with("Upgrade: websocket", "Upgrade: h2c"), 426, "upgrade: websocket"),
        ("version 8", with("Version: 13", "Version: 8"), 426, "sec-websocket-version: 13"),
        ("no version", with("Sec-WebSocket-Version: 13\r\n", ""), 400, ""),
        ("two versions", with("Version: 13\r\n", "Version: 13\r\nSec-WebSocket-Version: 13\r\n"), 400, ""),
        ("no key", with(KEY, ""), 400, ""),
        ("two keys", with(KEY, &twice), 400, ""),
        ("key of 3 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "YWJj"), 400, ""),
        ("key of 15 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400, ""),
        ("key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWQ="), 400, ""),
        ("key that is no base64", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q=="), 400, ""),
        ("no host", with("Host: localhost\r\n", ""), 400, ""),
        ("two hosts", with("Host: localhost\r\n", "Host: a\r\nHost: b\r\n"), 400, ""),
        ("no subprotocol", with("Sec-WebSocket-Protocol: tickwire.v1\r\n", ""), 400, "tickwire.v1"),
        ("other subprotocols", with("tickwire.v1", "mqtt, tickwire.v2,tickwire.v10"), 400, "tickwire.v1"),
        ("8 KiB of spaces", with("tickwire.v1", &format!("b{}x", " ".repeat(7000))), 400, ""),
        ("no connection header", with("Connection: Upgrade\r\n", ""), 400, ""),
        ("POST", with("GET ", "POST "), 405, "allow: get"),
        ("HEAD", with("GET ", "HEAD "), 405, "allow: get"),
        ("POST with a body", with("GET /ws HTTP/1.1\r\n", "POST /ws HTTP/1.1\r\nContent-Length: 5\r\n"), 405, ""),
        ("unknown path", with("/ws ", "/wsx "), 404, ""),
        ("another path", with("/ws ", "/../etc/passwd "), 404, ""),
        ("HTTP 1.0", with("HTTP/1.1", "HTTP/1.0"), 426, ""),
    ];
    survives(limits(|_| {}), async |server| {
        for (name, request, status, words) in cases {
            // hyper answers in the request's own version.
            if *name == "HTTP 1.0" {
                let mut peer = Peer::socket(server, Transport::WebSocket).await;
                peer.send_raw(request).await;
                assert!(peer.rest().await.starts_with(b"HTTP/1.0 426 "));
                continue;
            }
            check(server, name, request, &[*status], words).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_that_is_too_large_or_broken_is_refused() {
    let headers = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let long = format!("x: {}\r\n", "y".repeat(100 * 1024));
    let cases: &[(&str, Vec<u8>)] = &[
        ("130 headers", say::request("/ws", &headers(130)).into_bytes()),
        ("2000 headers", say::request("/ws", &headers(2000)).into_bytes()),
        ("100 KiB of header", say::request("/ws", &long).into_bytes()),
        ("100 KiB of path", say::request(&"/".repeat(100 * 1024), "").into_bytes()),
        ("a megabyte without an end", vec![b'x'; 1 << 20]),
        ("NUL in a header", say::request("/ws", "x: a\0b\r\n").into_bytes()),
        ("a folded header", say::request("/ws", "x: a\r\n b\r\n").into_bytes()),
        ("a header without a name", say::request("/ws", ": a\r\n").into_bytes()),
        ("no HTTP at all", b"hello\r\n\r\n".to_vec()),
        ("negative length", say::request("/ws", "Content-Length: -1\r\n").into_bytes()),
        ("two lengths", say::request("/ws", "Content-Length: 1\r\nContent-Length: 2\r\n").into_bytes()),
        ("no number", say::request("/ws", "Content-Length: 99999999999999999999\r\n").into_bytes()),
    ];
    survives(limits(|_| {}), async |server| {
        for (name, request) in cases {
            check(server, name, request, &[400, 414, 431], "").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_with_a_body_is_no_websocket_request() {
    survives(limits(|_| {}), async |server| {
        for more in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
            let request = [say::request("/ws", more).as_bytes(), b"5\r\nhello\r\n0\r\n\r\n"].concat();
            check(server, more, &request, &[400], "").await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_odd_but_right_is_accepted() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("several subprotocols", with("tickwire.v1", "tickwire.v2, tickwire.v1")),
        ("subprotocols in two lines", with("tickwire.v1", "mqtt\r\nSec-WebSocket-Protocol: tickwire.v1")),
        ("names in capitals", with("Upgrade: websocket", "UPGRADE: WebSocket")),
        ("several connection options", with("Connection: Upgrade", "Connection: keep-alive, Upgrade")),
        ("an extension is asked for", say::request("/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n").into()),
        ("a page of this machine", say::request("/ws", "Origin: http://localhost:3000\r\n").into()),
        ("a query", say::request("/ws?token=1", "").into()),
        ("80 headers", say::request("/ws", &(0..80).map(|n| format!("x-{n}: y\r\n")).collect::<String>()).into()),
    ];
    survives(limits(|_| {}), async |server| {
        for (name, request) in cases {
            let mut peer = Peer::socket(server, Transport::WebSocket).await;
            peer.send_raw(request).await;
            let head = peer.http_head().await.to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 101 "), "{name}: {head}");
            assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{name}: {head}");
            assert!(head.contains("sec-websocket-protocol: tickwire.v1\r\n"), "{name}: {head}");
            assert!(!head.contains("extensions"), "{name}: {head}");
            peer.greet().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_in_single_bytes_is_a_request() {
    survives(limits(|_| {}), async |server| {
        let mut peer = Peer::socket(server, Transport::WebSocket).await;
        for byte in say::request("/ws", "").into_bytes() {
            peer.send_raw(&[byte]).await;
            tokio::task::yield_now().await;
        }
        assert!(peer.http_head().await.starts_with("HTTP/1.1 101 "));
        peer.greet().await;
    })
    .await;
}

#[tokio::test]
async fn the_health_check_answers() {
    survives(limits(|_| {}), async |server| {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
        check(server, "health", &get("/healthz"), &[200], "ok").await;
        check(server, "root", &get("/"), &[200], "/ws").await;
        let post = b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        check(server, "POST", post, &[405], "allow: get, head").await;
        // One answer a connection: the second request is not looked at.
        let twice = [get("/healthz"), get("/healthz")].concat();
        check(server, "two requests", &twice, &[200], "connection: close").await;
    })
    .await;
}

#[tokio::test]
async fn a_request_that_comes_too_late_is_told_so() {
    let brief = limits(|limits| limits.hello_timeout = std::time::Duration::from_millis(50));
    let server = TestServer::start(brief).await;
    let whole = say::request("/ws", "");
    for begun in ["G", "GET /healthz HTTP/1.1\r\nHost: x\r\n", &whole[..whole.len() - 1]] {
        check(&server, begun, begun.as_bytes(), &[408], "connection: close").await;
    }
    // Who asks nothing is answered nothing.
    let mut silent = Peer::socket(&server, Transport::WebSocket).await;
    assert!(silent.rest().await.is_empty());
    assert_eq!(server.handle.rejections().get(Rejected::HeadTimeout), 4);
    server.finish().await;
}
