//! The server: sockets, tasks and time around the core.
//!
//! ```text
//! listener ──> http ──upgrade──┐   ┌──────────────── worker ────────────────────┐
//!     └────────────────────────┴──>│ connection <──outbox── shard (dispatcher,  │
//!                                  │     └───────mail────────^          rooms)  │
//!                                  └────────────────────────────────────────────┘
//! ```
//!
//! A worker is a thread with an event loop of its own, so that what a message costs is mostly what its
//! system calls cost. A server without addresses has no sockets either: its shards, and the connections
//! that an application hands over, are tasks of the runtime.
//!
//! ```no_run
//! # async fn example() -> Result<(), tickwire::server::Error> {
//! use tickwire::server::Server;
//!
//! let server = Server::builder().bind().await?;
//! server.run(std::future::pending()).await
//! # }
//! ```

pub mod access;
mod clock;
mod closing;
mod connection;
mod credential;
mod directs;
mod error;
mod head;
mod http;
mod hub;
pub mod identify;
mod inbound;
#[cfg(test)]
mod ladder_tests;
mod listener;
#[doc(hidden)]
pub mod measured;
mod observe;
mod outbox;
mod parking;
mod registry;
mod revoked;
mod rooms;
mod shard;
mod socket;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod websocket;
mod worker;
mod writer;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info};

use self::access::{Access, AccessConfig, Guest};
use self::clock::Clock;
use self::connection::{Connection, Speaks, Surroundings};
pub use self::error::Error;
use self::hub::Hub;
use self::identify::{Identification, Identify};
use self::listener::Port;
use self::observe::{Observe, admin};
use self::registry::{Place, Registry};
pub use self::revoked::{Revoke, Revoked, TooManyRevoked};
use self::shard::{Door, Mail, Mailboxes, Shard};
use self::stream::Stream;
#[cfg(feature = "tls")]
pub use self::tls::{Tls, TlsError};
use self::worker::Worker;
use crate::class::{RoomClass, RoomClasses};
pub use crate::dispatcher::Counters;
use crate::dispatcher::DispatcherConfig;
use crate::limits::Limits;
use crate::logic::{Logics, RoomLogic};
use crate::name::{Pattern, RoomName};
use crate::rejections::Rejections;
use crate::rights::Authorise;
use crate::session::{Ending, Facts};
use crate::time::{Time, micros};
use crate::wire::{Capabilities, Reason};

/// What a server is made of, before it has an address.
#[derive(Clone, Debug)]
pub struct Builder {
    websocket: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    shards: Option<usize>,
    limits: Limits,
    access: AccessConfig,
    classes: RoomClasses,
    authorise: Authorise,
    identification: Identification,
    logics: Logics,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    admin: Option<SocketAddr>,
    access_log: u64,
    /// Whether a pattern was none.
    bad_pattern: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let local = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Self {
            websocket: local(Server::WEBSOCKET_PORT),
            tcp: local(Server::TCP_PORT),
            shards: None,
            limits: Limits::default(),
            access: AccessConfig::default(),
            classes: RoomClasses::default(),
            authorise: Authorise::default(),
            identification: Identification::default(),
            logics: Logics::none(),
            #[cfg(feature = "tls")]
            tls: None,
            admin: None,
            access_log: 0,
            bad_pattern: false,
        }
    }
}

impl Builder {
    /// Where HTTP and WebSocket are served; `None` for nowhere. 127.0.0.1:7070 by default. Port 0
    /// takes any that is free.
    #[must_use]
    pub const fn websocket(mut self, addr: Option<SocketAddr>) -> Self {
        self.websocket = addr;
        self
    }

    /// Where TCP is served; `None` for nowhere. 127.0.0.1:7071 by default.
    #[must_use]
    pub const fn tcp(mut self, addr: Option<SocketAddr>) -> Self {
        self.tcp = addr;
        self
    }

