//! Sessions that outlive their connections (PROTOCOL 12.1 to 12.3), over both transports.

use std::time::Duration;

use bytes::Bytes;
use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::server::Server;
use tickwire::wire::control::{Command, Hello, Join, Mode, Outcome};
use tickwire::wire::extension::kind;
use tickwire::wire::header::flags;
use tickwire::wire::{
    Capabilities, ClientData, Control, Extensions, Handle, Key, Kind, Ping, PingBody, Presence, Reader, Reason,
    RequestId, Target, put_extension, put_string, put_varint,
};
use tokio::io::duplex;

use super::hear::{Membership, Said, command, joined};
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, ending, limits};

const ALL: u64 = Capabilities::RESUME.0 | Capabilities::HISTORY.0 | Capabilities::ACCEPTED.0;

/// What a WELCOME says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Welcomed {
    resumed: bool,
    accepted: u64,
    token: Bytes,
    lost: Option<(u64, u64)>,
}

fn hello(capabilities: u64, resume: Option<(&[u8], u64)>) -> Vec<u8> {
    let mut content = Vec::new();
    if let Some((token, seen)) = resume {
        let mut resume = Vec::new();
        put_string(token, &mut resume);
        put_varint(seen, &mut resume);
        put_extension(kind::RESUME, &resume, &mut content);
    }
    let extensions = Extensions::from_encoded(&content).unwrap();
    let capabilities = Capabilities(capabilities);
    control(1, Command::Hello(Hello { capabilities, max_record: 0, max_frame: 0, extensions }))
}

/// JOIN of "target" on handle 1, with what was heard so far.
fn join_since(since: Membership) -> Vec<u8> {
    let (mut content, mut list) = (since.epoch.to_vec(), Vec::new());
    put_varint(since.position, &mut content);
    put_extension(kind::SINCE, &content, &mut list);
    let extensions = Extensions::from_encoded(&list).unwrap();
    control(2, Command::Join(Join { handle: Handle(1), mode: Mode::BOTH, name: b"target", extensions }))
}

fn control(request: u64, command: Command<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Control::new(RequestId(request), command).encode(&mut bytes);
    bytes
}

/// An event on handle 1 that is to be answered with ACCEPTED.
fn asking(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientData { handle: Handle(1), target: Target::Event, options: flags::ACKNOWLEDGE, payload }.encode(&mut bytes);
    bytes
}

/// A ping that says which directs were taken.
fn confirming(directs: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let body = PingBody::Client { answer: false, consumed: 0, directs };
    Ping { time: 7, body, extensions: Extensions::NONE }.encode(&mut bytes);
    bytes
}

async fn welcomed(peer: &mut Peer) -> Welcomed {
    let frame = peer.control().await;
    let Command::Welcome(welcome) = command(&frame) else { panic!("{:?}", command(&frame)) };
    let lost = welcome.extensions.get(kind::LOST_DIRECTS).map(|content| {
        let mut reader = Reader::new(content);
        (reader.varint().unwrap(), reader.varint().unwrap())
    });
    let token = welcome.extensions.get(kind::RESUME_TOKEN).map(Bytes::copy_from_slice).unwrap_or_default();
    Welcomed { resumed: welcome.flags & 1 != 0, accepted: welcome.accepted, token, lost }
}

/// A new connection that says hello, with `more` right behind it.
async fn greeted(
    server: &TestServer,
    transport: Transport,
    resume: Option<(&[u8], u64)>,
    more: &[u8],
) -> (Peer, Welcomed) {
    let mut peer = Peer::preamble(server, transport).await;
    peer.send(&[&hello(ALL, resume)[..], more].concat()).await;
    let welcome = welcomed(&mut peer).await;
    (peer, welcome)
}

/// A session in "target", by handle 1, that can be resumed.
async fn member(server: &TestServer, transport: Transport) -> (Peer, Welcomed, Membership) {
    let (mut peer, welcome) = greeted(server, transport, None, &[]).await;
    assert!(!welcome.resumed && !welcome.token.is_empty());
    let membership = peer.join(1, Mode::BOTH, "target").await;
    // Its own coming: from here on others know it.
    presence(&mut peer, membership.member).await;
    (peer, welcome, Membership { position: membership.position + 1, ..membership })
}

