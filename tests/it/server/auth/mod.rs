//! Clients that prove who they are, over real sockets (PROTOCOL 4.2, 6.14, 15.1).
//!
//! ```text
//! matrix    what each verb gives: every transport, live, from history and resumed
//! entry     where a token may come in, and what does not come in
//! renewal   newer tokens, expiry, revocation
//! reload    keys that come and go
//! ```

mod entry;
mod matrix;
mod reload;
mod renewal;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tickwire::auth::{Algorithm, Issuer, Key, SigningKey, Verifier};
use tickwire::class::{HistoryBounds, RoomClasses};
use tickwire::limits::Limits;
use tickwire::server::{Builder, Server};
use tickwire::wire::control::{Command, Hello, Join, Mode};
use tickwire::wire::extension::kind;
use tickwire::wire::{Capabilities, Control, Extensions, Handle, RequestId, put_extension, put_string, put_varint};

use super::hear::{Membership, command};
use super::peer::Peer;
use super::support::{BOTH, TestServer, Transport, limits};
use super::{hear, say, support};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Everything that this client can do.
const ALL: u64 = Capabilities::RESUME.0 | Capabilities::HISTORY.0 | Capabilities::TOKEN.0;

fn verifier() -> Verifier {
    let mut issuer = Issuer::default();
    issuer.keys = vec![Key::new(None, Algorithm::Hs256, SECRET).unwrap()];
    Verifier::new(vec![issuer], Duration::ZERO).unwrap()
}

fn builder(change: impl FnOnce(&mut Limits)) -> Builder {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::ZERO;
    classes.default.history = HistoryBounds::default();
    Server::builder().limits(limits(change)).classes(classes).identify(verifier())
}

async fn start() -> TestServer {
    TestServer::build(builder(|_| {})).await
}

/// A token for an hour.
fn token(subject: &str, rooms: Value) -> String {
    token_with(json!({ "sub": subject, "exp": now() + 3600, "rooms": rooms }))
}

fn token_with(claims: Value) -> String {
    SigningKey::new(None, Algorithm::Hs256, SECRET).unwrap().sign(&claims).unwrap()
}

/// What allows everything.
fn everything() -> Value {
    json!({ "**": ["join", "publish", "receive", "values", "direct", "history", "presence", "urgent"] })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn hello(token: Option<&str>, resume: Option<&[u8]>) -> Vec<u8> {
    let mut list = Vec::new();
    if let Some(token) = token {
        put_extension(kind::TOKEN, token.as_bytes(), &mut list);
    }
    if let Some(resume) = resume {
        let mut content = Vec::new();
        put_string(resume, &mut content);
        put_varint(0, &mut content);
        put_extension(kind::RESUME, &content, &mut list);
    }
    let extensions = Extensions::from_encoded(&list).unwrap();
    control(1, Command::Hello(Hello { capabilities: Capabilities(ALL), max_record: 0, max_frame: 0, extensions }))
}

/// JOIN on handle 1 by request 2, with what was heard before.
fn join(room: &str, mode: Mode, since: Option<Membership>) -> Vec<u8> {
    let mut list = Vec::new();
    if let Some(since) = since {
        let mut content = since.epoch.to_vec();
        put_varint(since.position, &mut content);
        put_extension(kind::SINCE, &content, &mut list);
    }
    let extensions = Extensions::from_encoded(&list).unwrap();
    control(2, Command::Join(Join { handle: Handle(1), mode, name: room.as_bytes(), extensions }))
}

fn control(request: u64, command: Command<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Control::new(RequestId(request), command).encode(&mut bytes);
    bytes
}

/// What a WELCOME says: the subject, the resume token, and whether the session is the old one.
struct Welcomed {
    subject: String,
    resume: Vec<u8>,
    resumed: bool,
}

async fn welcomed(peer: &mut Peer) -> Welcomed {
    let frame = peer.control().await;
    let Command::Welcome(welcome) = command(&frame) else { panic!("{:?}", command(&frame)) };
    let extension = |kind| welcome.extensions.get(kind).map(<[u8]>::to_vec).unwrap_or_default();
    let subject = String::from_utf8(extension(kind::SUBJECT)).unwrap();
    Welcomed { subject, resume: extension(kind::RESUME_TOKEN), resumed: welcome.flags & 1 != 0 }
}

/// A new connection with this token, which is welcome.
async fn come(server: &TestServer, transport: Transport, token: &str) -> (Peer, Welcomed) {
    let mut peer = Peer::preamble(server, transport).await;
    peer.send(&hello(Some(token), None)).await;
    let welcome = welcomed(&mut peer).await;
    (peer, welcome)
}