    /// How many workers own rooms and sockets, each a thread; how many tasks own rooms, in a server without
    /// addresses. As many as there are cores by default.
    #[must_use]
    pub const fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// The bounds that peers meet.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Who may connect, and who is believed to speak for others.
    #[must_use]
    pub fn access(mut self, access: AccessConfig) -> Self {
        self.access = access;
        self
    }

    /// How rooms behave.
    #[must_use]
    pub fn classes(mut self, classes: RoomClasses) -> Self {
        self.classes = classes;
        self
    }

    /// Who verifies the clients' tokens (PROTOCOL 15.1). Nobody by default: then all clients are anonymous,
    /// may everything, and only addresses of this machine are served.
    #[must_use]
    pub fn identify(mut self, identify: impl Identify) -> Self {
        self.identification.identify = Some(Arc::new(identify));
        self
    }

    /// Whether a token may come in the query of a request (PROTOCOL 4.2). Not by default: queries end up
    /// in logs of proxies.
    #[must_use]
    pub const fn query_tokens(mut self, taken: bool) -> Self {
        self.identification.query = taken;
        self
    }

    /// Serves anonymous clients that may everything on any address, not only on those of this machine.
    #[must_use]
    pub const fn insecure_anonymous(mut self, insecure: bool) -> Self {
        self.identification.insecure = insecure;
        self
    }

    /// Who may be in a room, and what it is told and may say there. By default what the client's token
    /// grants ([`Asking::granted`](crate::rights::Asking::granted)); without tokens, everything.
    #[must_use]
    pub fn authorise(mut self, authorise: Authorise) -> Self {
        self.authorise = authorise;
        self
    }

    /// Rooms whose names fit `pattern` have the rules that `make` makes, one for each life of each room;
    /// the first pattern that fits decides. `*` stays within a `/` part of a name, `**` crosses. Rooms
    /// that fit none relay. See [`logic`](crate::logic).
    #[must_use]
    pub fn logic<L, F>(mut self, pattern: &str, make: F) -> Self
    where
        L: RoomLogic + 'static,
        F: Fn(&RoomName) -> L + Send + Sync + 'static,
    {
        match Pattern::new(pattern) {
            Some(pattern) => self.logics = self.logics.with(pattern, make),
            None => self.bad_pattern = true,
        }
        self
    }

    /// Both ports speak TLS with this certificate, and nothing else (PROTOCOL 4.4). Plain by default. A detached
    /// server has no ports, and does nothing with it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where metrics, health checks and rooms' events are served over HTTP, for operators: see
    /// `docs/http.md`. Nowhere by default. Whoever reaches this address sees what is in rooms, as far as
    /// strangers may: best a loopback address, such as 127.0.0.1:7072.
    #[must_use]
    pub const fn admin(mut self, addr: Option<SocketAddr>) -> Self {
        self.admin = addr;
        self
    }

    /// One of so many connections that end is told in the log, at level info with the target
    /// `tickwire::access`. 0, which tells of none, by default: how often connections end is up to strangers.
    #[must_use]
    pub const fn access_log(mut self, every: u64) -> Self {
        self.access_log = every;
        self
    }

    /// Binds the addresses. Nothing is accepted before [`Server::run`].
    ///
    /// # Errors
    /// Where an address cannot be bound, or what was configured contradicts itself.
    pub async fn bind(self) -> Result<Server, Error> {
        let shards = self.check()?;
        let public = |addr: &SocketAddr| !self.identification.allows(addr.ip());
        if let Some(addr) = [self.websocket, self.tcp, self.admin].into_iter().flatten().find(public) {
            return Err(Error::Anonymous(addr));
        }
        let websocket = bind(self.websocket).await?;
        let tcp = bind(self.tcp).await?;
        let admin = bind(self.admin).await?;
        if websocket.is_none() && tcp.is_none() {
            return Err(Error::NoAddress);
        }
        let mut server = Server::new(websocket, tcp, shards, self).with_workers()?;
        server.admin = admin;
        Ok(server)
    }

    /// A server without addresses of its own, for connections that an application accepts and
    /// hands over: see [`Handle::attach`].
    ///
    /// # Errors
    /// Where what was configured contradicts itself.
    pub fn detached(self) -> Result<Server, Error> {
        let shards = self.check()?;
        Ok(Server::new(None, None, shards, self))
    }

