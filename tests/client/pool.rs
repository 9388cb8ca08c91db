//! Connections that are lent, used again, checked and replaced.

use std::time::Duration;

use futures_util::FutureExt;
use tickwire::client::pool::{Pool, PoolConfig, PoolError, PoolStatus};
use tickwire::client::{Client, Event};
use tickwire::wire::control::Mode;

use super::support::{TestServer, Wire, config, soon};

/// Never checked, unless a test says so.
const LONG: Duration = Duration::from_secs(3600);

fn pool(config: PoolConfig) -> Pool {
    Pool::new(config.connections(2).check(LONG, Duration::from_secs(5)))
}

fn status(pool: &Pool) -> (usize, usize) {
    let PoolStatus { lent, idle, .. } = pool.status();
    (lent, idle)
}

/// Payloads of the events that a member hears, until there are so many.
async fn hear(client: &mut Client, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        if let Event::Batch(batch) = soon(client.next(), "a batch").await.unwrap() {
            heard.extend(batch.records().map(|record| String::from_utf8_lossy(record.payload).into_owned()));
        }
    }
    heard
}

#[tokio::test]
async fn connections_and_their_rooms_are_used_again() {
    let server = TestServer::start().await;
    let pool = pool(PoolConfig::new(server.config()));
    let mut listener = Client::connect(&server.config()).await.unwrap();
    listener.join("arena", Mode::RECEIVE).await.unwrap();
    assert_eq!(status(&pool), (0, 0), "none before it is needed");
    for text in ["one", "two", "three"] {
        let mut connection = pool.get().await.unwrap();
        assert_eq!(status(&pool), (1, 0));
        let arena = connection.room("arena").await.unwrap();
        connection.event(arena, text.as_bytes()).await.unwrap();
        drop(connection);
        assert_eq!(status(&pool), (0, 1));
    }
    assert_eq!(hear(&mut listener, 3).await, ["one", "two", "three"]);
    assert_eq!(server.handle.connections(), 2, "the listener and one of the pool");
    pool.close().await;
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
    listener.close().await.unwrap();
    server.finish().await;
}