/// Somebody who watches, over the other transport.
async fn watcher(server: &TestServer, transport: Transport) -> (Peer, Membership) {
    let other = if transport == Transport::Tcp { Transport::WebSocket } else { Transport::Tcp };
    Peer::joined(server, other, "target").await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Here,
    Away,
    Left(Reason),
}

/// What is said next of a member.
async fn presence(peer: &mut Peer, member: u64) -> Seen {
    loop {
        let said = peer.said_as(Kind::Presence).await;
        if said.member == member {
            return match Presence::decode(&said.payload).unwrap() {
                Presence::Here { .. } => Seen::Here,
                Presence::Away => Seen::Away,
                Presence::Left(reason) => Seen::Left(reason),
                other => panic!("{other:?}"),
            };
        }
    }
}

/// JOINED, with its outcome.
async fn rejoined(peer: &mut Peer) -> (Membership, Outcome) {
    let frame = peer.control().await;
    let Command::Joined(answer) = command(&frame) else { panic!("{:?}", command(&frame)) };
    (joined(&frame), answer.outcome)
}

fn quick() -> RoomClasses {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::ZERO;
    classes
}

async fn start(change: impl FnOnce(&mut Limits)) -> TestServer {
    TestServer::build(Server::builder().limits(limits(change)).classes(quick())).await
}

#[tokio::test]
async fn a_session_goes_on_where_it_was_cut() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, welcome, mut since) = member(&server, transport).await;
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Here);
        peer.send(&[say::value(1, Key::member(3), b"kept"), say::event(1, b"one")].concat()).await;
        since.position = peer.event(b"one").await.position;
        drop(peer);
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Away);
        watcher.send(&say::event(1, b"missed")).await;
        watcher.event(b"missed").await;
        // Data and a join right behind HELLO: nothing waits for the answer.
        let behind = [say::event(1, b"early"), join_since(since)].concat();
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 0)), &behind).await;
        assert_eq!((again.resumed, again.accepted, again.lost), (true, 2, None));
        assert_ne!(again.token, welcome.token);
        let (back, outcome) = rejoined(&mut peer).await;
        assert_eq!((back, outcome), (since, Outcome::RECOVERED));
        // What was missed, the values, and what comes now.
        assert_eq!(peer.said_as(Kind::Event).await.payload, b"missed"[..]);
        let said = peer.said_as(Kind::Snapshot).await;
        assert_eq!((said.member, said.key, &said.payload[..]), (since.member, Some(6), &b"kept"[..]));
        assert_eq!(peer.said_as(Kind::Event).await.payload, b"early"[..]);
        // Both were in one chunk, so they are in one batch: who came, then events.
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Here);
        assert_eq!(watcher.event(b"early").await.member, since.member);
        // Data frames are counted on: value, two events, and this one.
        peer.send(&say::event(9, b"nowhere")).await;
        assert_eq!(peer.refused().await, (0, 4, Reason::NOT_JOINED));
        peer.send(&say::close(5)).await;
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Left(Reason::FINISHED));
        drop((watcher, peer));
        server.finish().await;
    }
}

#[tokio::test]
async fn directs_wait_until_they_are_confirmed() {
    for transport in BOTH {
        let server = start(|limits| limits.max_unconfirmed = 2).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, welcome, since) = member(&server, transport).await;
        watcher.send(&say::direct(1, since.member, b"1")).await;
        assert_eq!(direct(&mut peer).await, (1, Bytes::from_static(b"1")));
        peer.send(&confirming(1)).await;
        // The answer says that the ping was read.
        peer.next().await;
        drop(peer);
        presence_is(&mut watcher, since.member, Seen::Away).await;
        watcher.send(&say::direct(1, since.member, b"2")).await;
        watcher.send(&say::direct(1, since.member, b"3")).await;
        echo(&mut watcher).await;
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 1)), &[]).await;
        assert_eq!((again.resumed, again.lost), (true, None));
        assert_eq!(direct(&mut peer).await, (2, Bytes::from_static(b"2")));
        assert_eq!(direct(&mut peer).await, (3, Bytes::from_static(b"3")));
        drop(peer);
        // Two are kept: what is older is told as lost.
        for payload in [b"4", b"5", b"6"] {
            watcher.send(&say::direct(1, since.member, payload)).await;
        }
        echo(&mut watcher).await;
        let (mut peer, last) = greeted(&server, transport, Some((&again.token, 2)), &[]).await;
        assert_eq!((last.resumed, last.lost), (true, Some((3, 4))));
        assert_eq!(direct(&mut peer).await, (5, Bytes::from_static(b"5")));
        assert_eq!(direct(&mut peer).await, (6, Bytes::from_static(b"6")));
    }
}

