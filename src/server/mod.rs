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
pub mod api;
#[cfg(any(feature = "console", feature = "page"))]
mod asset;
mod builder;
mod clock;
mod closing;
mod connection;
#[cfg(feature = "console")]
pub mod console;
mod cost;
mod credential;
mod directs;
mod drain;
mod errand;
mod error;
mod handle;
mod head;
mod http;
mod hub;
pub mod identify;
mod inbound;
#[cfg(test)]
mod ladder_tests;
mod listener;
mod mailbox;
#[doc(hidden)]
pub mod measured;
mod observe;
mod outbox;
#[cfg(feature = "page")]
pub mod page;
mod parking;
mod registry;
mod reload;
mod revoked;
mod rooms;
mod shard;
mod socket;
mod stream;
mod swap;
#[cfg(feature = "tls")]
mod tls;
mod websocket;
mod worker;
mod writer;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::error;

use self::access::Access;
use self::api::Operators;
pub use self::builder::Builder;
use self::clock::Clock;
use self::connection::Surroundings;
pub use self::error::Error;
pub use self::handle::{Full, Handle};
use self::hub::Hub;
use self::listener::Port;
use self::mailbox::{Door, Mail, Mailboxes};
use self::observe::{Observe, admin};
use self::registry::Registry;
pub use self::reload::Reload;
pub use self::revoked::{Revoke, Revoked, TooManyRevoked};
use self::shard::Shard;
use self::swap::Swap;
#[cfg(feature = "tls")]
pub use self::tls::{Tls, TlsError};
use self::worker::Worker;
pub use crate::dispatcher::Counters;
use crate::dispatcher::DispatcherConfig;
use crate::dispatcher::operate::Operator;
use crate::session::Facts;
use crate::time::micros;
use crate::wire::Capabilities;

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
    #[cfg(feature = "console")]
    feed: console::Feed,
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
        let Builder { limits, access, classes, authorise, identification, logics, access_log, api_keys, .. } = builder;
        #[cfg(feature = "tls")]
        let tls = builder.tls;
        let identification = identification.separate();
        let observe = Observe::new(shards, access_log);
        let operators = Operators::new(api_keys, shards);
        let random = random();
        let mailbox = mailbox::size(&limits).min(Semaphore::MAX_PERMITS);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::channel(mailbox)).unzip();
        let (counting, counters): (Vec<_>, Vec<_>) = (0..shards).map(|_| watch::channel(Counters::default())).unzip();
        // The server's own rooms are not the operator's: they have no say in when mail is due.
        #[cfg(feature = "console")]
        let (feed, all_classes, logics) = console::Feed::among(classes.clone(), logics);
        #[cfg(not(feature = "console"))]
        let all_classes = classes.clone();
        let shards = receivers.into_iter().zip(counting).zip(0..).map(|((receiver, counting), shard)| {
            let (limits, classes) = (limits.clone(), all_classes.clone());
            let (authorise, logics) = (authorise.clone(), logics.clone());
            let config = DispatcherConfig { limits, classes, authorise, logics, shard, shards, seed: random };
            (Shard::new(config, counting), receiver)
        });
        let shards = shards.collect();
        let clock = Clock::start();
        let registry = Registry::new(&limits, observe);
        let facts = Facts {
            limits,
            capabilities: match identification.asks() {
                // PROTOCOL 6.14: only who verifies tokens takes them.
                true => Capabilities::IMPLEMENTED.with(Capabilities::TOKEN),
                false => Capabilities::IMPLEMENTED,
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
        let access = Access::new(access, Arc::clone(&facts), local.map(|addr| addr.ip().to_canonical().is_loopback()));
        let rejections = Arc::clone(&facts.rejections);
        let surroundings = Swap::new(Surroundings { facts, mailboxes, clock, identification });
        let handle = Handle {
            surroundings: Arc::new(surroundings),
            reloads: Arc::new(Semaphore::new(1)),
            errands: Arc::new(Semaphore::new(1)),
            rejections,
            registry,
            access,
            counters: counters.into(),
            drain: Arc::default(),
            hubs: Arc::new([]),
            operators,
            operator: Operator::APPLICATION,
            #[cfg(feature = "page")]
            page: builder.page,
            #[cfg(feature = "tls")]
            tls,
        };
        Self {
            websocket,
            tcp,
            admin: None,
            handle,
            shards,
            workers: Vec::new(),
            #[cfg(feature = "console")]
            feed,
        }
    }

    /// Gives each shard a thread with an event loop.
    fn with_workers(mut self) -> Result<Self, Error> {
        let surroundings = Surroundings::clone(&self.handle.surroundings());
        let clock = surroundings.clock;
        let gathering = surroundings.facts.limits.read_gathering;
        let shards = self.shards.drain(..).enumerate();
        let workers = shards
            .map(|(index, (shard, _))| Worker::new(index, shard, clock, gathering))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::Workers)?;
        self.handle.hubs = workers.iter().map(|worker| Arc::clone(worker.hub())).collect();
        let doors = self.handle.hubs.iter().map(|hub| Door::Worker(Arc::clone(hub)));
        let mailboxes = surroundings.mailboxes.with_doors(doors.collect());
        self.handle.surroundings.store(Surroundings { mailboxes, ..surroundings });
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

    /// Serves until `shutdown` is there or [`Handle::drain`] is called; then tells every client, waits for them at most
    /// [`Limits::drain_timeout`](crate::limits::Limits::drain_timeout), closes those that stayed, and returns.
    ///
    /// Not cancel safe: dropped, connections end without a word.
    ///
    /// # Errors
    /// [`Error::ShardDied`], where there is a bug in the server: better no server than silent rooms;
    /// [`Error::Workers`], where the system gives no threads.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        #[cfg(feature = "console")]
        let _sampler = console::start(self.feed, self.handle.clone());
        let Self { websocket, tcp, admin, handle, shards, workers, .. } = self;
        let surroundings = handle.surroundings();
        let clock = surroundings.clock;
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
        if websocket.is_some() || tcp.is_some() || surroundings.facts.limits.max_memory > 0 {
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
            () = handle.drain.wanted() => None,
            ended = tasks.join_next() => ended,
        };
        handle.drain();
        stop.send_replace(true);
        if let Some(ended) = ended {
            error!("a shard died: {}", ended.err().map_or_else(|| "it returned".into(), |error| error.to_string()));
            return Err(Error::ShardDied);
        }
        drain::run(&handle).await;
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
