//! What operators ask and do over HTTP, with keys.
//!
//! ```text
//! ask ──one request over a socket──> answer, as JSON
//! ```

mod bounds;
mod keys;
mod look;
mod manage;
mod publish;
mod rooms;
mod scopes;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tickwire::grants::Grants;
use tickwire::identity::Identity;
use tickwire::server::api::{ApiKey, Scope};
use tickwire::server::identify::{Identified, Identify, Identifying};
use tickwire::server::{Builder, Server};
use tickwire::wire::control::{Command, Hello, Mode};
use tickwire::wire::extension::kind;
use tickwire::wire::{Capabilities, Control, Extensions, RequestId, put_extension};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::hear::Membership;
use super::peer::Peer;
use super::support::{TestServer, Transport, limits, soon};

/// A key for everything.
const ALL: &str = "all-0123456789abcdef";

/// One for each scope.
const READ: &str = "read-0123456789abcdef";
const PUBLISH: &str = "publish-0123456789abcdef";
const MANAGE: &str = "manage-0123456789abcdef";

fn key(name: &str, key: &str, scopes: &[Scope]) -> ApiKey {
    ApiKey::new(name, key, scopes).unwrap()
}

fn keys() -> Vec<ApiKey> {
    vec![
        key("all", ALL, &[Scope::Read, Scope::Publish, Scope::Manage]),
        key("read", READ, &[Scope::Read]),
        key("publish", PUBLISH, &[Scope::Publish]),
        key("manage", MANAGE, &[Scope::Manage]),
    ]
}

/// A server with these keys.
async fn start() -> TestServer {
    build(Server::builder().limits(limits(|_| {})).api_keys(keys())).await
}

async fn build(builder: Builder) -> TestServer {
    TestServer::build(builder.admin(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))).await
}

/// An answer.
struct Answer {
    status: u16,
    /// In small letters.
    head: String,
    body: Value,
}

impl Answer {
    /// Status and name of a request that was not done, which says why in three ways.
    #[track_caller]
    fn refused(&self) -> (u16, &str) {
        assert!(self.body["reason"].is_u64() && self.body["message"].as_str().is_some_and(|text| text.ends_with('.')));
        assert_eq!(self.body.as_object().unwrap().len(), 3, "{}", self.body);
        (self.status, self.body["name"].as_str().unwrap())
    }

    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

/// One request with these bytes behind its head, and everything up to the end of the connection.
async fn send(server: &TestServer, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut io = soon(TcpStream::connect(server.admin.unwrap()), "a connection").await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    soon(io.write_all(&[head.as_bytes(), body].concat()), "the server to read").await.unwrap();
    let mut bytes = Vec::new();
    soon(io.read_to_end(&mut bytes), "the end of an answer").await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/json") && head.contains("cache-control: no-store"), "{head}");
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    Answer { status, head, body }
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

async fn get(server: &TestServer, path: &str) -> Answer {
    send(server, "GET", path, &bearer(ALL), b"").await
}

/// One request with a body of JSON.
async fn post(server: &TestServer, key: &str, path: &str, body: &Value) -> Answer {
    put(server, key, ("POST", path), "application/json", body.to_string().as_bytes()).await
}

/// One request with a body.
async fn put(server: &TestServer, key: &str, (method, path): (&str, &str), media: &str, body: &[u8]) -> Answer {
    let headers = format!("{}Content-Type: {media}\r\nContent-Length: {}\r\n", bearer(key), body.len());
    send(server, method, path, &headers, body).await
}

/// Believes everybody who says a name, which may everything.
struct Believes;

impl Identify for Believes {
    fn identify(&self, token: &[u8]) -> Identifying {
        let (subject, token) = (Bytes::copy_from_slice(token), Bytes::from([b"token of ", token].concat()));
        let identity = Identity { subject, token, grants: Arc::new(Grants::all()), info: Bytes::new() };
        Identifying::Now(Ok(Identified { identity: Arc::new(identity), expires: None, issued: None }))
    }
}

/// A server whose clients have names.
async fn named() -> TestServer {
    build(Server::builder().limits(limits(|_| {})).api_keys(keys()).identify(Believes).shards(2)).await
}

/// Somebody in a room.
async fn member(server: &TestServer, name: &str, room: &str) -> (Peer, Membership) {
    let mut peer = Peer::preamble(server, Transport::Tcp).await;
    let mut list = Vec::new();
    put_extension(kind::TOKEN, name.as_bytes(), &mut list);
    let extensions = Extensions::from_encoded(&list).unwrap();
    let hello = Hello { capabilities: Capabilities::TOKEN, max_record: 0, max_frame: 0, extensions };
    let mut bytes = Vec::new();
    Control::new(RequestId(1), Command::Hello(hello)).encode(&mut bytes);
    peer.send(&bytes).await;
    let _welcome = peer.control().await;
    let membership = peer.join(1, Mode::BOTH, room).await;
    (peer, membership)
}
