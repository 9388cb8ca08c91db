//! Lists of rooms, and rooms at a glance.

use tickwire::server::api::{RoomOrder, RoomQuery};

use super::*;
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::Transport;

fn names(list: &Value) -> Vec<&str> {
    list["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn rooms_are_listed_by_what_is_largest() {
    let server = build(Server::builder().limits(limits(|_| {})).shards(3).api_keys(keys())).await;
    let mut peers = Vec::new();
    for (room, members) in [("a", 1), ("b/1", 3), ("b/2", 2), ("c", 1)] {
        for _ in 0..members {
            peers.push(Peer::joined(&server, Transport::Tcp, room).await.0);
        }
    }
    let talker = &mut peers[0];
    talker.send(&say::event(1, &[7; 5000])).await;
    talker.event(&[7; 5000]).await;
    let list = async |query: &str| get(&server, &format!("/v1/rooms{query}")).await.ok();
    assert_eq!(names(&list("").await), ["a", "b/1", "b/2", "c"]);
    assert_eq!(names(&list("?sort=members").await), ["b/1", "b/2", "a", "c"]);
    assert_eq!(names(&list("?sort=members&limit=2").await), ["b/1", "b/2"]);
    assert_eq!(names(&list("?sort=messages&limit=1").await), ["a"]);
    assert_eq!(names(&list("?limit=1&sort=bytes").await), ["a"]);
    assert_eq!(names(&list("?prefix=b/").await), ["b/1", "b/2"]);
    assert_eq!(names(&list("?prefix=b%2F&limit=1&sort=name").await), ["b/1"]);
    assert!(names(&list("?prefix=nowhere").await).is_empty());
    let embedded = soon(server.handle.rooms(&RoomQuery::new(RoomOrder::Members, 1)), "a list").await.unwrap();
    assert_eq!((embedded.rooms[0].name.as_str(), embedded.rooms[0].members, embedded.total), ("b/1", 3, 4));
    drop(peers);
    server.finish().await;
}

#[tokio::test]
async fn a_room_is_looked_at() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "game/1").await;
    peer.send(&say::value(1, tickwire::wire::Key::room(7), b"seven")).await;
    peer.send(&say::event(1, b"hello")).await;
    peer.event(b"hello").await;
    for path in ["/v1/rooms/game/1", "/v1/rooms/game%2F1"] {
        let room = get(&server, path).await.ok();
        assert_eq!((&room["name"], &room["members"], &room["receivers"]), (&"game/1".into(), &1.into(), &1.into()));
        assert_eq!((&room["values"], &room["messages"]), (&1.into(), &2.into()));
        assert!(room["position"].as_u64().unwrap() > 0 && room["epoch"].as_str().unwrap().len() == 16, "{room}");
        assert!(room["bytes"].as_u64() > Some(10) && room["kept_bytes"].as_u64() > Some(10), "{room}");
    }
    assert_eq!(get(&server, "/v1/rooms/nowhere").await.refused(), (404, "NO_SUCH_ROOM"));
    let head = send(&server, "HEAD", "/v1/rooms/game/1", &bearer(ALL), b"").await;
    assert_eq!((head.status, head.body), (200, Value::Null));
    drop(peer);
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_be_understood_is_told_why() {
    let server = start().await;
    for (path, expected) in [
        ("/v1/rooms?sort=size", (400, "ARGUMENT")),
        ("/v1/rooms?limit=0", (400, "ARGUMENT")),
        ("/v1/rooms?limit=1001", (400, "ARGUMENT")),
        ("/v1/rooms?limit=+1", (400, "ARGUMENT")),
        ("/v1/rooms?limit=1&limit=2", (400, "ARGUMENT")),
        ("/v1/rooms?prefix=a%20b", (400, "ARGUMENT")),
        ("/v1/rooms?prefix=%ff", (400, "ARGUMENT")),
        ("/v1/rooms?colour=red", (400, "ARGUMENT")),
        ("/v1/rooms/a%20b", (400, "ROOM_NAME")),
        ("/v1/rooms/", (400, "ROOM_NAME")),
        ("/v1/rooms/%ff", (400, "ROOM_NAME")),
        ("/v1/nowhere", (404, "NO_SUCH_PATH")),
        ("/v1/", (404, "NO_SUCH_PATH")),
    ] {
        assert_eq!(get(&server, path).await.refused(), expected, "{path}");
    }
    let put = send(&server, "PUT", "/v1/rooms", &bearer(ALL), b"").await;
    assert_eq!(put.refused(), (405, "METHOD"));
    assert!(put.head.contains("allow: get, head"), "{}", put.head);
    server.finish().await;
}