    /// The number of shards, if everything fits together.
    fn check(&self) -> Result<u32, Error> {
        self.limits.check().map_err(Error::Limits)?;
        self.access.check().map_err(Error::Access)?;
        if self.bad_pattern {
            return Err(Error::Pattern);
        }
        let classes = self.classes.by_pattern.iter().map(|(_, class)| class).chain([&self.classes.default]);
        if classes.into_iter().any(|class| !RoomClass::is_valid_period(class.period)) {
            return Err(Error::Period);
        }
        let shards = self.shards.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        u32::try_from(shards).ok().filter(|count| (1..=1024).contains(count)).ok_or(Error::Shards(shards))
    }
}

async fn bind(addr: Option<SocketAddr>) -> Result<Option<TcpListener>, Error> {
    match addr {
        None => Ok(None),
        Some(addr) => TcpListener::bind(addr).await.map(Some).map_err(|source| Error::Bind { addr, source }),
    }
}

/// A server with its addresses, ready to run.
#[derive(Debug)]
pub struct Server {
    websocket: Option<TcpListener>,
    tcp: Option<TcpListener>,
    admin: Option<TcpListener>,
    handle: Handle,
    shards: Vec<(Shard, mpsc::Receiver<Mail>)>,
    /// Where the server has sockets, these have the shards.
    workers: Vec<Worker>,
}

/// A server that is running, or will be: for connections that an application accepted itself.
#[derive(Clone, Debug)]
pub struct Handle {
    surroundings: Arc<Surroundings>,
    registry: Arc<Registry>,
    access: Arc<Access>,
    counters: Arc<[watch::Receiver<Counters>]>,
    hubs: Arc<[Arc<Hub>]>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
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
        let greeting = self.registry.greet().ok_or(Full)?;
        let connected = self.surroundings.clock.now();
        let caller = http::Caller::new(peer, greeting, &self.access, connected).map_err(|_| Full)?;
        if let Some(upgraded) = http::serve(io, caller, self).await {
            let http::Upgraded { io, speaks, place, guest } = upgraded;
            let surroundings = Arc::clone(&self.surroundings);
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
        &self.surroundings.facts.rejections
    }

    async fn run<T: AsyncRead + AsyncWrite + Unpin>(&self, io: T, speaks: Speaks) -> Result<(), Full> {
        self.access.check_memory().map_err(|_| Full)?;
        let place = self.registry.take_place().ok_or(Full)?;
        let connected = self.surroundings.clock.now();
        connection::task::run(Connection::new(io, speaks, Arc::clone(&self.surroundings), place, None, connected))
            .await;
        Ok(())
    }

    /// Whether the ports of this server speak TLS.
    const fn speaks_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        false
    }

    /// Gives one of our own sockets to a worker.
    fn admit(&self, stream: Stream<TcpStream>, speaks: Speaks, place: Place, guest: Guest, connected: Time) {
        let Some(hub) = self.hubs.get(place.turn(self.hubs.len())) else { return };
        let surroundings = Arc::clone(&self.surroundings);
        let connection = Connection::new(stream, speaks, surroundings, place, Some(guest), connected);
        if let Some(connection) = connection.try_map_io(|stream| stream.try_map(TcpStream::into_std)) {
            hub.arrive(connection);
        }
    }
}

impl Server {
    /// The default port of HTTP and WebSocket.
    pub const WEBSOCKET_PORT: u16 = 7070;

    /// The default port of TCP.
    pub const TCP_PORT: u16 = 7071;

    /// The port on which the command line serves metrics and health checks, at the loopback address.
    pub const ADMIN_PORT: u16 = 7072;

