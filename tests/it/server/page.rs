//! The first page over HTTP: its files where it is wanted, and nothing where it is not.

use tickwire::server::Server;
use tickwire::server::page::{POLICY, asset};

use super::observe::{ask, get};
use super::support::TestServer;
use super::support::Transport::WebSocket;

async fn start() -> TestServer {
    TestServer::build(Server::builder().page(true)).await
}

#[tokio::test]
async fn the_page_comes_whole_and_may_load_nothing_else() {
    let server = start().await;
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/style.css", "text/css; charset=utf-8"),
        ("/assets/main.js", "text/javascript; charset=utf-8"),
        ("/assets/thread.js", "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let answer = get(server.addr(WebSocket), path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, asset(path).unwrap().text), "{path}");
        let has = |line: &str| answer.head.contains(&format!("\r\n{line}\r\n"));
        assert!(has(&format!("content-type: {media_type}")), "{}", answer.head);
        let policy = format!("{POLICY} ws://localhost wss://localhost");
        assert!(has(&format!("content-security-policy: {}", policy.to_ascii_lowercase())), "{}", answer.head);
        assert!(has("cache-control: no-cache") && has("x-content-type-options: nosniff"), "{}", answer.head);
        assert!(has("connection: close"), "{}", answer.head);
    }
    server.finish().await;
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let server = start().await;
    let tag = asset("/assets/main.js").unwrap().tag();
    let answer = ask(server.addr(WebSocket), "GET", "/assets/main.js", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!((answer.status, answer.body.as_str()), (304, ""));
    let head = ask(server.addr(WebSocket), "HEAD", "/", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    server.finish().await;
}

#[tokio::test]
async fn the_rest_of_the_port_is_as_before() {
    let server = start().await;
    let post = ask(server.addr(WebSocket), "POST", "/", "Content-Length: 0\r\n").await;
    assert!(post.status == 405 && post.head.contains("allow: get, head\r\n"), "{}", post.head);
    for (path, status) in [
        ("/assets", 404),
        ("/assets/", 404),
        ("/assets/index.html", 404),
        ("/index.html", 404),
        ("/assets/..%2fmain.js", 404),
        ("/ws", 426),
        ("/healthz", 200),
        ("/?room=other", 200),
    ] {
        assert_eq!(get(server.addr(WebSocket), path).await.status, status, "{path}");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_library_serves_no_page_by_itself() {
    let server = TestServer::build(Server::builder()).await;
    let root = get(server.addr(WebSocket), "/").await;
    assert!(root.status == 200 && root.body.starts_with("Tickwire is running"), "{}", root.body);
    assert_eq!(get(server.addr(WebSocket), "/assets/main.js").await.status, 404);
    server.finish().await;
}
