//! Where a token may come in, and what does not come in.

use std::net::SocketAddr;

use serde_json::json;
use tickwire::grants::{Grants, Verbs};
use tickwire::name::Pattern;
use tickwire::server::Error;
use tickwire::wire::Reason;

use super::support::{Transport, ending};
use super::*;

/// A WebSocket request with these lines, and a HELLO without a token: the subject, or why not.
async fn ask(server: &TestServer, path: &str, lines: &str) -> Result<String, Reason> {
    let mut peer = Peer::socket(server, Transport::WebSocket).await;
    peer.send_raw(say::request(path, lines).as_bytes()).await;
    let head = peer.http_head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let chosen: Vec<&str> =
        head.lines().filter(|line| line.to_lowercase().starts_with("sec-websocket-protocol")).collect();
    assert!(chosen.len() == 1 && chosen[0].ends_with(" tickwire.v1") && !head.contains("token"), "{head}");
    peer.send(&hello(None, None)).await;
    let frame = peer.control().await;
    match hear::closing(&frame) {
        Some((request, reason, _)) => {
            assert_eq!(request, 1, "the answer to HELLO");
            Err(reason)
        }
        None => {
            let Command::Welcome(welcome) = command(&frame) else { panic!("{:?}", command(&frame)) };
            Ok(String::from_utf8_lossy(welcome.extensions.get(kind::SUBJECT).unwrap_or_default()).into_owned())
        }
    }
}

#[tokio::test]
async fn a_token_may_come_with_the_request() {
    let server = start().await;
    let (ann, bob) = (token("ann", json!({})), token("bob", json!({})));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let protocol = |token: &str| format!("Sec-WebSocket-Protocol: tickwire.token.{token}\r\n");
    assert_eq!(ask(&server, "/ws", &bearer(&ann)).await, Ok("ann".into()));
    assert_eq!(ask(&server, "/ws", &protocol(&ann)).await, Ok("ann".into()));
    assert_eq!(ask(&server, "/ws", &format!("{}{}", protocol(&ann), bearer(&bob))).await, Ok("bob".into()));
    assert_eq!(ask(&server, "/ws", &format!("{}{}", protocol(&ann), bearer("x"))).await, Err(Reason::TOKEN));
    assert_eq!(ask(&server, "/ws", "").await, Err(Reason::TOKEN));
    let query = format!("/ws?token={ann}");
    assert_eq!(ask(&server, &query, "").await, Err(Reason::TOKEN), "not unless it is wanted");

    let server = TestServer::build(builder(|_| {}).query_tokens(true)).await;
    assert_eq!(ask(&server, &query, "").await, Ok("ann".into()));
    assert_eq!(ask(&server, &query, &bearer(&bob)).await, Ok("bob".into()));
}

#[tokio::test]
async fn a_hellos_own_token_counts_first_on_every_transport() {
    let server = start().await;
    for transport in BOTH {
        let (_, welcome) = come(&server, transport, &token("ann", json!({}))).await;
        assert_eq!(welcome.subject, "ann");
        for wrong in [None, Some(""), Some("x"), Some("a.b.c")] {
            let mut peer = Peer::preamble(&server, transport).await;
            // What stands behind a HELLO that is not accepted is not acted upon.
            peer.send(&[hello(wrong, None), join("room", Mode::BOTH, None)].concat()).await;
            let expected = hear::Ended { request: 1, ..ending(transport, Reason::TOKEN) };
            assert_eq!(peer.ended().await, expected, "{wrong:?}");
        }
        let mut peer = Peer::preamble(&server, transport).await;
        let old = token_with(json!({ "sub": "ann", "exp": now() - 1 }));
        peer.send(&hello(Some(&old), None)).await;
        assert_eq!(peer.ended().await, hear::Ended { request: 1, ..ending(transport, Reason::TOKEN_EXPIRED) });
    }
}

#[tokio::test]
async fn a_room_in_the_path_is_joined_by_the_same_rules() {
    let server = start().await;
    for (verbs, joins) in [(&["join", "receive"][..], true), (&["receive"], false)] {
        let ann = token("ann", json!({ "lobby": verbs }));
        let mut peer = Peer::socket(&server, Transport::WebSocket).await;
        let lines = format!("Authorization: Bearer {ann}\r\n");
        peer.send_raw(say::request("/ws/lobby", &lines).as_bytes()).await;
        peer.http_head().await;
        peer.send(&hello(None, None)).await;
        welcomed(&mut peer).await;
        let answer = peer.control().await;
        match command(&answer) {
            Command::Joined(joined) => assert!(joins && joined.mode == Mode::RECEIVE, "{joined:?}"),
            Command::Refused(refused) => assert!(!joins && refused.reason == Reason::NOT_ALLOWED, "{refused:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn anonymous_clients_may_what_they_are_granted() {
    let grants = vec![(Pattern::new("lobby").unwrap(), Verbs::JOIN.with(Verbs::RECEIVE))];
    let builder = builder(|_| {}).identify(verifier().with_anonymous(Grants::new(grants).unwrap()));
    let server = TestServer::build(builder).await;
    for transport in BOTH {
        let mut peer = Peer::preamble(&server, transport).await;
        peer.send(&hello(None, None)).await;
        assert_eq!(welcomed(&mut peer).await.subject, "");
        peer.send(&join("secret", Mode::BOTH, None)).await;
        assert_eq!(peer.refused().await, (2, 0, Reason::NOT_ALLOWED));
        peer.send(&join("lobby", Mode::BOTH, None)).await;
        peer.joining().await;
    }
}

#[tokio::test]
async fn a_public_address_wants_keys_or_an_operator_who_insists() {
    let public = || Some(SocketAddr::from(([0, 0, 0, 0], 0)));
    let nobody = |builder: Builder| builder.limits(limits(|_| {})).websocket(None).tcp(None);
    for builder in [nobody(Server::builder()).websocket(public()), nobody(Server::builder()).tcp(public())] {
        let error = builder.clone().bind().await.map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Anonymous(addr) if Some(addr) == public()), "{error}");
        assert!(error.to_string().contains("give keys"), "{error}");
        assert!(builder.clone().identify(verifier()).bind().await.is_ok());
        assert!(builder.insecure_anonymous(true).bind().await.is_ok());
    }
    let own = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    assert!(nobody(Server::builder()).tcp(own).bind().await.is_ok());
}
