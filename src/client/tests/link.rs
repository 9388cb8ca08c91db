//! Links against a server that says exactly what a test wants: what becomes of messages when connections break.

use super::script::*;
use crate::client::link::{Content, Events, Link, LinkConfig, LinkError, LinkEvent, LinkState, Outcome as Told};
use crate::client::link::{Room as LinkRoom, RoomOptions, Sent};
use crate::wire::control::GoingAway;

/// A server that can resume.
pub(super) async fn welcome(script: &mut Script, flags: u8, accepted: u64) {
    let mut encoded = Vec::new();
    put_extension(kind::RESUME_TOKEN, b"token", &mut encoded);
    let extensions = Extensions::from_encoded(&encoded).unwrap();
    script.welcome(Welcome { flags, accepted, extensions, ..ABLE }).await;
}

/// The next frame that is no ping.
pub(super) async fn hear(script: &mut Script) -> Frame {
    loop {
        let frame = script.receive().await;
        if frame.header.frame_type != FrameType::Ping {
            return frame;
        }
    }
}

/// Reads a JOIN, and answers it.
pub(super) async fn join(script: &mut Script, joined: Joined<'_>) -> Vec<u8> {
    let frame = hear(script).await;
    let control = Control::decode(&frame.payload).unwrap();
    let Command::Join(Join { handle, extensions, .. }) = control.command else { panic!("{control:?}") };
    let said = extensions.encoded().to_vec();
    script.send(Command::Joined(Joined { handle, ..joined }), control.request).await;
    said
}

pub(super) async fn data(script: &mut Script) -> Vec<u8> {
    let frame = hear(script).await;
    assert_eq!(frame.header.frame_type, FrameType::Data);
    ClientData::decode(frame.header.flags, &frame.payload).unwrap().payload.to_vec()
}

/// Runs a server's script against a link that is in a room.
pub(super) async fn check<S, C>(server: impl FnOnce(Listener) -> S, client: impl FnOnce(Link, LinkRoom, Events) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let listener = Listener::bind().await;
    let (link, events) = Link::new(LinkConfig::new(listener.config.clone()));
    let room = link.join("room", RoomOptions::default().members(false)).unwrap();
    link.connect();
    both(server(listener), client(link, room, events)).await;
}

/// What is told, but for states and ticks, until the link is closed or there is so much of it.
pub(super) async fn told(events: &mut Events, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < count {
        let Some(event) = events.next().await else { break };
        told.push(match event {
            LinkEvent::Message(message) if message.content == Content::Event => {
                String::from_utf8(message.payload.to_vec()).unwrap()
            }
            LinkEvent::Outcome(_, Told::Recovered) => "recovered".into(),
            LinkEvent::Outcome(_, Told::Snapshot) => "snapshot".into(),
            LinkEvent::Outcome(_, Told::Gap(from, to)) => format!("gap {from} {to}"),
            LinkEvent::Unconfirmed(messages) => {
                let ids = messages.iter().map(|message| format!(" {}", message.id.0));
                format!("unconfirmed{}", ids.collect::<String>())
            }
            LinkEvent::Dropped(_, messages) => {
                let ids = messages.iter().map(|message| format!(" {}", message.0));
                format!("dropped{}", ids.collect::<String>())
            }
            LinkEvent::Refused(refused) => format!("refused {} {}", refused.id.0, refused.reason.0),
            LinkEvent::Error(error) => error.kind().name().to_owned(),
            LinkEvent::State(changed) if changed.after == LinkState::Closed => format!("closed {}", changed.reason.0),
            _ => continue,
        });
    }
    told
}

pub(super) fn publish(room: &LinkRoom, text: &'static str) {
    assert!(matches!(room.publish(text), Ok(Sent::Queued(_))));
}

#[tokio::test]
async fn messages_of_a_lost_session_are_handed_back_and_not_sent_again() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            assert_eq!((data(&mut script).await, data(&mut script).await), (b"a".to_vec(), b"b".to_vec()));
            script.accepted(1).await;
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            let joined = Joined { outcome: Outcome::RECOVERED, ..JOINED };
            assert_eq!(join(&mut script, joined).await[..2], [4, 9], "since");
            assert_eq!(data(&mut script).await, b"c", "what had not been written");
            script.send(close(Reason::REMOVED), RequestId(0)).await;
            while script.try_receive().await.is_some() {}
        },
        async |_link, room, mut events| {
            publish(&room, "a");
            publish(&room, "b");
            assert_eq!(told(&mut events, 2).await, ["snapshot", "unconfirmed 2"]);
            publish(&room, "c");
            assert_eq!(told(&mut events, 9).await, ["recovered", "unconfirmed 3", "closed 243"]);
        },
    )
    .await;
}

