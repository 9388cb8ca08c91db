//! Links against real servers: what the scenarios do not say.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tickwire::client::ClientConfig;
use tickwire::client::link::{
    Content, ErrorKind, Events, Link, LinkConfig, LinkError, LinkEvent, LinkState, Message, Outcome, Policy,
    RoomOptions, RoomState, SendOptions, Sent, TokenResult, Tokens,
};
use tickwire::wire::{Key, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{TestServer, Wire, config, soon};

/// The next event that this finds.
async fn until<T>(events: &mut Events, mut find: impl FnMut(LinkEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the link has not ended");
            if let Some(found) = find(event) {
                return found;
            }
        }
    };
    soon(found, "an event").await
}

async fn until_state(events: &mut Events, state: LinkState) {
    until(events, |event| matches!(event, LinkEvent::State(changed) if changed.after == state).then_some(())).await;
}

async fn until_outcome(events: &mut Events) -> Outcome {
    until(events, |event| if let LinkEvent::Outcome(_, outcome) = event { Some(outcome) } else { None }).await
}

async fn next_message(events: &mut Events) -> Message {
    until(events, |event| if let LinkEvent::Message(message) = event { Some(message) } else { None }).await
}

#[tokio::test]
async fn several_rooms_share_a_connection_and_close_ends_the_stream() {
    let server = TestServer::start().await;
    let (link, mut events) = Link::new(LinkConfig::new(server.config()));
    let rooms: Vec<_> = (0..5).map(|n| link.join(&format!("r{n}"), RoomOptions::default().echo()).unwrap()).collect();
    link.connect();
    for room in &rooms {
        soon(room.joined(), "a membership").await.unwrap();
    }
    assert_eq!(server.handle.connections(), 1);
    for room in &rooms {
        assert!(matches!(room.publish(room.name().to_string()), Ok(Sent::Queued(_))));
    }
    let mut heard = Vec::new();
    while heard.len() < rooms.len() {
        let message = next_message(&mut events).await;
        assert_eq!((message.room.as_str().as_bytes(), message.content), (&message.payload[..], Content::Event));
        heard.push(message.room);
    }
    soon(link.settled(), "all to be accepted").await.unwrap();
    assert!(link.rtt().is_some() && link.server_time().is_some() && rooms[0].tick().is_some());
    assert_eq!((link.close(), link.close()), (0, 0));
    let mut left = 0;
    while let Some(event) = soon(events.next(), "the end").await {
        left += usize::from(matches!(event, LinkEvent::Room(_, changed) if changed.after == RoomState::Left));
    }
    assert_eq!((left, link.state()), (5, LinkState::Closed));
    assert!(matches!(link.join("r", RoomOptions::default()), Err(LinkError::Closed)));
    assert!(matches!(rooms[0].publish("late"), Err(LinkError::Closed)));
    server.finish().await;
}

#[tokio::test]
async fn its_own_messages_are_hidden_unless_echo_was_asked_for() {
    let server = TestServer::start().await;
    let (one, mut hears_one) = Link::new(LinkConfig::new(server.config()));
    let (two, mut hears_two) = Link::new(LinkConfig::new(server.config()));
    let ones = one.join("r", RoomOptions::default()).unwrap();
    let twos = two.join("r", RoomOptions::default()).unwrap();
    one.connect();
    two.connect();
    soon(ones.joined(), "a membership").await.unwrap();
    soon(twos.joined(), "a membership").await.unwrap();
    let _ = ones.publish("from one").unwrap();
    let _ = ones.set(Key::member(7), "value of one").unwrap();
    assert_eq!(next_message(&mut hears_two).await.payload, "from one");
    let _ = twos.publish("from two").unwrap();
    assert_eq!(next_message(&mut hears_one).await.payload, "from two", "not its own before");
    // Values are known, whoever wrote them.
    let me = ones.member().unwrap();
    soon(one.settled(), "the value").await.unwrap();
    until(&mut hears_two, |event| matches!(event, LinkEvent::Tick { .. }).then_some(())).await;
    while ones.latest_of(me, 7).is_none() || twos.latest_of(me, 7).is_none() {
        soon(hears_one.next(), "the value").await.unwrap();
    }
    assert_eq!(twos.latest_of(me, 7).unwrap(), "value of one");
    // One member to another, and nobody else.
    let _ = twos.send(me, "psst").unwrap();
    let direct = next_message(&mut hears_one).await;
    assert_eq!((direct.content, &direct.payload[..]), (Content::Direct(None), &b"psst"[..]));
    drop((one, two, ones, twos, hears_one, hears_two));
    server.finish().await;
}