#[tokio::test]
async fn there_are_no_more_than_may_be() {
    let server = TestServer::start().await;
    let pool = pool(PoolConfig::new(server.config()).wait(Duration::from_millis(20)));
    let (one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert!(matches!(pool.get().await, Err(PoolError::Busy)));
    assert_eq!(server.handle.connections(), 2);
    // A wait that is dropped leaves its place to others.
    assert!(pool.get().now_or_never().is_none());
    drop(one);
    let again = pool.get().await.unwrap();
    assert_eq!(status(&pool), (2, 0));
    two.discard();
    assert_eq!(status(&pool), (1, 0), "ended instead of given back");
    drop(again);
    pool.close().await;
    server.finish().await;
}

#[tokio::test]
async fn what_broke_is_replaced() {
    let server = TestServer::start().await;
    let wire = Wire::to(server.tcp).await;
    let pool = pool(PoolConfig::new(config(wire.addr)));
    let (mut one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    one.room("arena").await.unwrap();
    drop(two);
    wire.cut();
    // The one that is lent notices when it is used.
    assert!(soon(one.ping(), "the end").await.is_err());
    drop(one);
    assert_eq!(status(&pool), (0, 1), "what has ended does not come back");
    // The idle one is tried, and replaced.
    let mut connection = soon(pool.get(), "another connection").await.unwrap();
    let arena = connection.room("arena").await.unwrap();
    connection.event(arena, b"works").await.unwrap();
    connection.ping().await.unwrap();
    assert_eq!(status(&pool), (1, 0));
    drop(connection);
    pool.close().await;
    server.finish().await;
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let server = TestServer::start().await;
    let pool = pool(PoolConfig::new(server.config()));
    drop(pool.get().await.unwrap());
    let addr = server.tcp;
    server.finish().await;
    assert!(matches!(soon(pool.get(), "an error").await, Err(PoolError::Connect(_))));
    assert_eq!(status(&pool), (0, 0), "the place is free again");
    let builder = tickwire::server::Server::builder().websocket(None).tcp(Some(addr));
    let again = soon(builder.bind(), "the same port").await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(again.run(async {
        let _stopped = stopped.await;
    }));
    let mut connection = soon(pool.get(), "a connection").await.unwrap();
    connection.ping().await.unwrap();
    drop(connection);
    pool.close().await;
    stop.send(()).unwrap();
    soon(running, "the server to return").await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_connection_answers_before_it_is_used() {
    let server = TestServer::start().await;
    // Checked at once, and nobody can answer in no time.
    let strict = Pool::new(PoolConfig::new(server.config()).check(Duration::ZERO, Duration::ZERO));
    drop(strict.get().await.unwrap());
    drop(strict.get().await.unwrap());
    let lax = Pool::new(PoolConfig::new(server.config()).check(Duration::ZERO, Duration::from_secs(5)));
    let mut first = lax.get().await.unwrap();
    let handle = first.room("r").await.unwrap();
    drop(first);
    let mut second = lax.get().await.unwrap();
    assert_eq!(second.room("r").await.unwrap(), handle, "the same connection");
    drop(second);
    strict.close().await;
    lax.close().await;
    server.finish().await;
}

#[tokio::test]
async fn what_is_not_as_new_is_not_lent_again() {
    let server = TestServer::start().await;
    let pool = pool(PoolConfig::new(server.config()));
    let mut connection = pool.get().await.unwrap();
    connection.join("mine", Mode::BOTH).await.unwrap();
    drop(connection);
    assert_eq!(status(&pool), (0, 0), "it is in a room of its own");
    let mut connection = pool.get().await.unwrap();
    let handle = connection.join("mine", Mode::BOTH).await.unwrap().handle;
    connection.leave(handle).await.unwrap();
    drop(connection);
    assert_eq!(status(&pool), (0, 1));
    pool.close().await;
    server.finish().await;
}

#[tokio::test]
async fn rooms_that_were_left_otherwise_are_joined_anew() {
    let server = TestServer::start().await;
    let pool = pool(PoolConfig::new(server.config()));
    let mut connection = pool.get().await.unwrap();
    let first = connection.room("r").await.unwrap();
    connection.leave(first).await.unwrap();
    let again = connection.room("r").await.unwrap();
    assert_ne!(first, again, "the same borrower");
    connection.leave(again).await.unwrap();
    drop(connection);
    assert_eq!(status(&pool), (0, 1));
    let mut connection = pool.get().await.unwrap();
    let third = connection.room("r").await.unwrap();
    assert_ne!(again, third, "the next one");
    connection.event(third, b"works").await.unwrap();
    // LEAVE is on its way, and the answer is not waited for.
    assert!(connection.leave(third).now_or_never().is_none());
    drop(connection);
    let mut connection = pool.get().await.unwrap();
    assert_ne!(connection.room("r").await.unwrap(), third, "behind a leave that was not waited for");
    drop(connection);
    pool.close().await;
    server.finish().await;
}

#[tokio::test]
async fn a_room_whose_place_was_taken_is_joined_anew() {
    let server = TestServer::start().await;
    let pool = pool(PoolConfig::new(server.config()));
    let mut connection = pool.get().await.unwrap();
    let first = connection.room("r0").await.unwrap();
    for n in 1..64 {
        connection.room(&format!("r{n}")).await.unwrap();
    }
    // It leaves the oldest, and is dropped before the answer.
    assert!(connection.room("one more").now_or_never().is_none());
    let again = connection.room("r0").await.unwrap();
    assert_ne!(first, again);
    connection.event(again, b"works").await.unwrap();
    drop(connection);
    pool.close().await;
    server.finish().await;
}