#[tokio::test]
async fn messages_of_a_session_that_goes_on_are_sent_again() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            assert_eq!((data(&mut script).await, data(&mut script).await), (b"a".to_vec(), b"b".to_vec()));
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, flags::RESUMED, 1).await;
            join(&mut script, Joined { outcome: Outcome::RECOVERED, ..JOINED }).await;
            assert_eq!(data(&mut script).await, b"b");
            script.refuse(RequestId(0), 2, Reason::BATCH_FULL).await;
            script.accepted(2).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, room, mut events| {
            publish(&room, "a");
            publish(&room, "b");
            assert_eq!(told(&mut events, 3).await, ["snapshot", "recovered", "refused 2 105"]);
            link.settled().await.unwrap();
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn a_batch_that_was_shown_in_part_goes_on_where_it_broke_off() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            script.batch(Kind::Event, 0, 1, &[b"a"]).await;
            script.batch(Kind::Event, flags::MORE, 2, &[b"b", b"c"]).await;
            drop(script);
            let mut script = listener.accept().await;
            welcome(&mut script, flags::RESUMED, 0).await;
            let joined = Joined { outcome: Outcome::RECOVERED, position: Position(1), ..JOINED };
            assert_eq!(join(&mut script, joined).await.last(), Some(&1), "the last whole position");
            script.batch(Kind::Event, flags::MORE, 2, &[b"b"]).await;
            script.batch(Kind::Event, 0, 2, &[b"c", b"d"]).await;
            script.batch(Kind::Event, 0, 3, &[b"e"]).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, _room, mut events| {
            let expected = ["snapshot", "a", "b", "c", "recovered", "d", "e"];
            assert_eq!(told(&mut events, expected.len()).await, expected);
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn what_a_server_that_goes_away_refuses_is_sent_to_the_one_that_comes() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            assert_eq!(data(&mut script).await, b"a");
            let notice = GoingAway { reconnect: 200, closes: 9000, extensions: Extensions::NONE };
            script.send(Command::GoingAway(notice), RequestId(0)).await;
            script.refuse(RequestId(0), 1, Reason::GOING_AWAY).await;
            script.accepted(1).await;
            let frame = hear(&mut script).await;
            let goodbye = Control::decode(&frame.payload).unwrap();
            assert!(matches!(goodbye.command, Command::Close(Close { reason: Reason::FINISHED, .. })));
            script.send(close(Reason::FINISHED), goodbye.request).await;
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, Joined { outcome: Outcome::GAP, epoch: Epoch([1; 8]), ..JOINED }).await;
            assert_eq!(data(&mut script).await, b"a");
            script.accepted(1).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, room, mut events| {
            publish(&room, "a");
            assert_eq!(told(&mut events, 2).await, ["snapshot", "snapshot"], "neither refused nor unconfirmed");
            link.settled().await.unwrap();
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn a_gap_and_another_life_are_told() {
    check(
        async |listener| {
            let mut script = listener.accept().await;
            welcome(&mut script, 0, 0).await;
            join(&mut script, JOINED).await;
            script.batch(Kind::Event, 0, 1, &[b"a"]).await;
            let gap = |epoch, from, to| {
                let (from, to) = (Position(from), Position(to));
                Command::Gap(Gap { room: ROOM, epoch, from, to, extensions: Extensions::NONE })
            };
            script.send(gap(EPOCH, 2, 4), RequestId(0)).await;
            script.batch(Kind::Event, 0, 5, &[b"b"]).await;
            script.send(gap(EPOCH, 6, 5), RequestId(0)).await;
            script.send(gap(Epoch([2; 8]), 1, 7), RequestId(0)).await;
            script.batch(Kind::Event, 0, 8, &[b"c"]).await;
            while script.try_receive().await.is_some() {}
        },
        async |link, _room, mut events| {
            let expected = ["snapshot", "a", "gap 2 4", "b", "snapshot", "snapshot", "c"];
            assert_eq!(told(&mut events, expected.len()).await, expected);
            assert_eq!(link.close(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn somebody_else_over_tcp_is_another_version() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (link, mut events) = Link::new(LinkConfig::new(ClientConfig::new(url)));
    link.connect();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let client = async {
        assert_eq!(told(&mut events, 9).await, ["version", "closed 0"]);
        assert!(matches!(link.connected().await, Err(LinkError::Closed)));
    };
    both(server, client).await;
}