    /// A server with working defaults, to be changed and bound.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(websocket: Option<TcpListener>, tcp: Option<TcpListener>, shards: u32, builder: Builder) -> Self {
        let Builder { limits, access, classes, authorise, identification, logics, access_log, .. } = builder;
        #[cfg(feature = "tls")]
        let tls = builder.tls;
        let observe = Observe::new(shards, access_log);
        let random = random();
        let mailbox = shard::mailbox_size(&limits).min(tokio::sync::Semaphore::MAX_PERMITS);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::channel(mailbox)).unzip();
        let (counting, counters): (Vec<_>, Vec<_>) = (0..shards).map(|_| watch::channel(Counters::default())).unzip();
        let shards = receivers.into_iter().zip(counting).zip(0..).map(|((receiver, counting), shard)| {
            let (limits, classes) = (limits.clone(), classes.clone());
            let (authorise, logics) = (authorise.clone(), logics.clone());
            let config = DispatcherConfig { limits, classes, authorise, logics, shard, shards, seed: random };
            (Shard::new(config, counting), receiver)
        });
        let shards = shards.collect();
        let clock = Clock::start();
        let registry = Registry::new(&limits, observe);
        let facts = Facts {
            limits,
            capabilities: match identification.identify {
                // PROTOCOL 6.14: only who verifies tokens takes them.
                Some(_) => Capabilities::IMPLEMENTED.with(Capabilities::TOKEN),
                None => Capabilities::IMPLEMENTED,
            },
            // The upper half names the clock; epochs are made from the whole.
            clock: (random >> 32) as u32,
            wall: micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            hasher: foldhash::fast::RandomState::default(),
            rejections: Arc::default(),
        };
        let mailboxes = Mailboxes::new(senders.into_iter().map(Door::Task).collect(), &classes);
        let facts = Arc::new(facts);
        let local = websocket.as_ref().and_then(|listener| listener.local_addr().ok());
        let access = Access::new(access, Arc::clone(&facts), local.is_some_and(|addr| addr.ip().is_loopback()));
        let surroundings = Arc::new(Surroundings { facts, mailboxes, clock, identification });
        let handle = Handle {
            surroundings,
            registry,
            access,
            counters: counters.into(),
            hubs: Arc::new([]),
            #[cfg(feature = "tls")]
            tls,
        };
        Self { websocket, tcp, admin: None, handle, shards, workers: Vec::new() }
    }

    /// Gives each shard a thread with an event loop.
    fn with_workers(mut self) -> Result<Self, Error> {
        let clock = self.handle.surroundings.clock;
        let shards = self.shards.drain(..).enumerate();
        let workers = shards
            .map(|(index, (shard, _))| Worker::new(index, shard, clock))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::Workers)?;
        self.handle.hubs = workers.iter().map(|worker| Arc::clone(worker.hub())).collect();
        let doors = self.handle.hubs.iter().map(|hub| Door::Worker(Arc::clone(hub)));
        let surroundings = Surroundings::clone(&self.handle.surroundings);
        let mailboxes = surroundings.mailboxes.with_doors(doors.collect());
        self.handle.surroundings = Arc::new(Surroundings { mailboxes, ..surroundings });
        self.workers = workers;
        Ok(self)
    }

    /// The address of HTTP and WebSocket.
    #[must_use]
    pub fn websocket_addr(&self) -> Option<SocketAddr> {
        self.websocket.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The address of TCP.
    #[must_use]
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The address of metrics and health checks.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// For connections that an application accepted itself.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is there; then tells every client, waits for them at most
    /// [`Limits::drain_timeout`], closes those that stayed, and returns.
    ///
    /// Not cancel safe: dropped, connections end without a word.
    ///
    /// # Errors
    /// [`Error::ShardDied`], where there is a bug in the server: better no server than silent rooms;
    /// [`Error::Workers`], where the system gives no threads.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { websocket, tcp, admin, handle, shards, workers } = self;
        let clock = handle.surroundings.clock;
        let mut tasks = JoinSet::new();
        for (shard, mailbox) in shards {
            tasks.spawn(shard::run(shard, mailbox, clock));
        }
        let _stopper = Stopper(Arc::clone(&handle.hubs));
        for worker in workers {
            tasks.spawn(start(worker, Arc::clone(&handle.hubs))?);
        }
        let (stop, stopping) = watch::channel(false);
        // An application that accepts connections itself has its own idea of memory, unless it says.
        if websocket.is_some() || tcp.is_some() || handle.surroundings.facts.limits.max_memory > 0 {
            tokio::spawn(Arc::clone(&handle.access).watch_memory(stopping.clone()));
        }
        let ports = [(websocket, Port::Http), (tcp, Port::Tcp)];
        for (listener, port) in ports.into_iter().filter_map(|(listener, port)| Some((listener?, port))) {
            tokio::spawn(listener::run(listener, port, handle.clone(), stopping.clone()));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = handle.tls.clone() {
            tokio::spawn(tls::watch(tls, stopping));
        }
        // It answers until the last client has left.
        let _admin = admin.map(|listener| admin::start(listener, handle.clone()));
        // Shards end only when every mailbox sender is gone, and we hold one: so an end is a death.
        let ended = tokio::select! {
            () = shutdown => None,
            ended = tasks.join_next() => ended,
        };
        handle.registry.observe().stop();
        stop.send_replace(true);
        if let Some(ended) = ended {
            error!("a shard died: {}", ended.err().map_or_else(|| "it returned".into(), |error| error.to_string()));
            return Err(Error::ShardDied);
        }
        drain(&handle).await;
        Ok(())
    }
}