/// The next direct: its number and what it says.
async fn direct(peer: &mut Peer) -> (u64, Bytes) {
    let Said { position, payload, .. } = peer.said_as(Kind::Direct).await;
    (position, payload)
}

/// What was sent before is done.
async fn echo(peer: &mut Peer) {
    peer.send(&say::event(1, b"echo")).await;
    peer.event(b"echo").await;
}

async fn presence_is(peer: &mut Peer, member: u64, wanted: Seen) {
    while presence(peer, member).await != wanted {}
}

#[tokio::test]
async fn refusals_are_told_again() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut peer, welcome, _) = member(&server, transport).await;
        // One that the session refuses, and one that the room does.
        peer.send(&[say::event(9, b"nowhere"), say::direct(1, 99, b"nobody"), say::event(1, b"fine")].concat()).await;
        for number in [1, 2] {
            assert_eq!(peer.refused().await.1, number);
        }
        peer.event(b"fine").await;
        drop(peer);
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 0)), &[]).await;
        assert_eq!((again.resumed, again.accepted), (true, 3));
        assert_eq!(peer.refused().await, (0, 1, Reason::NOT_JOINED));
        assert_eq!(peer.refused().await, (0, 2, Reason::NO_SUCH_MEMBER));
    }
}

#[tokio::test]
async fn a_living_connection_is_taken_over() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut old, welcome, since) = member(&server, transport).await;
        let (mut new, again) = greeted(&server, transport, Some((&welcome.token, 0)), &[]).await;
        assert!(again.resumed);
        assert_eq!(old.ended().await, ending(transport, Reason::TAKEN_OVER));
        // Silent and away, until it joins again.
        presence_is(&mut watcher, since.member, Seen::Away).await;
        new.send(&join_since(since)).await;
        assert_eq!(new.joining().await.member, since.member);
        assert_eq!(presence(&mut watcher, since.member).await, Seen::Here);
        new.send(&say::event(1, b"me")).await;
        assert_eq!(watcher.event(b"me").await.member, since.member);
        drop((old, new, watcher));
    }
}

#[tokio::test]
async fn a_welcome_that_is_lost_locks_nobody_out() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (peer, first, since) = member(&server, transport).await;
        drop(peer);
        let (peer, lost) = greeted(&server, transport, Some((&first.token, 0)), &[]).await;
        assert!(lost.resumed);
        drop(peer);
        // Its client has not heard it, and comes with the token it has.
        let (peer, second) = greeted(&server, transport, Some((&first.token, 0)), &[]).await;
        assert!(second.resumed);
        drop(peer);
        let (peer, third) = greeted(&server, transport, Some((&second.token, 0)), &[]).await;
        assert!(third.resumed);
        // Its successor was used: it is of no use any more, nor is the one that nobody heard.
        for dead in [&first.token, &lost.token] {
            assert!(!greeted(&server, transport, Some((dead, 0)), &[]).await.1.resumed);
        }
        drop(peer);
        let (mut peer, fourth) = greeted(&server, transport, Some((&third.token, 0)), &join_since(since)).await;
        assert!(fourth.resumed);
        assert_eq!(peer.joining().await.member, since.member);
    }
}

