//! Our own client against the server: what both know beyond the minimal profile (PROTOCOL 12).

use std::net::SocketAddr;

use tickwire::client::{Client, ClientConfig, Error, Event, Membership, What};
use tickwire::limits::Limits;
use tickwire::wire::control::{Mode, Outcome};
use tickwire::wire::{Key, Kind};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::support::{BOTH, TestServer, Transport, soon};

/// A cable between a client and the server, which can be cut.
pub struct Cable {
    pub addr: SocketAddr,
    relay: JoinHandle<()>,
}

impl Cable {
    pub async fn new(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let relay = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(server).await.unwrap();
            let _cut = copy_bidirectional(&mut client, &mut server).await;
        });
        Self { addr, relay }
    }

    pub fn cut(self) {
        self.relay.abort();
    }
}

fn config(server: &TestServer, transport: Transport, path: &str) -> ClientConfig {
    config_at(server.addr(transport), transport, path)
}

fn config_at(addr: SocketAddr, transport: Transport, path: &str) -> ClientConfig {
    let url = match transport {
        Transport::Tcp => format!("tcp://{addr}"),
        Transport::WebSocket => format!("ws://{addr}{path}"),
    };
    ClientConfig::new(url.parse().unwrap())
}

async fn connect(server: &TestServer, transport: Transport) -> Client {
    soon(Client::connect(&config(server, transport, "/ws")), "a connection").await.unwrap()
}

/// Events of a room up to one that ends in `!`, as text.
async fn events(client: &mut Client) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let event = soon(client.next(), "the next event").await.unwrap();
        let Event::Batch(batch) = event else { continue };
        for record in batch.records().filter(|_| batch.kind() == Kind::Event) {
            events.push(String::from_utf8_lossy(record.payload).into_owned());
            if record.payload.ends_with(b"!") {
                return events;
            }
        }
    }
}

async fn joined_again(client: &mut Client) -> Membership {
    loop {
        if let Event::Joined { membership, .. } = soon(client.next(), "the join's answer").await.unwrap() {
            return membership;
        }
    }
}

#[tokio::test]
async fn a_client_that_is_cut_goes_on_where_it_was() {
    let server = TestServer::start(Limits::default()).await;
    for transport in BOTH {
        let room = format!("resume/{transport:?}");
        let mut other = connect(&server, transport).await;
        let others = other.join(&room, Mode::BOTH).await.unwrap();
        let cable = Cable::new(server.addr(transport)).await;
        let mut cut = soon(Client::connect(&config_at(cable.addr, transport, "/ws")), "a connection").await.unwrap();
        let before = cut.join(&room, Mode::BOTH).await.unwrap();
        other.event(others.handle, b"seen!").await.unwrap();
        assert_eq!(events(&mut cut).await, ["seen!"]);

        let point = cut.resume_point().expect("the server resumes");
        cable.cut();
        for text in ["missed", "missed too!"] {
            other.event(others.handle, text.as_bytes()).await.unwrap();
        }
        other.direct(others.handle, before.member, b"psst").await.unwrap();
        assert_eq!(events(&mut other).await, ["seen!"]);
        assert_eq!(events(&mut other).await, ["missed", "missed too!"]);

        let resuming = config(&server, transport, "/ws");
        let (mut back, resumed) = soon(Client::resume(&resuming, &point), "the session").await.unwrap();
        assert!(resumed.session && resumed.lost_directs.is_none(), "{resumed:?}");
        let after = joined_again(&mut back).await;
        assert_eq!((after.member, after.handle, after.outcome), (before.member, before.handle, Outcome::RECOVERED));
        assert_eq!(events(&mut back).await, ["missed", "missed too!"]);
        back.event(before.handle, b"here again!").await.unwrap();
        assert_eq!(events(&mut other).await, ["here again!"]);
    }
    server.finish().await;
}

#[tokio::test]
async fn the_room_of_the_address_is_joined_again_too() {
    let server = TestServer::start(Limits::default()).await;
    let cable = Cable::new(server.addr(Transport::WebSocket)).await;
    let config = config(&server, Transport::WebSocket, "/ws/by/path");
    let cut = config_at(cable.addr, Transport::WebSocket, "/ws/by/path");
    let mut cut = soon(Client::connect(&cut), "a connection").await.unwrap();
    let before = joined_again(&mut cut).await;
    cut.event(before.handle, b"one!").await.unwrap();
    assert_eq!(events(&mut cut).await, ["one!"]);
    let point = cut.resume_point().expect("the server resumes");
    cable.cut();
    let (mut back, resumed) = soon(Client::resume(&config, &point), "the session").await.unwrap();
    let after = joined_again(&mut back).await;
    assert_eq!((resumed.session, after.member, after.outcome), (true, before.member, Outcome::RECOVERED));
    drop(back);
    server.finish().await;
}

#[tokio::test]
async fn batches_are_compressed_on_their_way_to_a_client() {
    let server = TestServer::start(Limits::default()).await;
    for transport in BOTH {
        let mut client = connect(&server, transport).await;
        let room = client.join("compressed", Mode::BOTH).await.unwrap();
        let text = "all work and no play ".repeat(100) + "!";
        client.event(room.handle, text.as_bytes()).await.unwrap();
        client.value(room.handle, Key::member(1), text.as_bytes()).await.unwrap();
        assert_eq!(events(&mut client).await, [text]);
        client.close().await.unwrap();
    }
    server.finish().await;
}

#[tokio::test]
async fn a_client_pauses_and_comes_back_to_the_latest_values() {
    let server = TestServer::start(Limits::default()).await;
    let mut sender = connect(&server, Transport::Tcp).await;
    let room = sender.join("paused", Mode::BOTH).await.unwrap();
    let mut client = connect(&server, Transport::WebSocket).await;
    let own = client.join("paused", Mode::BOTH).await.unwrap();
    client.receive(own.handle, What::Paused).await.unwrap();
    sender.event(room.handle, b"unheard!").await.unwrap();
    sender.value(room.handle, Key::room(7), b"latest").await.unwrap();
    assert_eq!(events(&mut sender).await, ["unheard!"]);
    client.receive(own.handle, What::All).await.unwrap();
    let (mut gap, mut latest) = (None, Vec::new());
    while latest.is_empty() {
        match soon(client.next(), "gap and snapshot").await.unwrap() {
            Event::Gap { from, to, .. } => gap = Some((from, to)),
            Event::Snapshot(batch) => latest.extend(batch.records().map(|record| record.payload.to_vec())),
            Event::Batch(batch) => assert_ne!(batch.kind(), Kind::Event, "paused"),
            _ => {}
        }
    }
    assert!(gap.is_some_and(|(from, to)| to >= from), "{gap:?}");
    assert_eq!(latest, [b"latest"]);
    drop((sender, client));
    server.finish().await;
}

#[tokio::test]
async fn members_come_in_pages() {
    let server = TestServer::start(Limits::default()).await;
    let mut client = connect(&server, Transport::Tcp).await;
    let room = client.join("pages", Mode::BOTH).await.unwrap();
    client.event(room.handle, b"told!").await.unwrap();
    assert_eq!(events(&mut client).await, ["told!"]);
    let members = soon(client.members(room.handle), "the members").await.unwrap();
    assert_eq!(members.iter().map(|member| member.number).collect::<Vec<_>>(), [room.member]);
    let unknown = client.members(tickwire::wire::Handle(99)).await;
    assert!(matches!(unknown, Err(Error::Refused(_))), "{unknown:?}");
    drop(client);
    server.finish().await;
}