/// Starts a worker's thread. What is returned ends when that does.
fn start(worker: Worker, hubs: Arc<[Arc<Hub>]>) -> Result<impl Future<Output = ()>, Error> {
    let (running, ended) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new().name("tickwire-worker".into());
    let started = thread.spawn(move || {
        let _running = running;
        worker.run(runtime, &hubs);
    });
    started.map_err(Error::Workers)?;
    Ok(async move {
        // Nobody sends: it is dropped, in a panic too.
        let _dropped = ended.await;
    })
}

/// Stops the workers when the server has ended, however it did.
struct Stopper(Arc<[Arc<Hub>]>);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.iter().for_each(|hub| hub.stop());
    }
}

/// Tells everyone, waits, and closes who stayed (PROTOCOL 6.9).
async fn drain(handle: &Handle) {
    let limits = &handle.surroundings.facts.limits;
    let closes = micros(limits.drain_timeout) / 1000;
    handle.registry.tell_latecomers(RESTART + SHORTEST_SLOPE, closes);
    let outboxes = handle.registry.outboxes();
    if !outboxes.is_empty() {
        info!("going away: {} connections have {} s to leave", outboxes.len(), limits.drain_timeout.as_secs());
    }
    // A slope: so many clients that each millisecond brings back one, the server's own restart ahead.
    let slots = (outboxes.len() as u64).max(SHORTEST_SLOPE);
    let mut seed = random();
    for outbox in &outboxes {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        outbox.go_away(RESTART + (seed >> 33) % slots, closes);
    }
    if timeout(limits.drain_timeout, handle.registry.emptied()).await.is_ok() {
        return;
    }
    for outbox in handle.registry.outboxes() {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let reconnect = Some(RESTART + (seed >> 33) % slots);
        outbox.end(Ending { reconnect, ..Ending::because(Reason::GOING_AWAY) });
    }
    // A closing takes at most so long; the second more is for the tasks to be scheduled.
    let closing = limits.discard_timeout + Duration::from_secs(1);
    let _rest = timeout(closing, handle.registry.emptied()).await;
}

/// Milliseconds over which even a few clients are spread.
const SHORTEST_SLOPE: u64 = 1000;

/// Milliseconds that a restart takes: nobody should come back before.
const RESTART: u64 = 500;

/// A random number from the seeds the standard library takes from the system.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shard_that_ends_takes_the_server_down() {
        let mut server = Server::builder().shards(2).detached().expect("defaults agree");
        // A mailbox without senders: the shard ends at once, as it would in a panic.
        server.shards[1].1 = mpsc::channel(1).1;
        let ended = server.run(std::future::pending()).await;
        assert!(matches!(ended, Err(Error::ShardDied)));
    }
}
