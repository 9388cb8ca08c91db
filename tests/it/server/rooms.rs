//! Rooms as their members see them, over both transports at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tickwire::class::{RoomClass, RoomClasses};
use tickwire::server::Server;
use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Key, Kind, Presence, Reason};

use super::hear::{Membership, Said, command};
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, limits};

/// Reads until so many events have come, and checks that no position was missing.
async fn events(peer: &mut Peer, since: u64, count: usize) -> Vec<Said> {
    let (mut last, mut events) = (since, Vec::new());
    while events.len() < count {
        let said = peer.said().await;
        if said.kind.is_numbered() {
            assert!(said.position == last || said.position == last + 1, "{} follows {last}", said.position);
            last = said.position;
        }
        if said.kind == Kind::Event {
            events.push(said);
        }
    }
    events
}

/// The echo included, each sender's own are in the order in which it sent them.
fn check_orders(events: &[Said], members: &[(Peer, Membership)], each: u16) {
    for (_, Membership { member, .. }) in members {
        let own = events.iter().filter(|said| said.member == *member);
        assert!(own.map(|said| said.payload.to_vec()).eq((0..each).map(|number| number.to_be_bytes().to_vec())));
    }
}

#[tokio::test]
async fn members_see_the_same_events_in_the_same_order_whatever_they_speak() {
    const EACH: u16 = 200;
    let server = TestServer::start(limits(|_| {})).await;
    let mut members = Vec::new();
    for transport in [Transport::Tcp, Transport::WebSocket, Transport::Tcp, Transport::WebSocket] {
        members.push(Peer::joined(&server, transport, "lobby").await);
    }
    for number in 0..EACH {
        for (peer, _) in &mut members {
            peer.send(&say::event(1, &number.to_be_bytes())).await;
        }
    }
    let mut seen = Vec::new();
    for (peer, membership) in &mut members {
        seen.push(events(peer, membership.position, usize::from(EACH) * 4).await);
    }
    assert!(seen.iter().all(|events| *events == seen[0]));
    check_orders(&seen[0], &members, EACH);
    drop(members);
    server.finish().await;
}

/// What comes while a hundred are written to is read in between, and must neither overtake nor get lost.
#[tokio::test]
async fn many_members_without_a_tick_see_the_same_order() {
    const MEMBERS: u16 = 80;
    const EACH: u16 = 8;
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::ZERO;
    let server = TestServer::build(Server::builder().classes(classes).shards(1)).await;
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        members.push(Peer::joined(&server, BOTH[usize::from(number % 2)], "lobby").await);
    }
    for number in 0..EACH {
        for (peer, _) in &mut members {
            peer.send(&say::event(1, &number.to_be_bytes())).await;
        }
    }
    let mut seen = Vec::new();
    for (peer, membership) in &mut members {
        seen.push(events(peer, membership.position, usize::from(EACH * MEMBERS)).await);
    }
    assert!(seen.iter().all(|events| *events == seen[0]));
    check_orders(&seen[0], &members, EACH);
    drop(members);
    server.finish().await;
}

#[tokio::test]
async fn a_direct_reaches_one_member_and_nobody_else() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut from, sender) = Peer::joined(&server, Transport::Tcp, "lobby").await;
    for transport in BOTH {
        let (mut to, receiver) = Peer::joined(&server, transport, "lobby").await;
        let (mut other, bystander) = Peer::joined(&server, transport, "lobby").await;
        from.send(&say::direct(1, receiver.member, b"for you")).await;
        from.send(&say::direct(1, bystander.member, b"for the other")).await;
        for (peer, payload) in [(&mut to, &b"for you"[..]), (&mut other, b"for the other")] {
            let said = peer.said_as(Kind::Direct).await;
            // Number 1 proves that none came before.
            let expected = (1, sender.member, Some(0), payload);
            assert_eq!((said.position, said.member, said.key, &said.payload[..]), expected);
        }
    }
    drop(from);
    server.finish().await;
}

#[tokio::test]
async fn a_member_that_only_publishes_hears_nothing_but_directs() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut other, host) = Peer::joined(&server, Transport::Tcp, "sensors").await;
    for transport in BOTH {
        let mut device = Peer::hello(&server, transport).await;
        let device_member = device.join(1, Mode::PUBLISH, "sensors").await.member;
        device.send(&say::event(1, b"21.5")).await;
        other.event(b"21.5").await;
        let all = [say::event(1, b"noise"), say::value(1, Key::member(1), b"noise")].concat();
        other.send(&[all, say::direct(1, device_member, b"reboot")].concat()).await;
        let said = device.said().await;
        assert_eq!((said.kind, said.member, &said.payload[..]), (Kind::Direct, host.member, &b"reboot"[..]));
    }
    drop(other);
    server.finish().await;
}

#[tokio::test]
async fn presence_tells_who_came_changed_and_left() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut watcher, _) = Peer::joined(&server, Transport::WebSocket, "lobby").await;
    here(&mut watcher, 1, b"").await;
    for transport in BOTH {
        let mut guest = Peer::hello(&server, transport).await;
        guest.send(&say::join_showing(2, 1, Mode::BOTH.with(Mode::MEMBERS), "lobby", Some(b"hat"))).await;
        let member = guest.joining().await.member;
        // Who was here before, as of the last flush; the guest itself comes with the next.
        let first = guest.said().await;
        assert_eq!((first.kind, first.member), (Kind::Members, 1));
        here(&mut watcher, member, b"hat").await;
        guest.send(&say::set_presence(3, 1, b"no hat")).await;
        assert!(matches!(command(&guest.control().await), Command::Done(_)));
        here(&mut watcher, member, b"no hat").await;
        match transport {
            Transport::Tcp => guest.send(&say::leave(4, 1)).await,
            Transport::WebSocket => drop(guest),
        }
        assert_eq!(watcher.left(member).await, Reason::FINISHED);
    }
    drop(watcher);
    server.finish().await;
}

