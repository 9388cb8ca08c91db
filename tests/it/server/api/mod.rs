//! What operators ask and do over HTTP, with keys.
//!
//! ```text
//! ask ──one request over a socket──> answer, as JSON
//! ```

mod keys;
mod rooms;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use tickwire::server::api::{ApiKey, Scope};
use tickwire::server::{Builder, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{TestServer, limits, soon};

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
