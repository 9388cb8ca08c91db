//! The operators' page and its figures: who sees them, what they say, and what they cost.
//!
//! ```text
//! entry   who gets in, and who does not          page     the files over HTTP
//! feed    what the figures say                   inside   an operator in a room
//! ```

mod entry;
mod feed;
mod inside;
mod page;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use tickwire::client::{Client, ClientConfig, Error, Event, Token};
use tickwire::name::Pattern;
use tickwire::server::api::{ApiKey, Scope};
use tickwire::server::console::FEED;
use tickwire::server::{Builder, Server};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind};

use super::support::{TestServer, limits, soon};

/// A key that may read.
const KEY: &str = "0123456789abcdef";

/// One that may not.
const WRITER: &str = "writes-and-reads-not";

/// One that may read some rooms, with all that a key can have.
const SOME: &str = "some-rooms.only_~+/=";

async fn start() -> TestServer {
    build(Server::builder().limits(limits(|_| {}))).await
}

async fn build(builder: Builder) -> TestServer {
    TestServer::build(keyed(builder)).await
}

/// With an operators' address, and a key.
fn keyed(builder: Builder) -> Builder {
    let keys = vec![
        ApiKey::new("ops", KEY, &[Scope::Read]).unwrap(),
        ApiKey::new("writer", WRITER, &[Scope::Publish]).unwrap(),
        ApiKey::new("some", SOME, &[Scope::Read]).unwrap().in_rooms(vec![Pattern::new("game/*").unwrap()]).unwrap(),
    ];
    builder.admin(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).api_keys(keys)
}

fn config(server: &TestServer, key: Option<&str>) -> ClientConfig {
    let url = format!("ws://{}/admin/ws", server.admin.unwrap());
    let mut config = ClientConfig::new(url.parse().unwrap());
    config.bearer = key.map(|key| Token::new(key.to_owned()));
    config
}

async fn try_connect(server: &TestServer, key: Option<&str>) -> Result<Client, Error> {
    soon(Client::connect(&config(server, key)), "a connection").await
}

async fn operator(server: &TestServer) -> Client {
    try_connect(server, Some(KEY)).await.unwrap()
}

/// An operator in the room of the figures.
async fn watcher(server: &TestServer) -> Client {
    let mut client = operator(server).await;
    soon(client.join(FEED, Mode::RECEIVE), "the feed").await.unwrap();
    client
}

/// Room values as they come, by key, each told whether it is news and no snapshot.
async fn values(client: &mut Client) -> Vec<(u64, Value, bool)> {
    loop {
        let event = soon(client.next(), "figures").await.unwrap();
        let (Event::Batch(batch) | Event::Snapshot(batch)) = event else { continue };
        let read = |record: tickwire::wire::Record<'_>| {
            let key = Key::from_wire(record.key?);
            let value = serde_json::from_slice(record.payload).unwrap_or_default();
            key.is_room().then(|| (key.number(), value, batch.kind() == Kind::Value))
        };
        let values: Vec<_> = batch.records().filter_map(read).collect();
        if !values.is_empty() {
            return values;
        }
    }
}

/// The next value of this key, not from a snapshot, for which this holds.
async fn news(client: &mut Client, key: u64, holds: impl Fn(&Value) -> bool) -> Value {
    let seen = async {
        loop {
            let found = values(client).await.into_iter().find(|(at, value, new)| *at == key && *new && holds(value));
            if let Some((_, value, _)) = found {
                return value;
            }
        }
    };
    soon(seen, "a value of the feed").await
}
