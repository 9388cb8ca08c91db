//! Where a token may come in, and what does not come in.

use std::net::SocketAddr;

use serde_json::json;
use tickwire::auth::Source;
use tickwire::grants::{Grants, Verbs};
use tickwire::name::Pattern;
use tickwire::rejections::Rejected;
use tickwire::server::Error;
use tickwire::server::access::AccessConfig;
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

/// A server that asks this verifier, counts failed logins of this machine, and takes two.
async fn start_counting(verifier: Verifier, change: impl FnOnce(&mut Limits)) -> TestServer {
    let mut access = AccessConfig::default();
    access.exempt = Vec::new();
    let change = |limits: &mut Limits| {
        (limits.address_failures_burst, limits.address_failures_per_sec) = (2, 0);
        change(limits);
    };
    TestServer::build(builder(change).identify(verifier).access(access)).await
}

#[tokio::test]
async fn who_cannot_be_verified_for_now_is_told_to_come_later_and_has_not_failed() {
    // Nobody answers there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let mut issuer = Issuer::default();
    issuer.source = Some(Source::url(&url).unwrap());
    let server = start_counting(Verifier::new(vec![issuer], Duration::ZERO).unwrap(), |_| {}).await;
    for transport in [BOTH, BOTH].concat() {
        let mut peer = Peer::preamble(&server, transport).await;
        peer.send(&hello(Some(&token("ann", everything())), None)).await;
        let ended = ending(transport, Reason::KEYS_MISSING);
        assert_eq!(peer.ended().await, hear::Ended { request: 1, reconnect: Some(5000), ..ended });
    }
    assert_eq!(server.handle.rejections().get(Rejected::AddressFailures), 0);
    // What is no token has failed, whatever the keys are.
    for transport in BOTH {
        let mut peer = Peer::preamble(&server, transport).await;
        peer.send(&hello(Some("x"), None)).await;
        assert_eq!(peer.ended().await.reason, Reason::TOKEN);
    }
    let mut peer = Peer::socket(&server, Transport::Tcp).await;
    assert_eq!(peer.ended().await.reason, Reason::RATE);
    assert_eq!(server.handle.rejections().get(Rejected::AddressFailures), 1);
}

#[tokio::test]
async fn a_subject_has_so_many_connections_wherever_they_come_from() {
    let server = start_counting(verifier(), |limits| limits.subject_connections = 1).await;
    let (ann, bob) = (token("ann", everything()), token("bob", everything()));
    for transport in BOTH {
        let (first, _) = come(&server, transport, &ann).await;
        for other in BOTH {
            let mut peer = Peer::preamble(&server, other).await;
            peer.send(&hello(Some(&ann), None)).await;
            let ended = ending(other, Reason::RATE);
            assert_eq!(peer.ended().await, hear::Ended { request: 1, reconnect: Some(5000), ..ended });
        }
        drop(come(&server, transport, &bob).await);
        // Also one whose session waits for its client: that has no connection.
        drop(first);
        let comes_back = async {
            loop {
                let mut peer = Peer::preamble(&server, transport).await;
                peer.send(&hello(Some(&ann), None)).await;
                if matches!(command(&peer.control().await), Command::Welcome(_)) {
                    return peer;
                }
            }
        };
        let mut again = support::soon(comes_back, "the place to be free").await;
        again.send(&say::close(9)).await;
        assert_eq!(again.ended().await.reason, Reason::FINISHED);
        // Bob's place is given back before the other transport has its turn, and so is this one.
        let emptied = async {
            while server.handle.connections() > 0 {
                tokio::task::yield_now().await;
            }
        };
        support::soon(emptied, "everybody to have left").await;
    }
    assert!(server.handle.rejections().get(Rejected::SubjectConnections) >= 4);
    assert_eq!(server.handle.rejections().get(Rejected::AddressFailures), 0, "they are no failed logins");
}

#[tokio::test]
async fn a_subject_connects_so_often() {
    let slow = |limits: &mut Limits| {
        (limits.subject_connects_burst, limits.subject_connects_per_sec) = (2, 1);
    };
    let server = start_counting(verifier(), slow).await;
    let ann = token("ann", everything());
    let first = come(&server, Transport::Tcp, &ann).await;
    let second = come(&server, Transport::WebSocket, &ann).await;
    let denied = async {
        loop {
            let mut peer = Peer::preamble(&server, Transport::Tcp).await;
            peer.send(&hello(Some(&ann), None)).await;
            let frame = peer.control().await;
            if let Some((_, reason, after)) = hear::closing(&frame) {
                return (reason, after);
            }
        }
    };
    let (reason, after) = support::soon(denied, "a third that is one too many").await;
    assert_eq!(reason, Reason::RATE);
    assert!(after.is_some_and(|after| (1..=1001).contains(&after)), "{after:?}");
    assert!(server.handle.rejections().get(Rejected::SubjectConnects) >= 1);
    come(&server, Transport::Tcp, &token("bob", everything())).await;
    drop((first, second));
}

#[tokio::test]
async fn who_returns_takes_the_seat_that_its_connection_still_has() {
    let server = start_counting(verifier(), |limits| limits.subject_connections = 1).await;
    let ann = token("ann", everything());
    for transport in BOTH {
        // As far as the server knows, the first connection is there.
        let (first, welcome) = come(&server, transport, &ann).await;
        let mut second = Peer::preamble(&server, transport).await;
        second.send(&hello(Some(&ann), Some(&welcome.resume))).await;
        assert!(welcomed(&mut second).await.resumed);
        // What is no session of its own takes nobody's seat.
        let mut third = Peer::preamble(&server, transport).await;
        third.send(&hello(Some(&ann), Some(&[7; 24]))).await;
        assert_eq!(third.ended().await.reason, Reason::RATE);
        drop((first, third));
        second.send(&say::close(9)).await;
        assert_eq!(second.ended().await.reason, Reason::FINISHED);
        let emptied = async {
            while server.handle.connections() > 0 {
                tokio::task::yield_now().await;
            }
        };
        support::soon(emptied, "all connections to be gone").await;
    }
    server.finish().await;
}
