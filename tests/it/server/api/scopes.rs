//! What a key is for, by route; and what the rights of its rooms leave of that, by verb.

use tickwire::grants::Verbs;
use tickwire::rights::{Asking, Authorise};
use tickwire::wire::Key;

use super::*;
use crate::server::say;

/// Every operation: what it is for, and a request for it that the server can do.
const OPERATIONS: [(Scope, &str, &str, &str); 16] = [
    (Scope::Read, "GET", "/v1/openapi.json", ""),
    (Scope::Read, "GET", "/v1/rooms", ""),
    (Scope::Read, "GET", "/v1/rooms/one", ""),
    (Scope::Read, "GET", "/v1/rooms/one/members", ""),
    (Scope::Read, "GET", "/v1/rooms/one/values", ""),
    (Scope::Read, "GET", "/v1/rooms/one/values/1", ""),
    (Scope::Read, "GET", "/v1/rooms/one/history", ""),
    (Scope::Publish, "POST", "/v1/rooms/one/events", "7"),
    (Scope::Publish, "PUT", "/v1/rooms/one/values/1", "7"),
    (Scope::Publish, "DELETE", "/v1/rooms/one/values/2", ""),
    (Scope::Publish, "POST", "/v1/publish", r#"{"messages":[{"room":"one","text":"x"}]}"#),
    (Scope::Publish, "POST", "/v1/direct", r#"{"subject":"nobody","text":"x"}"#),
    (Scope::Manage, "POST", "/v1/rooms/one/kick", r#"{"subject":"nobody"}"#),
    (Scope::Manage, "POST", "/v1/revoke", r#"{"subject":"nobody"}"#),
    (Scope::Manage, "DELETE", "/v1/rooms/other", ""),
    (Scope::Manage, "POST", "/v1/drain", ""),
];

#[tokio::test]
async fn a_key_does_what_it_is_for_and_nothing_else() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    peer.send(&say::value(1, Key::room(1), b"7")).await;
    peer.said_after(&[], tickwire::wire::Kind::Value).await;
    let (other, _) = Peer::joined(&server, Transport::Tcp, "other").await;
    for (scope, method, path, body) in OPERATIONS {
        for (name, key) in [("read", READ), ("publish", PUBLISH), ("manage", MANAGE)] {
            let answer = put(&server, key, (method, path), "application/json", body.as_bytes()).await;
            if name == scope.name() {
                assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
            } else {
                assert_eq!(answer.refused(), (403, "NOT_ALLOWED"), "{name}: {method} {path}");
                assert!(answer.body["message"].as_str().unwrap().contains(scope.name()), "{}", answer.body);
            }
        }
    }
    drop((peer, other));
    server.stopped().await;
}

#[tokio::test]
async fn the_document_is_served() {
    let server = start().await;
    let document = get(&server, "/v1/openapi.json").await.ok();
    let file: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
    assert_eq!(document, file);
    server.finish().await;
}

/// What every verb gives in a room, over HTTP as for members: `room` is named after the verbs that it leaves.
fn by_name(asking: &Asking<'_>) -> Result<tickwire::rights::Rights, tickwire::wire::Reason> {
    if asking.key.is_none() {
        return Ok(tickwire::rights::Rights::ALL);
    }
    let verbs = asking.room.as_str().split('.').filter_map(Verbs::named);
    verbs.fold(Verbs::NONE, Verbs::with).rights()
}

#[tokio::test]
async fn the_rights_of_a_room_hold_for_keys_as_for_members() {
    let server =
        build(Server::builder().limits(limits(|_| {})).api_keys(keys()).authorise(Authorise::new(by_name))).await;
    // Each operation, and the verbs that it needs beside join.
    let operations: [(&str, &str, &str, &[&str]); 10] = [
        ("GET", "", "", &[]),
        ("GET", "/members", "", &["presence"]),
        ("GET", "/values", "", &["values"]),
        ("GET", "/values/1", "", &["values"]),
        ("GET", "/history", "", &["history"]),
        ("POST", "/events", "7", &["publish"]),
        ("POST", "/events?urgent=true", "7", &["publish", "urgent"]),
        ("PUT", "/values/1", "7", &["publish", "values"]),
        ("DELETE", "/values/2", "", &["publish", "values"]),
        ("POST", "/kick", r#"{"subject":"nobody"}"#, &[]),
    ];
    let mut sets: Vec<String> =
        vec!["join".into(), "receive".into(), "join.publish.values".into(), "join.publish.urgent".into()];
    sets.extend(Verbs::NAMES.iter().map(|(name, _)| format!("join.{name}")));
    let everything: Vec<&str> = Verbs::NAMES.iter().map(|(name, _)| *name).collect();
    sets.push(everything.join("."));
    for room in &sets {
        let (mut peer, _) = Peer::joined(&server, Transport::Tcp, room).await;
        peer.send(&say::value(1, Key::room(1), b"7")).await;
        peer.said_after(&[], tickwire::wire::Kind::Value).await;
        let has = |verb: &&str| room.split('.').any(|has| has == *verb);
        for (method, path, body, needs) in operations {
            let path = format!("/v1/rooms/{room}{path}");
            let answer = put(&server, ALL, (method, &path), "application/json", body.as_bytes()).await;
            if has(&"join") && needs.iter().all(has) {
                assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
            } else {
                assert_eq!(answer.refused(), (403, "NOT_ALLOWED"), "{method} {path}");
            }
        }
        let many = json!({ "messages": [{ "room": room, "text": "x" }, { "room": room, "value": 1, "text": "x" }] });
        let results = post(&server, ALL, "/v1/publish", &many).await.ok();
        let taken = |index: usize| results["results"][index]["tick"].is_u64();
        assert_eq!(taken(0), has(&"join") && has(&"publish"), "{room}");
        assert_eq!(taken(1), has(&"join") && has(&"publish") && has(&"values"), "{room}");
        let direct = json!({ "subject": "nobody", "room": room, "text": "x" });
        let direct = post(&server, ALL, "/v1/direct", &direct).await.status;
        assert_eq!(direct == 200, has(&"join") && has(&"direct"), "{room}");
        drop(peer);
    }
    let list = get(&server, "/v1/rooms").await.ok();
    let listed: Vec<&str> =
        list["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap()).collect();
    assert!(!listed.contains(&"receive") && listed.contains(&"join"), "{listed:?}");
    server.finish().await;
}

#[tokio::test]
async fn events_that_may_not_be_seen_are_not_in_the_history() {
    let server =
        build(Server::builder().limits(limits(|_| {})).api_keys(keys()).authorise(Authorise::new(by_name))).await;
    for (room, count) in [("join.history", 0), ("join.history.receive", 1)] {
        let (mut peer, _) = Peer::joined(&server, Transport::Tcp, room).await;
        peer.send(&say::event(1, b"secret")).await;
        peer.event(b"secret").await;
        let history = get(&server, &format!("/v1/rooms/{room}/history")).await.ok();
        assert_eq!(history["events"].as_array().unwrap().len(), count, "{room}");
        drop(peer);
    }
    server.finish().await;
}
