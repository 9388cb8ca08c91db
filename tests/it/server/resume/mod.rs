//! Sessions that outlive their connections (PROTOCOL 12.1 to 12.3), over both transports.
//!
//! ```text
//! going_on   what stays the same, and what comes again      tokens   who may have a session
//! ending     when it is over
//! ```

mod ending;
mod going_on;
mod tokens;

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
use super::support::{BOTH, TestServer, Transport, ending, limits, soon};

const ALL: u64 = Capabilities::RESUME.0 | Capabilities::HISTORY.0 | Capabilities::ACCEPTED.0;

/// What a WELCOME says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcomed {
    pub resumed: bool,
    pub accepted: u64,
    pub token: Bytes,
    pub lost: Option<(u64, u64)>,
}

pub fn hello(capabilities: u64, resume: Option<(&[u8], u64)>) -> Vec<u8> {
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

pub async fn welcomed(peer: &mut Peer) -> Welcomed {
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
pub async fn greeted(
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

async fn accepted(peer: &mut Peer) -> u64 {
    let frame = peer.control().await;
    let Command::Accepted(accepted) = command(&frame) else { panic!("{:?}", command(&frame)) };
    accepted.number
}
