//! Publishing as the room itself.

use tickwire::limits::Over;
use tickwire::name::RoomName;
use tickwire::server::api::{ApiError, Publication};
use tickwire::wire::{Key, Kind, Reason};

use super::*;
use crate::server::hear::command;
use crate::server::say;

const EVENTS: &str = "/v1/rooms/game/1/events";

#[tokio::test]
async fn an_event_comes_from_the_room() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    for (media, body) in [
        ("text/plain", "grüße".as_bytes()),
        ("text/plain; charset=UTF-8", b"hello"),
        ("application/octet-stream", b"\xff\x00"),
        ("application/json", b" {\"b\":1,  \"a\":2}"),
        ("application/octet-stream", b""),
    ] {
        let answer = put(&server, PUBLISH, ("POST", EVENTS), media, body).await.ok();
        let said = peer.event(body).await;
        assert_eq!(said.member, 0, "{media}");
        let id = answer["id"].as_str().unwrap().split_once('-').unwrap().1;
        assert_eq!(id.parse::<u64>().unwrap(), said.position, "its position was known before");
        assert!(answer["tick"].is_u64() && answer["epoch"].as_str().unwrap().len() == 16, "{answer}");
    }
    let urgent = put(&server, ALL, ("POST", &format!("{EVENTS}?urgent=true")), "text/plain", b"now").await.ok();
    assert!(urgent["id"].is_string() && peer.event(b"now").await.member == 0);
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn a_value_is_set_and_deleted() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    let path = "/v1/rooms/game/1/values/7";
    let set = put(&server, PUBLISH, ("PUT", path), "text/plain", b"seven").await.ok();
    assert!(set.get("id").is_none(), "values have no position");
    let said = peer.said_as(Kind::Value).await;
    assert_eq!((said.member, said.key, &said.payload[..]), (0, Some(Key::room(7).wire()), &b"seven"[..]));
    assert_eq!(get(&server, path).await.ok()["text"], "seven");
    let deleted = send(&server, "DELETE", path, &bearer(PUBLISH), b"").await;
    assert_eq!(deleted.status, 200);
    let said = peer.said_as(Kind::Value).await;
    assert!(said.payload.is_empty() && said.key == Some(Key::room(7).wire()));
    assert_eq!(get(&server, path).await.refused(), (404, "NO_SUCH_VALUE"));
    let empty = put(&server, PUBLISH, ("PUT", path), "text/plain", b"").await;
    assert_eq!(empty.refused(), (422, "ARGUMENT"));
    let nowhere = send(&server, "DELETE", "/v1/rooms/nowhere/values/7", &bearer(PUBLISH), b"").await;
    assert_eq!(nowhere.refused(), (404, "NO_SUCH_ROOM"));
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn a_room_is_made_and_keeps_what_was_sent_for_a_while() {
    let server = start().await;
    put(&server, PUBLISH, ("PUT", "/v1/rooms/new/values/0"), "text/plain", b"here").await.ok();
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "new").await;
    // It came with the snapshot, or with the flush behind the join.
    loop {
        let said = peer.said().await;
        if matches!(said.kind, Kind::Snapshot | Kind::Value) {
            assert_eq!((said.member, &said.payload[..]), (0, &b"here"[..]));
            break;
        }
    }
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn many_are_published_in_one_request_and_each_is_answered() {
    let server = build(Server::builder().limits(limits(|_| {})).shards(3).api_keys(keys())).await;
    let (mut one, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let (mut two, _) = Peer::joined(&server, Transport::Tcp, "two").await;
    let large = "x".repeat(16 * 1024);
    let answer = post(
        &server,
        PUBLISH,
        "/v1/publish",
        &json!({ "messages": [
        { "room": "one", "text": "a" },
        { "room": "two", "base64": "/wAB" },
        { "room": "one", "json": { "n": 1 }, "urgent": false },
        { "room": "one", "text": large },
        { "room": "two", "value": 3, "text": "three" },
        { "room": "nowhere", "value": 3, "delete": true },
        { "room": "one", "text": "b", "urgent": true },
    ] }),
    )
    .await
    .ok();
    let results = answer["results"].as_array().unwrap();
    let names: Vec<&str> = results.iter().map(|result| result["name"].as_str().unwrap_or("taken")).collect();
    assert_eq!(names, ["taken", "taken", "taken", "MESSAGE_TOO_LARGE", "taken", "NO_SUCH_ROOM", "taken"]);
    assert_eq!(results[3]["reason"], Reason::MESSAGE_TOO_LARGE.0);
    for payload in [&b"a"[..], b"{\"n\":1}", b"b"] {
        assert_eq!(one.said_as(Kind::Event).await.payload, payload, "in their order");
    }
    assert_eq!(two.said_as(Kind::Event).await.payload, &b"\xff\x00\x01"[..]);
    assert_eq!(two.said_as(Kind::Value).await.payload, &b"three"[..]);
    drop((one, two));
    server.finish().await;
}

#[tokio::test]
async fn a_thousand_fit_and_no_more() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let messages = |count: usize| json!({ "messages": (0..count).map(|n| json!({ "room": "one", "text": n.to_string() })).collect::<Vec<_>>() });
    let answer = post(&server, ALL, "/v1/publish", &messages(1000)).await.ok();
    assert!(answer["results"].as_array().unwrap().iter().all(|result| result["id"].is_string()));
    for n in 0..1000 {
        assert_eq!(peer.said_as(Kind::Event).await.payload, n.to_string().as_bytes());
    }
    for count in [0, 1001] {
        assert_eq!(post(&server, ALL, "/v1/publish", &messages(count)).await.refused(), (422, "ARGUMENT"));
    }
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn messages_that_make_no_sense_are_told_why() {
    let server = start().await;
    for message in [
        json!({ "text": "a" }),
        json!({ "room": "a b", "text": "a" }),
        json!({ "room": 7, "text": "a" }),
        json!({ "room": "a" }),
        json!({ "room": "a", "text": 7 }),
        json!({ "room": "a", "text": "a", "base64": "YQ==" }),
        json!({ "room": "a", "base64": "YQ" }),
        json!({ "room": "a", "value": 7, "text": "" }),
        json!({ "room": "a", "value": -7, "text": "a" }),
        json!({ "room": "a", "value": 4_503_599_627_370_496_u64, "text": "a" }),
        json!({ "room": "a", "value": 7.5, "text": "a" }),
        json!({ "room": "a", "delete": true }),
        json!({ "room": "a", "value": 7, "delete": true, "text": "a" }),
        json!({ "room": "a", "text": "a", "urgent": "yes" }),
        json!({ "room": "a", "text": "a", "colour": "red" }),
        json!("a"),
    ] {
        let answer = post(&server, ALL, "/v1/publish", &json!({ "messages": [message] })).await;
        assert_eq!(answer.refused(), (422, "ARGUMENT"), "{message}");
    }
    for body in [json!({}), json!({ "messages": {} }), json!([]), json!({ "messages": [], "more": 1 })] {
        assert_eq!(post(&server, ALL, "/v1/publish", &body).await.refused().0, 422, "{body}");
    }
    assert!(
        server
            .handle
            .rooms(&tickwire::server::api::RoomQuery::new(Default::default(), 9))
            .await
            .unwrap()
            .rooms
            .is_empty(),
        "nothing was done"
    );
    server.finish().await;
}

#[tokio::test]
async fn an_application_publishes_without_a_key() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let room = RoomName::new(b"one").unwrap();
    server.handle.publish(Publication::event(&room, "hello")).await.unwrap();
    assert_eq!(peer.event(b"hello").await.member, 0);
    let wrong = server.handle.publish(Publication::value(&room, 1 << 52, "x")).await;
    assert_eq!(wrong, Err(ApiError::Refused(Reason::ARGUMENT)));
    let many = (0..2500).map(|n: u32| Publication::event(&room, n.to_string())).collect();
    let outcomes = server.handle.publish_all(many).await;
    assert!(outcomes.len() == 2500 && outcomes.iter().all(Result::is_ok));
    peer.event(b"2499").await;
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn a_full_tick_refuses_what_does_not_fit_any_more() {
    let limits = limits(|limits| limits.max_early_flushes = 1);
    let server = build(Server::builder().limits(limits.clone()).api_keys(keys())).await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let payload = vec![7; limits.max_message];
    let room = RoomName::new(b"one").unwrap();
    let fits = limits.max_batch / limits.max_message;
    let many = (0..3 * fits).map(|_| Publication::event(&room, payload.clone())).collect();
    let outcomes = server.handle.publish_all(many).await;
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((fits - 1..3 * fits).contains(&taken), "{taken} of {}", 3 * fits);
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(ApiError::Refused(Reason::BATCH_FULL))).count();
    assert_eq!(taken + refused, 3 * fits);
    for _ in 0..taken {
        peer.event(&payload).await;
    }
    peer.send(&say::event(1, b"the end")).await;
    assert_eq!(peer.said_as(Kind::Event).await.payload, &b"the end"[..], "and what was refused is not sent");
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn a_direct_reaches_every_session_of_a_subject_once() {
    let server = named().await;
    let (mut first, _) = member(&server, "ann", "one").await;
    first.join(2, Mode::BOTH, "two").await;
    let (mut second, _) = member(&server, "ann", "two").await;
    let (mut other, _) = member(&server, "bob", "one").await;
    let direct = async |body: Value| post(&server, PUBLISH, "/v1/direct", &body).await;
    assert_eq!(direct(json!({ "subject": "ann", "text": "psst" })).await.ok()["sessions"], 2);
    for peer in [&mut first, &mut second] {
        let said = peer.said_as(Kind::Direct).await;
        assert_eq!((said.member, &said.payload[..]), (0, &b"psst"[..]));
    }
    let in_one = direct(json!({ "subject": "ann", "room": "one", "json": [1], "urgent": true })).await.ok();
    assert_eq!(in_one["sessions"], 1);
    assert_eq!(first.said_as(Kind::Direct).await.payload, &b"[1]"[..]);
    assert_eq!(direct(json!({ "subject_base64": "Ym9i", "base64": "/w==" })).await.ok()["sessions"], 1);
    assert_eq!(other.said_as(Kind::Direct).await.payload, &b"\xff"[..], "the first one for him");
    assert_eq!(direct(json!({ "subject": "nobody", "text": "x" })).await.ok()["sessions"], 0);
    for body in [json!({ "text": "x" }), json!({ "subject": "", "text": "x" }), json!({ "subject": "ann" })] {
        assert_eq!(direct(body).await.refused(), (422, "ARGUMENT"));
    }
    let large = direct(json!({ "subject": "nobody", "text": "x".repeat(16 * 1024) })).await;
    assert_eq!(large.refused(), (413, "MESSAGE_TOO_LARGE"));
    drop((first, second, other));
    server.finish().await;
}

#[tokio::test]
async fn nothing_is_taken_when_the_server_goes_away() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    server.handle.drain();
    while !matches!(command(&peer.control().await), Command::GoingAway(_)) {}
    let late = put(&server, PUBLISH, ("POST", EVENTS), "text/plain", b"late").await;
    assert_eq!(late.refused(), (503, "GOING_AWAY"));
    let new = put(&server, PUBLISH, ("POST", "/v1/rooms/new/events"), "text/plain", b"late").await;
    assert_eq!(new.refused(), (503, "GOING_AWAY"));
    let direct = server.handle.direct(b"nobody", None, Bytes::from_static(b"late"), false).await;
    assert!(direct.is_err(), "{direct:?}");
    drop(peer);
    server.stopped().await;
}

#[tokio::test]
async fn an_operator_who_makes_too_many_rooms_is_refused_and_nobody_is_closed_for_it() {
    let few = limits(|limits| {
        (limits.rooms_burst, limits.rooms_per_sec, limits.over_rooms) = (1, 0, Over::Close);
    });
    let server = build(Server::builder().limits(few).shards(1).api_keys(keys())).await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    let new = put(&server, PUBLISH, ("POST", "/v1/rooms/new/events"), "text/plain", b"late").await;
    assert_eq!(new.refused(), (503, "TOO_MANY_ROOMS"));
    let (mut other, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    put(&server, PUBLISH, ("POST", EVENTS), "text/plain", b"both").await.ok();
    assert_eq!((peer.event(b"both").await.member, other.event(b"both").await.member), (0, 0));
    drop((peer, other));
    server.finish().await;
}
