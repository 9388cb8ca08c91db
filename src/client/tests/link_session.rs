//! Links against a server that says exactly what a test wants: what they hear of messages, and ends that are wanted.

use super::link::{check, data, hear, join, publish, told, welcome};
use super::script::*;
use crate::client::link::{Link, LinkConfig, LinkEvent, LinkState, RoomOptions};

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

#[tokio::test]
async fn what_was_not_written_is_sent_by_the_next_connection_also_where_nothing_is_accepted() {
    /// More than sockets take that nobody reads.
    const COUNT: usize = 2000;
    const LEN: usize = 8000;
    let listener = Listener::bind().await;
    let config = LinkConfig::new(listener.config.clone()).queue(COUNT, COUNT * LEN);
    let (link, mut events) = Link::new(config);
    let room = link.join("room", RoomOptions::default().members(false)).unwrap();
    for n in 0..COUNT {
        let mut payload = vec![0; LEN];
        payload[..8].copy_from_slice(&n.to_be_bytes());
        assert!(room.publish(payload).is_ok());
    }
    link.connect();
    let (stuck, is_stuck) = tokio::sync::oneshot::channel();
    both(
        async {
            let deaf = Welcome { max_message: LEN as u64, ..WELCOME };
            let mut script = listener.accept().await;
            script.welcome(deaf).await;
            join(&mut script, JOINED).await;
            let waiting: usize = is_stuck.await.unwrap();
            drop(script);
            let mut script = listener.accept().await;
            script.welcome(deaf).await;
            join(&mut script, JOINED).await;
            let mut numbers = Vec::new();
            while numbers.last() != Some(&(COUNT - 1)) {
                let payload = data(&mut script).await;
                numbers.push(usize::from_be_bytes(payload[..8].try_into().unwrap()));
            }
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order");
            assert!(numbers.len() > waiting, "{} and {waiting}", numbers.len());
            while script.try_receive().await.is_some() {}
        },
        async {
            assert_eq!(told(&mut events, 1).await, ["snapshot"]);
            // Until nothing leaves any more, however often everybody has a turn.
            let (mut waiting, mut turns) = (link.waiting(), 0);
            while turns < 2000 || waiting == COUNT {
                tokio::task::yield_now().await;
                turns = if link.waiting() == waiting { turns + 1 } else { 0 };
                waiting = link.waiting();
            }
            assert!(waiting > 0);
            stuck.send(waiting).unwrap();
            link.settled().await.unwrap();
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}
