//! Connections for back ends that publish: a bounded number, made when they are needed, and used again.
//!
//! ```text
//! get ──place──> idle? ──ping answered──> Pooled ──dropped──> idle
//!      (semaphore)  └─none, or broken─> connect ──^
//! ```
//!
//! An application that receives, or publishes from one place, wants a [`Link`](super::link::Link), whose rooms
//! share one connection. A pool is for many tasks that each publish a little and want to know that it arrived, as
//! the handlers of an HTTP server do.
//!
//! Borrowers and the task that looks after idle connections share the list of these, so it is locked: for as long as
//! it takes to push or pop one, and never across an await.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{Client, ClientConfig, Error, Event};
use crate::wire::Handle;
use crate::wire::control::Mode;

#[expect(clippy::disallowed_types, reason = "see the module's paragraph on the lock")]
type Lock<T> = std::sync::Mutex<T>;

/// How a pool behaves. Start from [`PoolConfig::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// How each connection is made.
    pub client: ClientConfig,
    /// Connections at once. 8: a connection carries tens of thousands of messages a second, so that more are only
    /// needed where many wait for answers.
    pub connections: usize,
    /// How long [`Pool::get`] waits for a place. 10 s.
    pub wait: Duration,
    /// After so long without use a connection must answer a ping before it is used again. 1 s.
    pub check_after: Duration,
    /// How long that may take. 2 s; then it counts as broken.
    pub check: Duration,
    /// After so long without use a connection is closed. A minute.
    pub idle: Duration,
}

impl PoolConfig {
    /// The defaults.
    #[must_use]
    pub const fn new(client: ClientConfig) -> Self {
        Self {
            client,
            connections: 8,
            wait: Duration::from_secs(10),
            check_after: Duration::from_secs(1),
            check: Duration::from_secs(2),
            idle: Duration::from_secs(60),
        }
    }

    /// Sets how many connections there are at once, at least one.
    #[must_use]
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets how long to wait for a place.
    #[must_use]
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets after how long without use a connection is checked, and how long that may take.
    #[must_use]
    pub const fn check(mut self, after: Duration, check: Duration) -> Self {
        self.check_after = after;
        self.check = check;
        self
    }

    /// Sets after how long without use a connection is closed.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }
}

/// How often idle connections are looked after: pings of the server are answered then, and ends seen. 10 s: a
/// server waits 45 s for an answer (PROTOCOL 9).
const TEND: Duration = Duration::from_secs(10);

/// Rooms that a connection stays in for later borrowers. 64: half of what servers allow.
const MAX_ROOMS: usize = 64;

/// Connections to one server. Clones are cheap, and mean the same.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tickwire::client::ClientConfig;
/// use tickwire::client::pool::{Pool, PoolConfig};
///
/// let pool = Pool::new(PoolConfig::new(ClientConfig::new("tcp://127.0.0.1:7071".parse()?)));
/// // In every task that has something to say:
/// let mut connection = pool.get().await?;
/// let arena = connection.room("arena").await?;
/// connection.event(arena, b"hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    config: PoolConfig,
    places: Arc<Semaphore>,
    idle: Lock<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is the last.
    connections: VecDeque<Connection>,
    /// Whether there is a task that looks after them.
    tended: bool,
}

struct Connection {
    client: Client,
    /// Rooms it is in, to publish.
    rooms: HashMap<String, Handle>,
    used: Instant,
}

/// What a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Connections that are lent, or being made.
    pub lent: usize,
    /// Connections that wait.
    pub idle: usize,
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// All connections were lent for as long as was waited.
    Busy,
    /// The pool was closed.
    Closed,
    /// A new connection could not be made.
    Connect(Error),
}

impl Pool {
    /// Makes a pool without connections.
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        let places = Arc::new(Semaphore::new(config.connections.max(1)));
        Self(Arc::new(Inner { config, places, idle: Lock::default() }))
    }

    /// Lends a connection: one that was used before and still works, or a new one. Cancel safe: dropped early, the
    /// place is free again, and a connection that was being checked is not used any more.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn get(&self) -> Result<Pooled, PoolError> {
        let inner = &self.0;
        let place = timeout(inner.config.wait, Arc::clone(&inner.places).acquire_owned()).await;
        let place = place.map_err(|_| PoolError::Busy)?.map_err(|_| PoolError::Closed)?;
        while let Some(mut connection) = inner.pop() {
            if connection.is_healthy(&inner.config).await {
                return Ok(Pooled::new(connection, place, inner));
            }
        }
        let client = Client::connect(&inner.config.client).await.map_err(PoolError::Connect)?;
        let connection = Connection { client, rooms: HashMap::new(), used: Instant::now() };
        Ok(Pooled::new(connection, place, inner))
    }

    /// What it has now.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let free = self.0.places.available_permits();
        let lent = self.0.config.connections.max(1).saturating_sub(free);
        PoolStatus { lent, idle: self.0.lock().connections.len() }
    }

    /// Lends nothing any more, and closes idle connections; those that are lent are closed when they come back.
    /// Cancel safe: dropped early, what was not closed yet just ends.
    pub async fn close(&self) {
        self.0.places.close();
        let idle = std::mem::take(&mut self.0.lock().connections);
        for connection in idle {
            // The server may be gone: that is an end too.
            let _ = connection.client.close().await;
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last: the others may grow old.
    fn pop(&self) -> Option<Connection> {
        self.lock().connections.pop_back()
    }

    /// A connection comes back.
    fn put(self: &Arc<Self>, mut connection: Connection) {
        if !connection.is_clean() {
            return;
        }
        connection.used = Instant::now();
        let mut idle = self.lock();
        // Behind the lock: who closes it takes what is idle after it is closed.
        if self.places.is_closed() {
            return;
        }
        idle.connections.push_back(connection);
        let tended = std::mem::replace(&mut idle.tended, true);
        drop(idle);
        if !tended {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(tend(Arc::downgrade(self)))),
                // It came back outside of the runtime. It is looked after when the next one comes.
                Err(_) => self.lock().tended = false,
            }
        }
    }

    /// Answers pings, and drops what has ended or grown old. False when nothing is left.
    fn tend(&self) -> bool {
        let mut idle = self.lock();
        let kept = std::mem::take(&mut idle.connections).into_iter().filter_map(|mut connection| {
            (connection.used.elapsed() < self.config.idle && connection.settle()).then_some(connection)
        });
        idle.connections = kept.collect();
        idle.tended = !idle.connections.is_empty();
        idle.tended
    }
}

