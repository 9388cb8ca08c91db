//! Links against a server that says exactly what a test wants: what they hear of messages, and ends that are wanted.

use super::link::{check, data, hear, join, publish, told, welcome};
use super::script::*;
use crate::client::link::{LinkEvent, LinkState};

#[tokio::test]
async fn an_answer_to_a_ping_tells_what_was_accepted() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            assert_eq!(data(&mut script).await, b"a");
            // The next ping comes by itself.
            let frame = script.receive().await;
            let ping = Ping::decode(frame.header.flags, &frame.payload, crate::wire::Sender::Client).unwrap();
            let body = PingBody::ServerAnswer { clock: 1, received: 5, sent: 5, accepted: 1 };
            let mut out = Vec::new();
            Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut out);
            script.write(&out).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, room, mut events| {
            assert_eq!(told(&mut events, 1).await, ["snapshot"]);
            publish(&room, "a");
            link.settled().await.unwrap();
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn a_disconnect_counts_also_where_a_connect_follows_at_once() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            let frame = hear(&mut script).await;
            let goodbye = Control::decode(&frame.payload).unwrap();
            assert!(matches!(goodbye.command, Command::Close(Close { reason: Reason::FINISHED, .. })));
            script.send(close(Reason::FINISHED), goodbye.request).await;
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, _room, mut events| {
            assert_eq!(told(&mut events, 1).await, ["snapshot"]);
            link.disconnect();
            link.connect();
            let mut states = Vec::new();
            while states.last() != Some(&LinkState::Connected) {
                if let LinkEvent::State(changed) = events.next().await.unwrap() {
                    states.push(changed.after);
                }
            }
            assert_eq!(states, [LinkState::Disconnected, LinkState::Connecting, LinkState::Connected]);
            assert_eq!(told(&mut events, 1).await, ["snapshot"]);
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}
