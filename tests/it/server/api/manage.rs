//! Removing, closing, revoking, draining.

use tickwire::wire::{Kind, Reason};

use super::*;
use crate::server::hear::command;
use crate::server::say;

/// The reason of the next LEFT.
async fn left(peer: &mut Peer) -> Reason {
    loop {
        let frame = peer.control().await;
        if let Command::Left(left) = command(&frame) {
            return left.reason;
        }
    }
}

#[tokio::test]
async fn members_are_removed_by_number_and_by_subject() {
    let server = named().await;
    let (mut ann, _) = member(&server, "ann", "one").await;
    let (mut again, number) = member(&server, "ann", "one").await;
    let (mut bob, _) = member(&server, "bob", "one").await;
    let kick = async |body: Value| post(&server, MANAGE, "/v1/rooms/one/kick", &body).await;
    assert_eq!(kick(json!({ "member": number.member })).await.ok()["members"], 1);
    assert_eq!(left(&mut again).await, Reason::REMOVED);
    assert_eq!(bob.left(number.member).await, Reason::REMOVED);
    assert_eq!(kick(json!({ "subject": "ann" })).await.ok()["members"], 1);
    assert_eq!(left(&mut ann).await, Reason::REMOVED);
    assert_eq!(kick(json!({ "subject": "ann" })).await.ok()["members"], 0);
    assert_eq!(kick(json!({ "member": 99 })).await.refused(), (404, "NO_SUCH_MEMBER"));
    assert_eq!(kick(json!({ "member": 0 })).await.refused(), (404, "NO_SUCH_MEMBER"), "the room itself");
    for body in [json!({}), json!({ "member": 1, "subject": "bob" }), json!({ "member": "1" }), json!({ "who": 1 })] {
        assert_eq!(kick(body).await.refused(), (422, "ARGUMENT"));
    }
    let nowhere = post(&server, MANAGE, "/v1/rooms/nowhere/kick", &json!({ "member": 1 })).await;
    assert_eq!(nowhere.refused(), (404, "NO_SUCH_ROOM"));
    // Whoever was removed may come back, and talk.
    ann.join(1, Mode::BOTH, "one").await;
    ann.send(&say::event(1, b"again")).await;
    bob.event(b"again").await;
    drop((ann, again, bob));
    server.finish().await;
}

#[tokio::test]
async fn a_room_is_closed() {
    let server = start().await;
    let (mut one, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let (mut two, _) = Peer::joined(&server, Transport::WebSocket, "one").await;
    put(&server, PUBLISH, ("PUT", "/v1/rooms/one/values/1"), "text/plain", b"kept").await.ok();
    let closed = send(&server, "DELETE", "/v1/rooms/one", &bearer(MANAGE), b"").await.ok();
    assert_eq!(closed["members"], 2);
    for peer in [&mut one, &mut two] {
        assert_eq!(peer.said_as(Kind::Value).await.payload, &b"kept"[..], "what was taken is sent first");
        assert_eq!(left(peer).await, Reason::ROOM_CLOSED);
    }
    assert_eq!(get(&server, "/v1/rooms/one").await.refused(), (404, "NO_SUCH_ROOM"));
    let again = send(&server, "DELETE", "/v1/rooms/one", &bearer(MANAGE), b"").await;
    assert_eq!(again.refused(), (404, "NO_SUCH_ROOM"));
    // It is another one that is made.
    one.join(1, Mode::BOTH, "one").await;
    assert_eq!(get(&server, "/v1/rooms/one").await.ok()["values"], 0);
    drop((one, two));
    server.finish().await;
}

#[tokio::test]
async fn subjects_and_tokens_are_revoked() {
    let server = named().await;
    let (mut ann, _) = member(&server, "ann", "one").await;
    let (mut bob, _) = member(&server, "bob", "one").await;
    let revoke = async |body: Value| post(&server, MANAGE, "/v1/revoke", &body).await;
    assert_eq!(revoke(json!({ "subject": "ann", "hold_secs": 60 })).await.ok()["sessions"], 1);
    assert_eq!(ann.ended().await.reason, Reason::REMOVED);
    assert_eq!(revoke(json!({ "token": "token of bob" })).await.ok()["sessions"], 1);
    assert_eq!(bob.ended().await.reason, Reason::REMOVED);
    assert_eq!(revoke(json!({ "subject_base64": "/w==" })).await.ok()["sessions"], 0);
    for body in [
        json!({}),
        json!({ "subject": "ann", "token": "x" }),
        json!({ "subject": "" }),
        json!({ "subject": "x".repeat(257) }),
        json!({ "token": "ann", "hold_secs": -1 }),
        json!({ "token": "ann", "hold_secs": 4_000_000_000_u64 }),
        json!({ "token": 7 }),
    ] {
        assert_eq!(revoke(body).await.refused(), (422, "ARGUMENT"));
    }
    drop((ann, bob));
    server.finish().await;
}

#[tokio::test]
async fn a_server_is_drained() {
    let server = start().await;
    let (mut peer, _) = Peer::joined(&server, Transport::Tcp, "one").await;
    let drained = send(&server, "POST", "/v1/drain", &bearer(MANAGE), b"").await.ok();
    assert_eq!(drained["connections"], 1);
    loop {
        let frame = peer.control().await;
        if matches!(command(&frame), Command::GoingAway(_)) {
            break;
        }
    }
    // It still answers those who look.
    assert_eq!(get(&server, "/v1/rooms/one").await.status, 200);
    drop(peer);
    server.stopped().await;
}
