//! What a server is made of: addresses, limits, rules and who may come, with defaults that work.
//!
//! ```text
//! Builder ──bind──> Server with sockets, its shards on threads of their own
//!    └──detached──> Server without, its shards are tasks
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

#[cfg(feature = "tls")]
use super::Tls;
use super::access::AccessConfig;
use super::api::{ApiKey, check_keys};
use super::identify::{Identification, Identify};
use super::{Error, Server};
use crate::class::{RoomClass, RoomClasses};
use crate::limits::Limits;
use crate::logic::{Logics, RoomLogic};
use crate::name::{Pattern, RoomName};
use crate::rights::Authorise;

/// What a server is made of, before it has an address.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) websocket: Option<SocketAddr>,
    pub(super) tcp: Option<SocketAddr>,
    pub(super) shards: Option<usize>,
    pub(super) limits: Limits,
    pub(super) access: AccessConfig,
    pub(super) classes: RoomClasses,
    pub(super) authorise: Authorise,
    pub(super) identification: Identification,
    pub(super) logics: Logics,
    #[cfg(feature = "page")]
    pub(super) page: bool,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) access_log: u64,
    pub(super) api_keys: Vec<ApiKey>,
    /// Whether a pattern was none.
    pub(super) bad_pattern: bool,
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
            #[cfg(feature = "page")]
            page: false,
            #[cfg(feature = "tls")]
            tls: None,
            admin: None,
            access_log: 0,
            api_keys: Vec::new(),
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
        self.identification = self.identification.with(Arc::new(identify));
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

    /// Whether the port of WebSocket serves the first page at `/`: an arena, to see the server work (see
    /// [`page`](super::page)). Not by default: an application has a page of its own.
    #[cfg(feature = "page")]
    #[must_use]
    pub const fn page(mut self, served: bool) -> Self {
        self.page = served;
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

    /// Who may look at rooms, publish and manage over HTTP at the operators' address: see `docs/http.md`. Nobody by
    /// default. In a server that has keys, what has no key of them is refused, but health, metrics and events.
    #[must_use]
    pub fn api_keys(mut self, keys: Vec<ApiKey>) -> Self {
        self.api_keys = keys;
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
    /// hands over: see [`Handle::attach`](super::Handle::attach).
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
        check_keys(&self.api_keys).map_err(Error::ApiKeys)?;
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