#[tokio::test]
async fn a_token_that_is_not_right_resumes_nothing_and_ends_nothing() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (_other, other) = greeted(&server, transport, None, &[]).await;
        let (mut peer, welcome, _) = member(&server, transport).await;
        let mixed = [&welcome.token[..8], &other.token[8..]].concat();
        let mut guessed = welcome.token.to_vec();
        *guessed.last_mut().unwrap() ^= 1;
        for token in [&mixed[..], &guessed, b"", b"short", &[0xff; 24], &[7; 64]] {
            let (_stranger, answer) = greeted(&server, transport, Some((token, 0)), &[]).await;
            assert_eq!((answer.resumed, answer.accepted), (false, 0), "{token:?}");
            assert!(!answer.token.is_empty());
        }
        peer.send(&say::event(1, b"still here")).await;
        peer.event(b"still here").await;
        drop(peer);
        assert!(greeted(&server, transport, Some((&welcome.token, 0)), &[]).await.1.resumed);
    }
}

#[tokio::test]
async fn whoever_comes_after_the_grace_is_told() {
    for transport in BOTH {
        let server = start(|limits| limits.grace = Duration::from_millis(1)).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (peer, welcome, since) = member(&server, transport).await;
        drop(peer);
        presence_is(&mut watcher, since.member, Seen::Left(Reason::FINISHED)).await;
        let (mut peer, again) = greeted(&server, transport, Some((&welcome.token, 0)), &join_since(since)).await;
        assert_eq!((again.resumed, again.accepted, again.lost), (false, 0, None));
        // The room is the same, and so is what was missed; the member is another.
        let (back, outcome) = rejoined(&mut peer).await;
        assert_eq!((back.epoch, outcome), (since.epoch, Outcome::RECOVERED));
        assert_ne!(back.member, since.member);
    }
}

#[tokio::test]
async fn so_many_sessions_wait_and_no_more() {
    for transport in BOTH {
        let server = start(|limits| limits.max_away = 1).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (first, one, since) = member(&server, transport).await;
        let (second, other, later) = member(&server, transport).await;
        drop(first);
        presence_is(&mut watcher, since.member, Seen::Away).await;
        drop(second);
        presence_is(&mut watcher, later.member, Seen::Left(Reason::FINISHED)).await;
        assert!(!greeted(&server, transport, Some((&other.token, 0)), &[]).await.1.resumed);
        let (first, again) = greeted(&server, transport, Some((&one.token, 0)), &join_since(since)).await;
        assert!(again.resumed);
        // The place is free again.
        let (third, welcome, _) = member(&server, transport).await;
        drop(third);
        assert!(greeted(&server, transport, Some((&welcome.token, 0)), &[]).await.1.resumed);
        drop(first);
    }
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_those_who_are_away() {
    for transport in BOTH {
        // Both the grace and the drain are longer than the test's patience.
        let mut server = start(|limits| limits.grace = Duration::from_secs(300)).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (peer, _, since) = member(&server, transport).await;
        drop(peer);
        presence_is(&mut watcher, since.member, Seen::Away).await;
        server.stop();
        let notice = watcher.control().await;
        assert!(matches!(command(&notice), Command::GoingAway(_)));
        presence_is(&mut watcher, since.member, Seen::Left(Reason::FINISHED)).await;
        drop(watcher);
        server.stopped().await;
    }
}

#[tokio::test]
async fn a_session_that_says_goodbye_is_over_at_once() {
    let goodbyes = [
        (Transport::Tcp, say::close(3)),
        (Transport::WebSocket, say::binary(&say::close(3))),
        (Transport::WebSocket, say::masked(0x88, &1000_u16.to_be_bytes())),
        // A violation ends it as well.
        (Transport::Tcp, vec![9, 0, 0, 0]),
    ];
    for (transport, goodbye) in goodbyes {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, welcome, since) = member(&server, transport).await;
        peer.send_raw(&goodbye).await;
        assert!(matches!(presence(&mut watcher, since.member).await, Seen::Here));
        assert!(matches!(presence(&mut watcher, since.member).await, Seen::Left(_)));
        assert!(!greeted(&server, transport, Some((&welcome.token, 0)), &[]).await.1.resumed);
        drop((peer, watcher));
        server.finish().await;
    }
}