#[tokio::test]
async fn a_cut_wire_loses_nothing_in_either_direction() {
    let server = TestServer::start().await;
    let wire = Wire::to(server.tcp).await;
    let (link, mut events) = Link::new(LinkConfig::new(config(wire.addr)));
    let (other, mut others) = Link::new(LinkConfig::new(server.config()));
    let (mine, theirs) = (link.join("r", RoomOptions::default()).unwrap(), other.join("r", RoomOptions::default()));
    let theirs = theirs.unwrap();
    link.connect();
    other.connect();
    soon(mine.joined(), "a membership").await.unwrap();
    soon(theirs.joined(), "a membership").await.unwrap();
    assert_eq!(until_outcome(&mut events).await, Outcome::Snapshot);
    for round in 0..3_u32 {
        for n in 0..50_u32 {
            let _ = mine.publish(format!("mine {round} {n}")).unwrap();
            let _ = theirs.publish(format!("theirs {round} {n}")).unwrap();
            if n == 25 {
                wire.cut();
            }
        }
        until_state(&mut events, LinkState::Connected).await;
        assert_eq!(until_outcome(&mut events).await, Outcome::Recovered);
        soon(link.settled(), "everything to be accepted").await.unwrap();
        let heard: Vec<_> = heard(&mut others, 50).await;
        assert_eq!(heard, (0..50).map(|n| format!("mine {round} {n}")).collect::<Vec<_>>());
        let _ = theirs.publish("end").unwrap();
        soon(other.settled(), "everything to be accepted").await.unwrap();
    }
    drop((link, other, mine, theirs, events, others));
    server.finish().await;
}

async fn heard(events: &mut Events, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        heard.push(String::from_utf8_lossy(&next_message(events).await.payload).into_owned());
    }
    heard
}

#[tokio::test]
async fn what_waits_is_bounded_and_what_is_too_large_is_told() {
    let server = TestServer::start().await;
    let (link, mut events) = Link::new(LinkConfig::new(server.config()).queue(3, 100));
    let room = link.join("r", RoomOptions::default()).unwrap();
    for n in 0..3 {
        assert!(matches!(room.publish(vec![b'x'; 20 + n]), Ok(Sent::Queued(_))));
    }
    let full = room.publish("one more").unwrap_err();
    assert_eq!(full.kind(), ErrorKind::QueueFull);
    let drop_it = SendOptions::default().policy(Policy::Drop);
    assert_eq!(room.publish_with(Target::Event, "x", drop_it).unwrap(), Sent::Dropped);
    for n in 0..10 {
        assert!(matches!(room.set(Key::member(1), vec![n]), Ok(Sent::Queued(_))), "only the last one waits");
    }
    assert_eq!((link.waiting(), room.state()), (4, RoomState::Joining));
    assert!(room.has_place(50).now_or_never().is_none());
    assert!(matches!(room.publish(Bytes::from(vec![0; 70_000])), Err(LinkError::TooLarge { .. })));
    link.connect();
    soon(room.has_place(50), "a place").await.unwrap();
    soon(link.settled(), "all to be accepted").await.unwrap();
    assert_eq!(link.waiting(), 0);
    until_state(&mut events, LinkState::Connected).await;
    let limit = link.max_message();
    assert!(matches!(room.publish(vec![0; limit + 1]), Err(LinkError::TooLarge { limit: told, .. }) if told == limit));
    drop((link, room, events));
    server.finish().await;
}

#[tokio::test]
async fn what_waited_and_was_thrown_away_is_counted() {
    let (link, mut events) = Link::new(LinkConfig::new(config("127.0.0.1:1".parse().unwrap())));
    let room = link.join("r", RoomOptions::publisher()).unwrap();
    let _ = room.publish("a").unwrap();
    let _ = room.set(Key::member(1), "b").unwrap();
    assert_eq!(link.close(), 2);
    let closed = soon(link.settled(), "an answer").await;
    assert!(closed.is_ok(), "nothing waits any more");
    until_state(&mut events, LinkState::Closed).await;
    assert!(soon(events.next(), "the end").await.is_none());
}

#[tokio::test]
async fn callbacks_that_fail_or_panic_do_not_end_the_link() {
    let server = TestServer::start().await;
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let calls = std::sync::Arc::clone(&asked);
    let tokens = Tokens::new(move || {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            match call {
                0 => TokenResult::Err("no \u{1b}[2J".into()),
                1 => panic!("as an application may"),
                _ => Ok(Some(tickwire::client::Token::new("not read here"))),
            }
        }
    });
    let (link, mut events) = Link::new(LinkConfig::new(server.config()).tokens(tokens));
    link.connect();
    let error = |event| if let LinkEvent::Error(error) = event { Some(error) } else { None };
    let first = until(&mut events, error).await;
    assert_eq!(first.kind(), ErrorKind::Token);
    assert!(!first.to_string().contains('\u{1b}'), "{first}");
    assert_eq!(until(&mut events, error).await.kind(), ErrorKind::Handler);
    until_state(&mut events, LinkState::Connected).await;
    drop((link, events));
    server.finish().await;
}

