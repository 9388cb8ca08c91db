//! Members, values and history.

use tickwire::class::{HistoryBounds, RoomClasses};
use tickwire::wire::Key;

use super::*;
use crate::server::say;

#[tokio::test]
async fn members_are_listed_in_pages() {
    let server = named().await;
    let mut peers = Vec::new();
    for name in ["ann", "bob", "cy\u{fc}"] {
        peers.push(member(&server, name, "game/1").await.0);
    }
    peers[1].send(&say::set_presence(9, 1, b"\xffbusy")).await;
    let _done = peers[1].control().await;
    let list = get(&server, "/v1/rooms/game/1/members").await.ok();
    let subjects: Vec<_> =
        list["members"].as_array().unwrap().iter().map(|member| member["subject"].as_str().unwrap()).collect();
    assert_eq!((subjects, &list["next"]), (vec!["ann", "bob", "cy\u{fc}"], &Value::Null));
    let ann = &list["members"][0];
    assert_eq!(
        (&ann["member"], &ann["away"], &ann["publishes"], &ann["text"]),
        (&1.into(), &false.into(), &true.into(), &"".into())
    );
    assert_eq!(list["members"][1]["base64"], "/2J1c3k=");
    let page = get(&server, "/v1/rooms/game/1/members?limit=2").await.ok();
    assert_eq!((page["members"].as_array().unwrap().len(), &page["next"]), (2, &2.into()));
    let rest = get(&server, "/v1/rooms/game/1/members?limit=2&after=2").await.ok();
    assert_eq!((&rest["members"][0]["member"], &rest["next"]), (&3.into(), &Value::Null));
    assert_eq!(get(&server, "/v1/rooms/nowhere/members").await.refused(), (404, "NO_SUCH_ROOM"));
    for wrong in ["after=x", "after=9007199254740992", "limit=0", "limit=1001", "more=1"] {
        let path = format!("/v1/rooms/game/1/members?{wrong}");
        assert_eq!(get(&server, &path).await.refused(), (400, "ARGUMENT"), "{wrong}");
    }
    drop(peers);
    server.finish().await;
}

#[tokio::test]
async fn values_are_listed_in_pages() {
    let server = start().await;
    let (mut peer, me) = Peer::joined(&server, Transport::Tcp, "one").await;
    peer.send(&say::value(1, Key::member(3), b"mine")).await;
    peer.send(&say::value(1, Key::room(9), b"ours")).await;
    peer.send(&say::event(1, b"sent")).await;
    peer.event(b"sent").await;
    put(&server, PUBLISH, ("PUT", "/v1/rooms/one/values/5"), "application/octet-stream", b"\xff").await.ok();
    let list = get(&server, "/v1/rooms/one/values").await.ok();
    let expected = json!([
        { "key": 5, "room": true, "owner": 0, "member": 0, "base64": "/w==" },
        { "key": 9, "room": true, "owner": 0, "member": me.member, "text": "ours" },
        { "key": 3, "room": false, "owner": me.member, "member": me.member, "text": "mine" },
    ]);
    assert_eq!((&list["values"], &list["next"]), (&expected, &Value::Null));
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(&server, &format!("/v1/rooms/one/values?limit=1{after}")).await.ok();
        seen.extend(page["values"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(Value::from(seen), expected);
    assert_eq!(get(&server, "/v1/rooms/one/values/9").await.ok(), expected[1]);
    // A member's value has no path of its own.
    assert_eq!(get(&server, "/v1/rooms/one/values/3").await.refused(), (404, "NO_SUCH_VALUE"));
    assert_eq!(get(&server, "/v1/rooms/two/values/3").await.refused(), (404, "NO_SUCH_ROOM"));
    for wrong in ["after=x", "after=1", "after=1-", "after=1-9007199254740992", "limit=x"] {
        let path = format!("/v1/rooms/one/values?{wrong}");
        assert_eq!(get(&server, &path).await.refused(), (400, "ARGUMENT"), "{wrong}");
    }
    drop(peer);
    server.finish().await;
}

fn texts(history: &Value) -> Vec<&str> {
    history["events"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn history_is_read_from_where_one_is() {
    let server = start().await;
    let (mut peer, me) = Peer::joined(&server, Transport::Tcp, "one").await;
    for payload in ["a", "b", "c"] {
        peer.send(&say::event(1, payload.as_bytes())).await;
        peer.event(payload.as_bytes()).await;
    }
    let all = get(&server, "/v1/rooms/one/history").await.ok();
    assert_eq!((texts(&all), &all["lost"], &all["more"]), (vec!["a", "b", "c"], &false.into(), &false.into()));
    assert_eq!((&all["events"][0]["member"], &all["through"]), (&me.member.into(), &all["position"]));
    let first = all["events"][0]["id"].as_str().unwrap();
    let rest = get(&server, &format!("/v1/rooms/one/history?since={first}")).await.ok();
    assert_eq!((texts(&rest), &rest["lost"]), (vec!["b", "c"], &false.into()));
    let page = get(&server, &format!("/v1/rooms/one/history?since={first}&limit=1")).await.ok();
    assert_eq!((texts(&page), &page["more"]), (vec!["b"], &true.into()));
    let through = page["through"].as_str().unwrap();
    assert_eq!(texts(&get(&server, &format!("/v1/rooms/one/history?since={through}")).await.ok()), ["c"]);
    let last = all["position"].as_str().unwrap();
    let none = get(&server, &format!("/v1/rooms/one/history?since={last}")).await.ok();
    assert_eq!((texts(&none).len(), &none["lost"], &none["through"]), (0, &false.into(), &all["position"]));
    // Another life of the room, and what it has not sent yet: all that there is, and told so.
    let (epoch, position) = last.split_once('-').unwrap();
    let ahead = format!("{epoch}-{}", position.parse::<u64>().unwrap() + 1);
    for since in ["0000000000000001-1", &ahead] {
        let other = get(&server, &format!("/v1/rooms/one/history?since={since}")).await.ok();
        assert_eq!((texts(&other).len(), &other["lost"]), (3, &true.into()), "{since}");
    }
    for wrong in ["7", "x-1", "0000000000000001-9007199254740992"] {
        let path = format!("/v1/rooms/one/history?since={wrong}");
        assert_eq!(get(&server, &path).await.refused(), (400, "ARGUMENT"), "{wrong}");
    }
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn what_is_not_kept_is_told() {
    let mut classes = RoomClasses::default();
    classes.default.history = HistoryBounds { batches: 1, ..HistoryBounds::default() };
    let server = build(Server::builder().limits(limits(|_| {})).classes(classes).api_keys(keys())).await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let mut ids = Vec::new();
    for payload in ["a", "b", "c"] {
        peer.send(&say::event(1, payload.as_bytes())).await;
        peer.event(payload.as_bytes()).await;
        let history = get(&server, "/v1/rooms/one/history").await.ok();
        ids.push(history["position"].as_str().unwrap().to_owned());
    }
    let lost = get(&server, &format!("/v1/rooms/one/history?since={}", ids[0])).await.ok();
    assert_eq!((texts(&lost), &lost["lost"]), (vec!["c"], &true.into()));
    let known = get(&server, &format!("/v1/rooms/one/history?since={}", ids[1])).await.ok();
    assert_eq!((texts(&known), &known["lost"]), (vec!["c"], &false.into()));
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn a_room_may_be_called_events() {
    let server = start().await;
    put(&server, PUBLISH, ("POST", "/v1/rooms/events/events"), "text/plain", b"hi").await.ok();
    let room = get(&server, "/v1/rooms/events").await.ok();
    assert_eq!(room["name"], "events");
}