#[tokio::test]
async fn without_the_capability_nothing_waits() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let mut peer = Peer::preamble(&server, transport).await;
        peer.send(&hello(ALL & !Capabilities::RESUME.0, None)).await;
        assert!(welcomed(&mut peer).await.token.is_empty());
        let membership = peer.join(1, Mode::BOTH, "target").await;
        assert_eq!(presence(&mut watcher, membership.member).await, Seen::Here);
        drop(peer);
        assert_eq!(presence(&mut watcher, membership.member).await, Seen::Left(Reason::FINISHED));
        drop(watcher);
        server.finish().await;
    }
}

#[tokio::test]
async fn whoever_was_closed_for_being_slow_may_come_back() {
    let server = start(|_| {}).await;
    let (mut watcher, _) = watcher(&server, Transport::WebSocket).await;
    let (near, far) = duplex(1024);
    let handle = server.handle.clone();
    tokio::spawn(async move { handle.attach_tcp(far).await });
    let mut peer = Peer::new(near, Transport::Tcp);
    peer.open("").await;
    peer.send(&hello(ALL, None)).await;
    let welcome = welcomed(&mut peer).await;
    let since = peer.join(1, Mode::BOTH, "target").await;
    // It reads nothing more. Its queue takes 256 KiB.
    let mut directs = 0;
    let is_away = |said: &Said| (said.kind, said.member, &said.payload[..]) == (Kind::Presence, since.member, &[2]);
    'full: loop {
        directs += 1;
        watcher.send(&[say::direct(1, since.member, &[7; 15_000]), say::event(1, b"next")].concat()).await;
        loop {
            let said = watcher.said().await;
            if is_away(&said) {
                break 'full;
            }
            if said.kind == Kind::Event {
                break;
            }
        }
    }
    assert_eq!(peer.ended().await, ending(Transport::Tcp, Reason::SLOW));
    let (mut peer, again) = greeted(&server, Transport::Tcp, Some((&welcome.token, 0)), &join_since(since)).await;
    // A quarter of the queue is kept: four of them.
    assert_eq!((again.resumed, again.lost), (true, Some((1, directs - 4))));
    assert_eq!(peer.joining().await.member, since.member);
}

#[tokio::test]
async fn a_session_that_comes_and_goes_quickly_fills_no_mailbox() {
    const TIMES: u64 = 300;
    for transport in BOTH {
        let server = start(|limits| {
            limits.max_connections = 4;
            limits.connection_chunks = 1;
            limits.joins_burst = 10_000;
        })
        .await;
        let (mut watcher, _) = watcher(&server, transport).await;
        let (mut peer, mut welcome, since) = member(&server, transport).await;
        for _ in 0..TIMES {
            let more = [join_since(since), say::event(1, b"again")].concat();
            // Half of the time the old connection is still there.
            let old = (welcome.accepted % 2 == 0).then_some(peer);
            let (new, again) = greeted(&server, transport, Some((&welcome.token, 0)), &more).await;
            assert!(again.resumed && again.accepted >= welcome.accepted);
            drop(old);
            (peer, welcome) = (new, again);
        }
        drop(peer);
        let (mut peer, last) = greeted(&server, transport, Some((&welcome.token, 0)), &join_since(since)).await;
        assert!(last.resumed);
        peer.send(&say::event(1, b"last")).await;
        // What was accepted was heard, and nothing else.
        let mut heard = 0;
        loop {
            let said = watcher.said_as(Kind::Event).await;
            if said.payload == b"last"[..] {
                break;
            }
            assert_eq!(said.member, since.member);
            heard += 1;
        }
        assert_eq!(heard, last.accepted);
        drop((peer, watcher));
    }
}

