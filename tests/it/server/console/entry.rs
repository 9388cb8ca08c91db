//! Who gets to the figures.

use bytes::Bytes;
use tickwire::client::{Client, ClientConfig, Error, Event};
use tickwire::name::Pattern;
use tickwire::rights::{Authorise, Rights};
use tickwire::server::access::AccessConfig;
use tickwire::server::console::FEED;
use tickwire::server::{Revoke, Server};
use tickwire::wire::Reason;
use tickwire::wire::control::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpStream;

use super::{KEY, SOME, WRITER, build, operator, start, try_connect, watcher};
use crate::server::observe::ask;
use crate::server::peer::Peer;
use crate::server::resume::{greeted, hello, welcomed};
use crate::server::say;
use crate::server::support::{BOTH, TestServer, Transport, limits, soon};

/// The status that a request for the WebSocket is answered with.
async fn upgrade(server: &TestServer, headers: &str) -> String {
    upgrade_at(server, "localhost", headers).await
}

/// The same, asking for this host.
async fn upgrade_at(server: &TestServer, host: &str, headers: &str) -> String {
    let mut io = TcpStream::connect(server.admin.unwrap()).await.unwrap();
    let request = format!(
        "GET /admin/ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    io.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(io.read_u8(), "a head").await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn a_key_is_needed_for_the_protocol() {
    let server = start().await;
    for key in [None, Some("0123456789abcdeg"), Some("x")] {
        assert!(matches!(try_connect(&server, key).await, Err(Error::Http { status: 401, .. })), "{key:?}");
    }
    assert!(
        matches!(try_connect(&server, Some(WRITER)).await, Err(Error::Http { status: 403, .. })),
        "it may not read"
    );
    drop(operator(&server).await);
    let offered = |more: &str| format!("Sec-WebSocket-Protocol: tickwire.v1{more}\r\n");
    for (headers, status) in [
        (offered(&format!(", tickwire.key.{KEY}")), "101"),
        // As a browser writes what may not stand there.
        (offered(&format!(", tickwire.key.%30{}", &KEY[1..])), "101"),
        (offered(", tickwire.key.wrong"), "401"),
        (offered(", tickwire.key.some-rooms.only_~%2B%2F%3D"), "101"),
        // A token is no key.
        (offered(&format!(", tickwire.token.{KEY}")), "401"),
        (offered(""), "401"),
        (format!("Authorization: Bearer {KEY}\r\n"), "400"),
        (format!("{}Origin: http://elsewhere.example\r\nAuthorization: Bearer {KEY}\r\n", offered("")), "403"),
        (format!("{}Origin: http://localhost\r\nAuthorization: Bearer {KEY}\r\n", offered("")), "101"),
    ] {
        let head = upgrade(&server, &headers).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{headers}{head}");
        assert!(!head.contains(KEY), "{head}");
        assert_eq!(head.contains("sec-websocket-protocol: tickwire.v1\r\n"), status == "101", "{head}");
    }
}

#[tokio::test]
async fn whether_a_key_is_one_is_told_over_http() {
    let server = start().await;
    let admin = server.admin.unwrap();
    for (headers, status) in [
        (format!("Authorization: Bearer {KEY}\r\n"), 200),
        (format!("Authorization: Bearer {SOME}\r\n"), 200),
        (format!("Authorization: Bearer {WRITER}\r\n"), 403),
        ("Authorization: Bearer 0123456789abcdeg\r\n".to_owned(), 401),
        (String::new(), 401),
        // Any page can offer that to any host.
        (format!("Sec-WebSocket-Protocol: tickwire.v1, tickwire.key.{KEY}\r\n"), 401),
    ] {
        let answer = ask(admin, "GET", "/admin/key", &headers).await;
        assert_eq!(answer.status, status, "{headers}");
        assert!(answer.head.contains("cache-control: no-store\r\n"), "{}", answer.head);
        assert_eq!(answer.head.contains("www-authenticate: bearer\r\n"), status == 401, "{}", answer.head);
    }
    assert_eq!(ask(admin, "POST", "/admin/key", "Content-Length: 0\r\n").await.status, 405);
    assert_eq!(ask(admin, "GET", "/admin/ws", "").await.status, 426);
}

#[tokio::test]
async fn without_keys_nobody_looks_and_guessing_is_slow() {
    let any = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = TestServer::build(Server::builder().admin(any)).await;
    assert!(matches!(try_connect(&server, Some(KEY)).await, Err(Error::Http { status: 403, .. })));
    let answer = ask(server.admin.unwrap(), "GET", "/admin/key", &format!("Authorization: Bearer {KEY}\r\n")).await;
    assert!(answer.status == 403 && answer.body.contains("[admin]"), "{}", answer.body);

    let server = start().await;
    let guessed = async {
        while !matches!(
            try_connect(&server, Some("guessed-guessed-guessed")).await,
            Err(Error::Http { status: 429, .. })
        ) {}
    };
    soon(guessed, "guesses to be too many").await;
    let right = ask(server.admin.unwrap(), "GET", "/admin/key", &format!("Authorization: Bearer {KEY}\r\n")).await;
    assert!(right.status == 429 && right.head.contains("retry-after: "), "{}", right.head);
}

#[tokio::test]
async fn pages_are_those_of_the_operators_listener() {
    let mut access = AccessConfig::default();
    access.origins = vec!["https://game.example".parse().unwrap()];
    access.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let server = build(Server::builder().access(access)).await;
    let key = format!("Sec-WebSocket-Protocol: tickwire.v1, tickwire.key.{KEY}\r\n");
    let passed = "X-Forwarded-For: 192.0.2.1\r\n";
    for (host, headers, status) in [
        ("localhost", "Origin: http://localhost:7072\r\n".to_owned(), "101"),
        // That is a page for clients.
        ("localhost", "Origin: https://game.example\r\n".to_owned(), "403"),
        ("ops.example", "Origin: https://ops.example\r\n".to_owned(), "403"),
        // Behind a proxy that speaks TLS, and passes on what is asked for.
        ("ops.example", format!("Origin: https://ops.example\r\n{passed}"), "101"),
        ("ops.example", format!("Origin: https://game.example\r\n{passed}"), "403"),
        ("ops.example", format!("Origin: http://localhost\r\n{passed}"), "403"),
        ("ops.example", passed.to_owned(), "101"),
    ] {
        let head = upgrade_at(&server, host, &format!("{key}{headers}")).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{host} {headers}{head}");
    }
}

#[tokio::test]
async fn wrong_keys_are_counted_where_they_come_from() {
    let mut access = AccessConfig::default();
    access.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let server = build(Server::builder().access(access)).await;
    let admin = server.admin.unwrap();
    let said = |from: &str, key: &str| format!("X-Forwarded-For: {from}\r\nAuthorization: Bearer {key}\r\n");
    let guessed = async {
        while ask(admin, "GET", "/admin/key", &said("192.0.2.1", "guessed-guessed-guessed")).await.status != 429 {}
    };
    soon(guessed, "guesses to be too many").await;
    assert_eq!(ask(admin, "GET", "/admin/key", &said("192.0.2.2", KEY)).await.status, 200);
    let offered = format!("Sec-WebSocket-Protocol: tickwire.v1\r\n{}", said("192.0.2.2", KEY));
    assert!(upgrade(&server, &offered).await.starts_with("http/1.1 101 "));
    assert_eq!(ask(admin, "GET", "/v1/rooms", &said("192.0.2.2", KEY)).await.status, 200);
}

#[tokio::test]
async fn a_strangers_page_spends_no_tries() {
    let server = start().await;
    let offered = "Sec-WebSocket-Protocol: tickwire.v1, tickwire.key.guessed-guessed-guessed\r\n";
    let page = format!("{offered}Origin: https://elsewhere.example\r\n");
    for _ in 0..20 {
        assert_eq!(ask(server.admin.unwrap(), "GET", "/admin/key", &page).await.status, 401);
        assert!(upgrade(&server, &page).await.starts_with("http/1.1 403 "));
    }
    drop(operator(&server).await);
}

#[tokio::test]
async fn a_key_for_some_rooms_looks_into_those() {
    let server = start().await;
    let mut client = try_connect(&server, Some(SOME)).await.unwrap();
    for (room, may) in [("game/1", true), ("lobby", false), (FEED, false)] {
        let joined = soon(client.join(room, Mode::RECEIVE), "an answer").await;
        let refused = matches!(&joined, Err(Error::Refused(refusal)) if refusal.reason == Reason::NOT_ALLOWED);
        assert_eq!((joined.is_ok(), refused), (may, !may), "{room}");
    }
    // Whoever may everything over HTTP writes nothing into the server's own rooms.
    let headers = format!("Authorization: Bearer {KEY}\r\n");
    let answer = ask(server.admin.unwrap(), "GET", "/v1/rooms/%40tickwire%2Fconsole", &headers).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
}

#[tokio::test]
async fn clients_do_not_get_into_the_servers_own_rooms() {
    // The application lets everybody in everywhere, and is not asked here.
    let server = build(Server::builder().authorise(Authorise::new(|_| Ok(Rights::ALL)))).await;
    let (_watcher, names) = (watcher(&server).await, [FEED, "@tickwire/", "@tickwire/other"]);
    for transport in BOTH {
        let mut peer = Peer::hello(&server, transport).await;
        for (request, name) in (10..).zip(names) {
            peer.send(&say::join(request, request, Mode::BOTH, name)).await;
            assert_eq!(peer.refused().await, (request, 0, Reason::NOT_ALLOWED), "{name}");
        }
        // A name that only begins alike is anybody's.
        peer.join(20, Mode::BOTH, "@tickwire").await;
    }
    let url = format!("ws://{}/ws/{FEED}", server.addr(Transport::WebSocket));
    let mut client = soon(Client::connect(&ClientConfig::new(url.parse().unwrap())), "a connection").await.unwrap();
    let refused = soon(client.next(), "an answer").await.unwrap();
    assert!(matches!(&refused, Event::Refused(refusal) if refusal.reason == Reason::NOT_ALLOWED), "{refused:?}");
    for room in ["@tickwire/console", "%40tickwire%2Fconsole"] {
        let answer = ask(server.admin.unwrap(), "GET", &format!("/v1/rooms/{room}/events"), "").await;
        assert_eq!(answer.status, 403, "{room}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_operators_session_goes_on_for_nobody_else() {
    let server = start().await;
    let (near, far) = duplex(64 * 1024);
    let handle = server.handle.clone();
    tokio::spawn(async move { handle.attach_operator(far, Bytes::new(), "ops", &[]).await });
    let mut peer = Peer::new(near, Transport::WebSocket);
    peer.send(&hello(tickwire::wire::Capabilities::RESUME.0, None)).await;
    let welcome = welcomed(&mut peer).await;
    assert!(!welcome.token.is_empty());
    peer.join(1, Mode::RECEIVE, FEED).await;
    drop(peer);
    for transport in BOTH {
        let join = say::join(2, 1, Mode::RECEIVE, FEED);
        let (mut stranger, answer) = greeted(&server, transport, Some((&welcome.token, 0)), &join).await;
        assert!(!answer.resumed);
        assert_eq!(stranger.refused().await, (2, 0, Reason::NOT_ALLOWED));
    }
    // Over another connection of the same operator it does.
    let (near, far) = duplex(64 * 1024);
    let handle = server.handle.clone();
    tokio::spawn(async move { handle.attach_operator(far, Bytes::new(), "ops", &[]).await });
    let mut peer = Peer::new(near, Transport::WebSocket);
    peer.send(&hello(tickwire::wire::Capabilities::RESUME.0, Some((&welcome.token, 0)))).await;
    assert!(welcomed(&mut peer).await.resumed);
}

#[tokio::test]
async fn an_operator_of_some_rooms_sees_those() {
    let server = start().await;
    let (near, far) = duplex(64 * 1024);
    let handle = server.handle.clone();
    tokio::spawn(
        async move { handle.attach_operator(far, Bytes::new(), "some", &[Pattern::new("game/*").unwrap()]).await },
    );
    let mut peer = Peer::new(near, Transport::WebSocket);
    peer.greet().await;
    peer.send(&say::join(2, 2, Mode::RECEIVE, FEED)).await;
    assert_eq!(peer.refused().await, (2, 0, Reason::NOT_ALLOWED));
    peer.send(&say::join(3, 3, Mode::RECEIVE, "lobby")).await;
    assert_eq!(peer.refused().await, (3, 0, Reason::NOT_ALLOWED));
    peer.join(4, Mode::RECEIVE, "game/1").await;
}

#[tokio::test]
async fn a_full_server_and_a_revoked_operator_are_told() {
    let server = build(Server::builder().limits(limits(|limits| limits.max_connections = 1))).await;
    let mut first = watcher(&server).await;
    assert!(matches!(try_connect(&server, Some(KEY)).await, Err(Error::Http { status: 503, .. })));
    let hold = std::time::Duration::from_secs(60);
    assert_eq!(server.handle.revoke(Revoke::Subject(b"operator:ops"), hold).unwrap(), 1);
    let ended = async {
        loop {
            if let Event::Closed(closing) = first.next().await.unwrap() {
                return closing.reason;
            }
        }
    };
    assert_eq!(soon(ended, "the end").await, Some(Reason::REMOVED));
    drop(first);
    let refused = async {
        loop {
            match try_connect(&server, Some(KEY)).await {
                // The place is given back in a moment.
                Err(Error::Http { status: 503, .. }) => tokio::task::yield_now().await,
                other => return other.map(|_| ()),
            }
        }
    };
    assert!(matches!(soon(refused, "an answer").await, Err(Error::Http { status: 403, .. })));
}
