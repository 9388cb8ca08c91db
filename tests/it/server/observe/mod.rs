//! What an operator sees: metrics, readiness, the access log, and rooms as events over HTTP.
//!
//! ```text
//! get          one request over a socket        stream   server-sent events, taken apart
//! exposition   a strict reader of metrics
//! ```

mod deploy;
mod events;
mod exposition;
mod health;
#[cfg(feature = "cli")]
mod log;
mod metrics;
mod slow;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};

use tickwire::server::{Builder, Handle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::exposition::Metrics;
use super::support::{TestServer, soon};

/// A server with an operators' address.
async fn observed(builder: Builder) -> TestServer {
    TestServer::build(builder.admin(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))).await
}

/// An answer.
pub struct Answer {
    pub status: u16,
    /// In small letters.
    pub head: String,
    pub body: String,
}

/// One request, and everything up to the end of the connection.
pub async fn ask(addr: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut io = soon(TcpStream::connect(addr), "a connection").await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    soon(io.write_all(request.as_bytes()), "the server to read").await.unwrap();
    let mut bytes = Vec::new();
    soon(io.read_to_end(&mut bytes), "the end of an answer").await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    ask(addr, "GET", path, "").await
}

/// The page of a server, read strictly.
async fn metrics(server: &Handle) -> Metrics {
    Metrics::read(&soon(server.metrics(), "metrics").await)
}

/// Looks until the page is as it should be: where a peer's leaving is seen by the server alone.
async fn eventually(server: &Handle, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
    let seen = async {
        loop {
            let page = metrics(server).await;
            if holds(&page) {
                return page;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(seen, what).await
}