#[tokio::test]
async fn an_application_that_is_slow_is_seen_and_not_queued_for() {
    let server = TestServer::start().await;
    let (link, mut events) = Link::new(LinkConfig::new(server.config()).events(64 * 1024));
    let (other, others) = Link::new(LinkConfig::new(server.config()));
    // Who does not want to hear anything does not hold anybody up.
    drop(others);
    let mine = link.join("r", RoomOptions::receiver()).unwrap();
    let theirs = other.join("r", RoomOptions::publisher()).unwrap();
    link.connect();
    other.connect();
    soon(mine.joined(), "a membership").await.unwrap();
    soon(theirs.joined(), "a membership").await.unwrap();
    for n in 0..64_u8 {
        let _ = theirs.publish(vec![n; 8000]).unwrap();
        soon(other.settled(), "it to be accepted").await.unwrap();
    }
    // All of it comes, or the server has told what does not: nothing is lost without a word.
    let (mut last, mut gaps) = (0, 0);
    while last < 63 {
        let event = soon(events.next(), "the rest").await.unwrap();
        match event {
            LinkEvent::Message(message) => {
                assert!(message.payload[0] == last + 1 || message.payload[0] == 0 || gaps > 0, "{last}");
                last = message.payload[0];
            }
            LinkEvent::Outcome(_, Outcome::Gap(..)) => gaps += 1,
            _ => {}
        }
    }
    drop((link, other, mine, theirs, events));
    server.finish().await;
}

#[tokio::test]
async fn futures_that_are_dropped_change_nothing() {
    let server = TestServer::start().await;
    let (link, mut events) = Link::new(LinkConfig::new(server.config()));
    let room = link.join("r", RoomOptions::default().echo()).unwrap();
    assert!(link.connected().now_or_never().is_none() && room.joined().now_or_never().is_none());
    link.connect();
    soon(room.joined(), "a membership").await.unwrap();
    let _ = room.publish("a").unwrap();
    // Polled once and dropped, again and again, until it is here.
    let heard = async {
        loop {
            match events.next().now_or_never() {
                Some(Some(LinkEvent::Message(message))) => return message,
                Some(_) => {}
                None => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(soon(heard, "the message").await.payload, "a");
    // Asked for, and not waited for: it is paused all the same.
    assert!(room.pause().now_or_never().is_none());
    soon(room.pause(), "to be paused").await.unwrap();
    soon(room.unpause(), "to go on").await.unwrap();
    assert_eq!(until_outcome(&mut events).await, Outcome::Snapshot, "where nothing was missed");
    drop((link, room, events));
    server.finish().await;
}

#[tokio::test]
async fn the_last_handle_closes_it() {
    let server = TestServer::start().await;
    let (link, events) = Link::new(LinkConfig::new(server.config()));
    let room = link.join("r", RoomOptions::default()).unwrap();
    link.connect();
    drop((link, events));
    soon(room.joined(), "a membership").await.unwrap();
    assert_eq!(server.handle.connections(), 1);
    drop(room);
    let gone = async {
        while server.handle.connections() > 0 {
            tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(5)).await;
        }
    };
    soon(gone, "the connection to end").await;
    server.finish().await;
}

#[tokio::test]
async fn headers_of_the_application_stand_in_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap()).parse().unwrap();
    let config = ClientConfig::new(url).header("X-Tenant", "blue").unwrap().header("x-tenant", "green").unwrap();
    let (link, mut events) = Link::new(LinkConfig::new(config));
    link.connect();
    let (mut stream, _) = soon(listener.accept(), "a connection").await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(soon(stream.read_u8(), "the request").await.unwrap());
    }
    let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
    assert!(request.contains("\r\nx-tenant: blue\r\n") && request.contains("\r\nx-tenant: green\r\n"), "{request}");
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let error = |event| if let LinkEvent::Error(error) = event { Some(error) } else { None };
    let error = until(&mut events, error).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("403"), "{error}");
    until_state(&mut events, LinkState::Closed).await;
}

#[tokio::test]
async fn an_address_that_names_the_room_is_an_address() {
    let any = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = tickwire::server::Server::builder().websocket(any).tcp(None).bind().await.unwrap();
    let url = format!("ws://{}/ws/arena", server.websocket_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _stopped = stopped.await;
    }));
    let (link, events) = Link::new(LinkConfig::to(&url).unwrap());
    let room = link.join("arena", RoomOptions::default()).unwrap();
    link.connect();
    soon(room.joined(), "a membership").await.unwrap();
    let _ = room.publish("works").unwrap();
    soon(link.settled(), "it to be accepted").await.unwrap();
    drop((link, room, events));
    stop.send(()).unwrap();
    soon(running, "the server to return").await.unwrap().unwrap();
}