#[tokio::test]
async fn accepted_is_told_at_once_to_those_who_ask() {
    for transport in BOTH {
        let server = start(|_| {}).await;
        let (mut peer, _, _) = member(&server, transport).await;
        peer.send(&[say::event(1, b"one"), asking(b"two")].concat()).await;
        assert_eq!(accepted(&mut peer).await, 2);
        peer.send(&say::event(1, b"three")).await;
        peer.send(&asking(b"four")).await;
        assert_eq!(accepted(&mut peer).await, 4);
        // Without the capability it is refused.
        let mut plain = Peer::joined(&server, transport, "target").await.0;
        plain.send(&asking(b"one")).await;
        assert_eq!(plain.refused().await, (0, 1, Reason::CAPABILITY));
    }
}

async fn accepted(peer: &mut Peer) -> u64 {
    let frame = peer.control().await;
    let Command::Accepted(accepted) = command(&frame) else { panic!("{:?}", command(&frame)) };
    accepted.number
}

#[tokio::test]
async fn when_all_sessions_are_over_nothing_is_left() {
    for transport in BOTH {
        let mut classes = quick();
        classes.default.linger = Duration::ZERO;
        let limits = limits(|limits| limits.grace = Duration::from_millis(1));
        let server = TestServer::build(Server::builder().limits(limits).classes(classes)).await;
        let mut lives = Vec::new();
        for _ in 0..3 {
            let (peer, _, since) = member(&server, transport).await;
            lives.push(since.epoch);
            drop(peer);
            while server.handle.connections() > 0 {
                tokio::task::yield_now().await;
            }
        }
        // Each time the room was empty, and forgotten.
        lives.dedup();
        assert_eq!(lives.len(), 3);
        server.finish().await;
    }
}

#[tokio::test]
async fn a_session_that_goes_on_takes_no_strangers_place() {
    let server = start(|limits| limits.max_greeting = 1).await;
    let (peer, welcome, _) = member(&server, Transport::Tcp).await;
    drop(peer);
    // It says nothing more; another one must be let in.
    let (_silent, again) = greeted(&server, Transport::Tcp, Some((&welcome.token, 0)), &[]).await;
    assert!(again.resumed);
    let (_silent, fresh) = greeted(&server, Transport::Tcp, Some((&[1; 24], 0)), &[]).await;
    assert!(!fresh.resumed);
    Peer::hello(&server, Transport::Tcp).await;
}

#[tokio::test]
async fn a_stranger_who_guesses_does_not_disturb_whoever_comes_back() {
    for stranger_first in [true, false] {
        let server = start(|_| {}).await;
        let (peer, welcome, _) = member(&server, Transport::Tcp).await;
        drop(peer);
        let mut guessed = welcome.token.to_vec();
        *guessed.last_mut().unwrap() ^= 1;
        // Attached, so that both are read before the waiting session has its turn.
        let mut both = Vec::new();
        let tokens = if stranger_first { [&guessed[..], &welcome.token] } else { [&welcome.token[..], &guessed] };
        for token in tokens {
            let (near, far) = duplex(4096);
            let mut peer = Peer::new(near, Transport::Tcp);
            peer.open("").await;
            peer.send(&hello(ALL, Some((token, 0)))).await;
            let handle = server.handle.clone();
            tokio::spawn(async move { handle.attach_tcp(far).await });
            both.push(peer);
        }
        let mut resumed = Vec::new();
        for peer in &mut both {
            resumed.push(welcomed(peer).await.resumed);
        }
        assert_eq!(resumed, if stranger_first { [false, true] } else { [true, false] });
    }
}

#[tokio::test]
async fn a_join_on_a_resumed_session_is_one_of_the_same_member_number() {
    let server = start(|_| {}).await;
    let (peer, welcome, since) = member(&server, Transport::Tcp).await;
    drop(peer);
    let (mut peer, _) = greeted(&server, Transport::Tcp, Some((&welcome.token, 0)), &[]).await;
    // On another room the handle is taken; directs to itself go through before any join.
    peer.send(&say::join(8, 1, Mode::BOTH, "another")).await;
    assert_eq!(peer.refused().await, (8, 0, Reason::HANDLE_IN_USE));
    peer.send(&say::direct(1, since.member, b"me")).await;
    assert_eq!(direct(&mut peer).await, (1, Bytes::from_static(b"me")));
    peer.send(&join_since(since)).await;
    assert_eq!(peer.joining().await.member, since.member);
}
