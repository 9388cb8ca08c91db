//! A server from outside, while it runs: connections that an application hands over, what is there, and who is
//! to go.
//!
//! ```text
//! application ──stream──> Handle::attach ──> a connection, as a task of its own
//! listener ────socket───> Handle::admit ───> a connection, on a worker
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

#[cfg(feature = "tls")]
use super::Tls;
use super::access::{Access, Guest};
use super::api::Operators;
use super::connection::{self, Connection, Speaks, Surroundings};
use super::drain::Drain;
use super::hub::Hub;
use super::registry::{Place, Registry};
use super::stream::Stream;
use super::swap::Swap;
use super::{Counters, Revoke, TooManyRevoked, http, observe};
use crate::dispatcher::operate::Operator;
use crate::rejections::Rejections;
use crate::time::Time;

/// A server that is running, or will be: for connections that an application accepted itself.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) surroundings: Arc<Swap<Surroundings>>,
    /// Whoever changes them has this.
    pub(super) reloads: Arc<Semaphore>,
    /// Whoever has something run on the workers has this.
    pub(super) errands: Arc<Semaphore>,
    pub(super) rejections: Arc<Rejections>,
    pub(super) registry: Arc<Registry>,
    pub(super) access: Arc<Access>,
    pub(super) counters: Arc<[watch::Receiver<Counters>]>,
    pub(super) hubs: Arc<[Arc<Hub>]>,
    pub(super) operators: Arc<Operators>,
    /// Whose rights count for what is asked of rooms.
    pub(super) operator: Operator,
    pub(super) drain: Arc<Drain>,
    /// Whether there is something at `/`.
    #[cfg(feature = "page")]
    pub(super) page: bool,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

/// The server has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server has as many connections as it may")
    }
}

impl std::error::Error for Full {}

impl Handle {
    /// Serves a byte stream on which the WebSocket handshake has been made by the application, with
    /// the subprotocol [`SUBPROTOCOL`](crate::wire::SUBPROTOCOL). `read` is what was read behind the
    /// request; `room` is a room to join at once (PROTOCOL 4.2).
    ///
    /// Returns when the connection has ended. Not cancel safe: dropped, it ends the connection
    /// without a word.
    ///
    /// # Errors
    /// Where there is no place for it.
    pub async fn attach<T>(&self, io: T, read: Bytes, room: Option<Bytes>) -> Result<(), Full>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.run(io, Speaks::WebSocket { read, room, token: None }).await
    }

    /// As [`attach`](Self::attach), with the token that the application found in the request (PROTOCOL 4.2).
    ///
    /// # Errors
    /// Where there is no place for it.
    pub async fn attach_with_token<T>(
        &self,
        io: T,
        read: Bytes,
        room: Option<Bytes>,
        token: Option<Bytes>,
    ) -> Result<(), Full>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.run(io, Speaks::WebSocket { read, room, token }).await
    }

    /// Ends the sessions of a subject, or of a token, those too that wait for their clients, and refuses
    /// their tokens from now on for as long as `hold` says: as long as such tokens live. How many sessions
    /// that were. It acts at once, and is not kept over a restart.
    ///
    /// # Errors
    /// [`TooManyRevoked`], where it cannot be remembered; the sessions have ended all the same.
    pub fn revoke(&self, who: Revoke<'_>, hold: Duration) -> Result<usize, TooManyRevoked> {
        self.registry.revoke(who, hold)
    }

    /// Serves a byte stream that speaks as over TCP, magic first. Otherwise as [`attach`](Self::attach).
    ///
    /// # Errors
    /// Where there is no place for it.
    pub async fn attach_tcp<T>(&self, io: T) -> Result<(), Full>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.run(io, Speaks::Tcp).await
    }

    /// Serves a byte stream from its first byte, as the server's own HTTP port does: the health check and
    /// WebSocket, with the same checks of the request. `peer` is where the stream comes from; its limits
    /// count for it.
    ///
    /// Returns when the connection has ended. Not cancel safe: dropped, it ends the connection without a
    /// word.
    ///
    /// # Errors
    /// Where there is no place for it, as many strangers as may are there, or its address is over its limits.
    pub async fn attach_http<T>(&self, io: T, peer: IpAddr) -> Result<(), Full>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let greeting = self.access.greet().ok_or(Full)?;
        let connected = self.surroundings().clock.now();
        let caller = http::Caller::new(peer, greeting, &self.access, connected).map_err(|_| Full)?;
        if let Some(upgraded) = http::serve(io, caller, self).await {
            let http::Upgraded { io, speaks, place, guest } = upgraded;
            let surroundings = self.surroundings();
            let connection = Connection::new(io, speaks, surroundings, place, Some(guest), connected);
            connection::task::run(connection).await;
        }
        Ok(())
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.registry.len()
    }

    /// Sessions: the connections, and those that wait for their clients to come back.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.registry.sessions()
    }

    /// Whether new clients should come here: until the server is told to stop. A server that is full is
    /// ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.registry.observe().is_ready()
    }

    /// Ends the server as the future of [`Server::run`](super::Server::run) does: clients are told that it is
    /// going away, and `run` returns when they have left, or at the deadline. Returns at once; more than once
    /// is as once, and before `run` the server ends as it begins.
    pub fn drain(&self) {
        // Whoever asks next is to go elsewhere, even where the server has not noticed yet.
        self.registry.observe().stop();
        self.drain.begin();
    }

    /// Waits until the server is told to end, by whomever. Cancel safe.
    pub async fn going_away(&self) {
        self.drain.wanted().await;
    }

    /// Whether every shard answers within a second: what a watchdog wants to know. Not before
    /// [`Server::run`](super::Server::run), and not when that has returned. Cancel safe.
    pub async fn answers(&self) -> bool {
        observe::answers(self).await
    }

    /// Everything that is counted, as text for Prometheus: `docs/http.md` lists it. Asks every shard, and
    /// takes a second at most. Cancel safe.
    pub async fn metrics(&self) -> String {
        observe::metrics(self).await
    }

    /// What the rooms of all shards have done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for shard in self.counters.iter() {
            sum += *shard.borrow();
        }
        sum
    }

    /// What was turned away so far.
    #[must_use]
    pub fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// What a connection needs that comes now.
    pub(super) fn surroundings(&self) -> Arc<Surroundings> {
        self.surroundings.load()
    }

    async fn run<T: AsyncRead + AsyncWrite + Unpin>(&self, io: T, speaks: Speaks) -> Result<(), Full> {
        self.access.check_memory().map_err(|_| Full)?;
        let place = self.registry.take_place().ok_or(Full)?;
        let connected = self.surroundings().clock.now();
        connection::task::run(Connection::new(io, speaks, self.surroundings(), place, None, connected)).await;
        Ok(())
    }

    /// Whether the ports of this server speak TLS.
    pub(super) const fn speaks_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        false
    }

    /// Gives one of our own sockets to a worker.
    pub(super) fn admit(&self, stream: Stream<TcpStream>, speaks: Speaks, place: Place, guest: Guest, connected: Time) {
        let Some(hub) = self.hubs.get(place.turn(self.hubs.len())) else { return };
        let surroundings = self.surroundings();
        let connection = Connection::new(stream, speaks, surroundings, place, Some(guest), connected);
        if let Some(connection) = connection.try_map_io(|stream| stream.try_map(TcpStream::into_std)) {
            hub.arrive(connection);
        }
    }
}