/// Looks after idle connections while there are any.
async fn tend(inner: Weak<Inner>) {
    let mut pause = TEND;
    loop {
        tokio::time::sleep_until(Instant::now() + pause).await;
        let Some(inner) = inner.upgrade() else { return };
        if !inner.tend() {
            return;
        }
        pause = TEND.min(inner.config.idle);
    }
}

impl Connection {
    /// Whether it can be used.
    async fn is_healthy(&mut self, config: &PoolConfig) -> bool {
        if !self.settle() {
            return false;
        }
        if self.used.elapsed() < config.check_after {
            return true;
        }
        matches!(timeout(config.check, self.client.ping()).await, Ok(Ok(_))) && self.settle()
    }

    /// Takes what has come meanwhile. False where it has ended.
    fn settle(&mut self) -> bool {
        loop {
            match self.client.receiver.try_next() {
                None => return true,
                Some(Ok(Event::Left { handle, .. })) => self.rooms.retain(|_, joined| *joined != handle),
                // Its rooms come to rest; another connection finds the server that comes.
                Some(Ok(Event::GoingAway { .. } | Event::Closed(_)) | Err(_)) => return false,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Forgets rooms that it is in no more, or will not be in: its borrower may have left them, or read that they
    /// are left.
    fn forget_left(&mut self) {
        let progress = self.client.sender.progress();
        self.rooms.retain(|_, handle| progress.is_joined(*handle));
    }

    /// Whether the next borrower finds it as if it were new.
    fn is_clean(&mut self) -> bool {
        self.forget_left();
        let asked = self.client.sender.progress().asked();
        !self.client.receiver.is_ended()
            && asked.iter().all(|(_, handle, _)| self.rooms.values().any(|known| known == handle))
    }
}

/// A connection that is lent: a [`Client`] that goes back when it is dropped.
///
/// One that has ended does not, nor one that is still in rooms which were joined otherwise than by
/// [`room`](Self::room).
pub struct Pooled {
    /// None only while it is dropped.
    connection: Option<Connection>,
    pool: Arc<Inner>,
    _place: OwnedSemaphorePermit,
}

impl Pooled {
    fn new(connection: Connection, place: OwnedSemaphorePermit, pool: &Arc<Inner>) -> Self {
        Self { connection: Some(connection), pool: Arc::clone(pool), _place: place }
    }

    /// The room, to publish to; joined where this connection was not in it yet. It stays there for later borrowers.
    /// As for cancelling, see [`Client::join`].
    ///
    /// # Errors
    /// As for [`Client::join`].
    pub async fn room(&mut self, name: &str) -> Result<Handle, Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::Ended) };
        connection.forget_left();
        if let Some(handle) = connection.rooms.get(name) {
            return Ok(*handle);
        }
        if connection.rooms.len() >= MAX_ROOMS
            && let Some((oldest, handle)) = connection.rooms.iter().min_by_key(|(_, handle)| **handle)
        {
            let (oldest, handle) = (oldest.clone(), *handle);
            // First: dropped early, it is being left all the same.
            connection.rooms.remove(&oldest);
            connection.client.leave(handle).await?;
        }
        let membership = connection.client.join(name, Mode::PUBLISH).await?;
        connection.rooms.insert(name.to_owned(), membership.handle);
        Ok(membership.handle)
    }

    /// Ends the connection instead of giving it back.
    pub fn discard(mut self) {
        self.connection = None;
    }
}

impl Deref for Pooled {
    type Target = Client;

    fn deref(&self) -> &Client {
        let connection = self.connection.as_ref();
        &connection.expect("it is there until it is dropped or discarded, which both consume it").client
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Client {
        let connection = self.connection.as_mut();
        &mut connection.expect("it is there until it is dropped or discarded, which both consume it").client
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put(connection);
        }
    }
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").finish_non_exhaustive()
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("all connections of the pool are in use"),
            Self::Closed => f.write_str("the pool is closed"),
            Self::Connect(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Connect(error) = self { Some(error) } else { None }
    }
}