async fn here(watcher: &mut Peer, member: u64, data: &[u8]) {
    loop {
        let said = watcher.said_as(Kind::Presence).await;
        if said.member == member {
            let expected = Presence::Here { subject: b"", data };
            assert_eq!(Presence::decode(&said.payload).unwrap(), expected);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_is_in_rooms_on_every_shard() {
    const ROOMS: u64 = 16;
    let server = TestServer::build(Server::builder().shards(4).limits(limits(|_| {}))).await;
    for transport in BOTH {
        let mut one = Peer::hello(&server, transport).await;
        let mut other = Peer::hello(&server, Transport::Tcp).await;
        let mut rooms = HashMap::new();
        for handle in 1..=ROOMS {
            let name = format!("{transport:?}:{handle}");
            let joined = one.join(handle, Mode::BOTH, &name).await;
            assert_eq!(other.join(handle, Mode::BOTH, &name).await.room, joined.room);
            rooms.insert(joined.room, handle);
        }
        assert_eq!(rooms.len() as u64, ROOMS, "rooms have ids of their own, whatever their shard");
        // Everything in one chunk: it is taken apart by shard, and answered by all.
        let payload = |handle: u64| [7, u8::try_from(handle).unwrap()];
        let chunk = (1..=ROOMS).flat_map(|handle| say::event(handle, &payload(handle))).collect::<Vec<_>>();
        one.send(&chunk).await;
        for peer in [&mut one, &mut other] {
            let mut waiting = rooms.keys().copied().collect::<HashSet<_>>();
            while !waiting.is_empty() {
                let said = peer.said_as(Kind::Event).await;
                assert_eq!(said.payload, payload(rooms[&said.room])[..]);
                assert!(waiting.remove(&said.room), "an event came twice");
            }
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn the_path_of_a_request_names_a_room_to_join() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut member, membership) = Peer::joined(&server, Transport::Tcp, "game:1/@x").await;
    for path in ["/ws/game:1/@x", "/ws/game%3A1%2F%40x", "/ws/%67ame:1/@x?ignored=1"] {
        let mut guest = Peer::socket(&server, Transport::WebSocket).await;
        guest.open(path).await;
        // Data in the same message as hello: the room is joined by then, as handle 0.
        guest.send(&[say::hello(), say::event(0, path.as_bytes())].concat()).await;
        assert!(matches!(command(&guest.control().await), Command::Welcome(_)));
        let joined = guest.joining().await;
        assert_eq!((joined.room, joined.epoch), (membership.room, membership.epoch));
        member.event(path.as_bytes()).await;
        guest.event(path.as_bytes()).await;
    }
    for path in ["/ws/", "/ws/a%20b", "/ws/%ff%fe", "/ws/a%00", &format!("/ws/{}", "x".repeat(65))] {
        let mut guest = Peer::socket(&server, Transport::WebSocket).await;
        guest.open(path).await;
        guest.greet().await;
        assert_eq!(guest.refused().await, (0, 0, Reason::ROOM_NAME), "{path}");
        guest.join(1, Mode::BOTH, "elsewhere").await;
    }
    drop(member);
    server.finish().await;
}

#[tokio::test]
async fn nothing_of_a_room_follows_left() {
    let server = TestServer::start(limits(|_| {})).await;
    let (mut other, _) = Peer::joined(&server, Transport::Tcp, "lobby").await;
    other.join(2, Mode::BOTH, "next-door").await;
    for transport in BOTH {
        let (mut peer, membership) = Peer::joined(&server, transport, "lobby").await;
        let next_door = peer.join(2, Mode::BOTH, "next-door").await;
        // What is published behind LEAVE in the same chunk is refused.
        peer.send(&[say::leave(9, 1), say::event(1, b"too late")].concat()).await;
        assert_eq!(peer.refused().await, (0, 1, Reason::NOT_JOINED));
        loop {
            if let Command::Left(left) = command(&peer.control().await) {
                assert_eq!((left.handle.0, left.reason), (1, Reason::FINISHED));
                break;
            }
        }
        other.left(membership.member).await;
        // Flushed, as its echo proves, before what then comes from the other room.
        other.send(&say::event(1, b"gossip")).await;
        other.event(b"gossip").await;
        other.send(&say::direct(2, next_door.member, b"psst")).await;
        loop {
            let said = peer.said().await;
            assert!(said.room == next_door.room || said.payload != b"gossip"[..], "{said:?}");
            if said.kind == Kind::Direct {
                break;
            }
        }
        // The handle is free again, and the room the same.
        let again = peer.join(1, Mode::BOTH, "lobby").await;
        assert_eq!((again.room, again.epoch), (membership.room, membership.epoch));
        assert!(again.position > membership.position && again.member != membership.member);
    }
    drop(other);
    server.finish().await;
}

#[tokio::test]
async fn an_urgent_event_takes_what_was_before_it_along() {
    let mut classes = RoomClasses::default();
    // Longer than the test's patience: only an early flush can send anything.
    classes.default.period = RoomClass::MAX_PERIOD;
    let server = TestServer::build(Server::builder().classes(classes).limits(limits(|_| {}))).await;
    for transport in BOTH {
        let room = format!("{transport:?}");
        let (mut peer, _) = Peer::joined(&server, transport, &room).await;
        peer.send(&[say::event(1, b"first"), say::urgent_event(1, b"now")].concat()).await;
        let both = [peer.said_as(Kind::Event).await, peer.said_as(Kind::Event).await];
        assert_eq!(both.map(|said| said.payload), [&b"first"[..], b"now"]);
    }
    server.finish().await;
}
