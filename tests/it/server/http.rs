//! HTTP: what there is beside `/ws`, and who is late. Requests that are wrong are rows of `hostile::heads`.

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
