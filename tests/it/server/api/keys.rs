//! Who may ask at all.

use tickwire::name::Pattern;
use tickwire::server::Error;
use tickwire::server::api::BadKey;

use super::*;

#[tokio::test]
async fn without_keys_nothing_is_answered_and_it_says_how_to_have_one() {
    let server = build(Server::builder().limits(limits(|_| {}))).await;
    for path in ["/v1/rooms", "/v1/rooms/target"] {
        let answer = send(&server, "GET", path, &bearer(ALL), b"").await;
        assert_eq!(answer.refused(), (403, "NOT_ALLOWED"));
        assert!(answer.body["message"].as_str().unwrap().contains("[admin]"), "{}", answer.body);
    }
    server.finish().await;
}

#[tokio::test]
async fn a_key_is_asked_for_and_must_be_right() {
    let server = start().await;
    for headers in ["", "Authorization: Basic eDp5\r\n"] {
        let answer = send(&server, "GET", "/v1/rooms", headers, b"").await;
        assert_eq!(answer.refused(), (401, "TOKEN"));
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    }
    let wrong = send(&server, "GET", "/v1/rooms", &bearer("all-0123456789abcdeg"), b"").await;
    assert_eq!(wrong.refused(), (401, "TOKEN"));
    assert!(!wrong.body.to_string().contains("0123456789"), "no key is shown");
    assert_eq!(get(&server, "/v1/rooms").await.status, 200);
    let page = soon(server.handle.metrics(), "metrics").await;
    assert!(page.contains("\ntickwire_api_key_failures_total 1\n"), "those without a key are not counted");
    server.finish().await;
}

#[tokio::test]
async fn guessing_is_slow() {
    let server = start().await;
    let mut tries = 0;
    let answer = loop {
        let answer = send(&server, "GET", "/v1/rooms", &bearer("a-wrong-key-of-mine"), b"").await;
        if answer.status != 401 {
            break answer;
        }
        tries += 1;
        assert!(tries < 1000, "nobody stops it");
    };
    assert_eq!(answer.refused(), (429, "RATE"));
    assert!(tries >= 10 && answer.head.contains("\r\nretry-after: "), "{tries} {}", answer.head);
    server.finish().await;
}

#[tokio::test]
async fn keys_that_cannot_be_told_apart_start_no_server() {
    let twice = vec![key("one", ALL, &[Scope::Read]), key("two", ALL, &[Scope::Read])];
    let error = Server::builder().api_keys(twice).detached().unwrap_err();
    assert!(matches!(error, Error::ApiKeys(BadKey::Twice)), "{error}");
}

#[tokio::test]
async fn a_page_of_another_name_cannot_use_this_address() {
    let server = start().await;
    let mut io = TcpStream::connect(server.admin.unwrap()).await.unwrap();
    let request = format!("GET /v1/rooms HTTP/1.1\r\nHost: evil.example\r\n{}\r\n", bearer(ALL));
    io.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(io.read_to_string(&mut answer), "an answer").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    server.finish().await;
}

/// A key for rooms that fit `game/*`, for everything.
fn limited() -> ApiKey {
    let key = key("game", "game-0123456789abcdef", &[Scope::Read, Scope::Publish, Scope::Manage]);
    key.in_rooms(vec![Pattern::new("game/*").unwrap()]).unwrap()
}

#[tokio::test]
async fn a_key_for_some_rooms_sees_no_others() {
    let server = build(Server::builder().limits(limits(|_| {})).api_keys(vec![limited()])).await;
    let (one, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    let (two, _) = Peer::joined(&server, Transport::Tcp, "lobby").await;
    let game = bearer("game-0123456789abcdef");
    let list = send(&server, "GET", "/v1/rooms", &game, b"").await.ok();
    let names: Vec<_> = list["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["game/1"]);
    assert_eq!(send(&server, "GET", "/v1/rooms/game/1", &game, b"").await.status, 200);
    let lobby = send(&server, "GET", "/v1/rooms/lobby", &game, b"").await;
    assert_eq!(lobby.refused(), (403, "NOT_ALLOWED"));
    drop((one, two));
    server.finish().await;
}
