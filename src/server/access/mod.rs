//! Who may connect: addresses and their limits, proxies, origins of web pages, memory.
//!
//! ```text
//! accept ──> greeting free? ──> listed proxy? ──PROXY header, or Forwarded──┐
//!                  │ no               │ no                                  v
//!                  v                  └───────> address ──> its limits ──> Guest ──> handshake, hello
//!               parting <────────────────────────────────────── │ no
//!               429, 503, or CLOSE, with when to come again
//! ```
//!
//! All of this happens once a connection. What a connection costs before it is let in is a task, and the
//! bytes that it has sent.

mod addresses;
mod config;
mod forwarded;
#[cfg(feature = "tls")]
pub(super) mod handshakes;
mod memory;
mod network;
mod origin;
pub(super) mod parting;
pub(super) mod proxied;
pub mod proxy;
mod subjects;
mod table;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use self::addresses::Addresses;
pub(super) use self::addresses::owner;
pub use self::config::{AccessConfig, ProxyProtocol};
use self::memory::Watch;
pub use self::network::{Network, NotANetwork};
pub use self::origin::{NotAnOrigin, Origin};
pub(super) use self::origin::{Unlisted, is_authority};
use self::subjects::Subjects;
use super::listener::Port;
use super::swap::Swap;
use crate::rejections::Rejected;
use crate::session::Facts;
use crate::time::Time;
use crate::wire::Reason;

#[expect(clippy::disallowed_types, reason = "taken when a connection begins, says hello or ends, never per message")]
type Lock<T> = std::sync::Mutex<T>;

/// Decides who may connect.
#[derive(Debug)]
pub(super) struct Access {
    rules: Swap<Rules>,
    /// Whether HTTP is served on this machine only; `None` where an application accepts connections itself.
    is_local: Option<bool>,
    addresses: Lock<Addresses>,
    subjects: Lock<Subjects>,
    /// Places for those who have not said hello.
    strangers: Arc<Semaphore>,
    short_of_memory: AtomicBool,
    /// Those who are told why they may not stay.
    partings: Arc<Semaphore>,
}

/// What newcomers meet.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) config: AccessConfig,
    pub(super) facts: Arc<Facts>,
}

/// Somebody who may not stay, and when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) rejected: Rejected,
    pub(super) after: Duration,
}

/// Somebody who has come: from where, and the places that he takes until he is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    access: Arc<Access>,
    address: IpAddr,
    /// Whether its address has limits.
    counted: bool,
    /// Whether it has a place among the strangers: until hello is accepted. Not the permit, which is larger, for
    /// every connection has the place for it.
    is_stranger: bool,
    /// Whose connection it is, where subjects have limits. Mostly nobody's, and every connection has the place for it.
    subject: Option<Box<Bytes>>,
}

// What an allocation of 48 bytes holds; one more is one of 64 for every connection (docs/memory.md).
const _: () = assert!(size_of::<Guest>() <= 40);

/// Partings at once. 64: enough for whoever has made a mistake; a flood is only told, and not waited for.
const PARTINGS: usize = 64;

/// How often memory is looked at. 1 s: a server that takes a fifth of its memory in that time is lost.
const LOOK: Duration = Duration::from_secs(1);

/// When to come again where there is no place, no memory, or no key. 5 s: what a hello may take.
pub(super) const LATER: Duration = Duration::from_secs(5);

impl Access {
    pub(super) fn new(config: AccessConfig, facts: Arc<Facts>, is_local: Option<bool>) -> Arc<Self> {
        let strangers = facts.limits.max_greeting.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            rules: Swap::new(Rules { config, facts }),
            is_local,
            addresses: Lock::default(),
            subjects: Lock::default(),
            strangers: Arc::new(Semaphore::new(strangers)),
            short_of_memory: AtomicBool::new(false),
            partings: Arc::new(Semaphore::new(PARTINGS)),
        })
    }

    /// What newcomers meet now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load()
    }

    /// From now on they meet this.
    pub(super) fn replace(&self, config: Option<AccessConfig>, facts: &Arc<Facts>) {
        let config = config.unwrap_or_else(|| self.rules().config.clone());
        self.rules.store(Rules { config, facts: Arc::clone(facts) });
    }

    /// A place among those that have not said hello. Held before any buffer is allocated.
    pub(super) fn greet(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.strangers).try_acquire_owned().ok()
    }

    /// Lets somebody in who has a place among those without hello.
    pub(super) fn arrive(
        self: &Arc<Self>,
        address: IpAddr,
        greeting: OwnedSemaphorePermit,
        now: Time,
    ) -> Result<Guest, Denied> {
        let counted = !self.rules().config.exempt.iter().any(|network| network.contains(address));
        if counted {
            let arrived = self.lock().arrive(address, &self.rules().facts.limits, now);
            arrived.inspect_err(|denied| self.count(denied.rejected))?;
        }
        // From here on the guest gives the place back.
        greeting.forget();
        Ok(Guest { access: Arc::clone(self), address, counted, is_stranger: true, subject: None })
    }

    /// The client of a request that a listed proxy has passed on.
    pub(super) fn client(&self, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
        forwarded::client(proxy, headers, &self.rules().config.trusted_proxies)
    }

    /// Whether what this address says of others is believed.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.rules().config.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// Whether a request from this address is somebody else's, whom a listed proxy names.
    pub(super) fn passes_on(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        forwarded::is_said(headers) && self.trusts(peer)
    }

    /// Whether listed proxies begin with a PROXY header there.
    pub(super) fn expects_proxy_header(&self, port: Port) -> bool {
        match port {
            Port::Http => self.rules().config.proxy_protocol.websocket,
            Port::Tcp => self.rules().config.proxy_protocol.tcp,
        }
    }

    /// Whether the page that asks may connect; `proxied` where a listed proxy has passed the request on, by
    /// whatever it says for whom. `peer` is who has connected.
    pub(super) fn allows_origin(&self, headers: &HeaderMap, proxied: bool, peer: IpAddr) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        // Two would be two opinions.
        if origins.next().is_some() {
            return false;
        }
        if !self.rules().config.origins.is_empty() {
            return self.rules().config.origins.iter().any(|listed| listed.allows(origin));
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        // An application that accepts connections itself knows what it listens on, and we know who came.
        let loopback = self.is_local.unwrap_or_else(|| !proxied && peer.to_canonical().is_loopback());
        let same_host = self.is_local != Some(true) || proxied;
        Unlisted { loopback, same_host }.allows(origin, host)
    }

    /// Refuses newcomers while memory is short.
    pub(super) fn check_memory(&self) -> Result<(), Denied> {
        if self.short_of_memory.load(Ordering::Relaxed) { Err(self.deny(Rejected::Memory)) } else { Ok(()) }
    }

    /// Counts somebody whose place is taken, and says when to come again.
    pub(super) fn deny(&self, rejected: Rejected) -> Denied {
        self.count(rejected);
        Denied { rejected, after: LATER }
    }

    pub(super) fn count(&self, rejected: Rejected) {
        self.rules().facts.rejections.count(rejected);
    }

    /// Watches memory until the server stops; returns at once where nothing limits it.
    pub(super) async fn watch_memory(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let limits = &self.rules().facts.limits;
        let Some(watch) = Watch::new(limits.max_memory).filter(|_| limits.memory_watermark < 100) else { return };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                _ = looks.tick() => {}
            }
            let usage = watch.look();
            let is_short = usage.is_some_and(|usage| usage.is_above(limits.memory_watermark));
            // Said when it begins: newcomers can make this last, and must not fill a log.
            if is_short && !self.short_of_memory.swap(is_short, Ordering::Relaxed) {
                warn!("memory is short, new connections are refused: {usage:?}");
            }
            self.short_of_memory.store(is_short, Ordering::Relaxed);
        }
    }

    fn subjects(&self) -> std::sync::MutexGuard<'_, Subjects> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Denied {
    /// What is said over TCP.
    pub(super) const fn reason(self) -> Reason {
        match self.rejected {
            Rejected::Full | Rejected::Greetings => Reason::SERVER_FULL,
            Rejected::Memory => Reason::MEMORY,
            _ => Reason::RATE,
        }
    }

    /// Milliseconds, rounded up.
    pub(super) fn after_millis(self) -> u64 {
        crate::time::micros(self.after).div_ceil(1000)
    }

    /// Whole seconds, for `Retry-After`.
    pub(super) fn after_secs(self) -> u64 {
        crate::time::micros(self.after).div_ceil(1_000_000).max(1)
    }

    /// Whether it is the server that has no place, and not one address that asks for too much.
    pub(super) const fn is_the_servers(self) -> bool {
        matches!(self.rejected, Rejected::Full | Rejected::Greetings | Rejected::Memory)
    }
}

impl Guest {
    /// Where the peer is, behind the proxies that are believed.
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }

    /// The address, where it has limits.
    #[cfg(feature = "tls")]
    pub(super) fn limited(&self) -> Option<IpAddr> {
        self.counted.then_some(self.address)
    }

    /// Hello was accepted.
    pub(super) fn greeted(&mut self) {
        if !std::mem::take(&mut self.is_stranger) {
            return;
        }
        self.access.strangers.add_permits(1);
        if self.counted {
            self.access.lock().greeted(self.address);
        }
    }

    /// The peer has proved to be this subject, which takes a place among its connections, once. Whether it `returns`
    /// to a session that another connection may still have.
    pub(super) fn identified(&mut self, subject: &Bytes, returns: bool, now: Time) -> Result<(), Denied> {
        let rules = self.access.rules();
        let limits = &rules.facts.limits;
        if subject.is_empty() || self.subject.is_some() || !Subjects::are_limited(limits) {
            return Ok(());
        }
        let arrived = self.access.subjects().arrive(subject, returns, limits, now);
        arrived.inspect_err(|denied| self.access.count(denied.rejected))?;
        self.subject = Some(Box::new(subject.clone()));
        Ok(())
    }

    /// The session that it wanted is not there: whether its subject has too many connections now.
    pub(super) fn check_seat(&self) -> Result<(), Denied> {
        let rules = self.access.rules();
        let beyond = |subject: &Bytes| self.access.subjects().is_beyond(subject, &rules.facts.limits);
        if self.subject.as_deref().is_some_and(beyond) {
            return Err(self.access.deny(Rejected::SubjectConnections));
        }
        Ok(())
    }

    /// The session ended for this reason; where it was a token, its address is remembered for that.
    pub(super) fn ended(&self, reason: Reason, now: Time) {
        if self.counted && matches!(reason, Reason::TOKEN | Reason::TOKEN_EXPIRED) {
            self.access.lock().failed_login(self.address, &self.access.rules().facts.limits, now);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.greeted();
        if let Some(subject) = &self.subject {
            self.access.subjects().leave(subject);
        }
        if self.counted {
            self.access.lock().leave(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::server::Server;

    /// Where an application accepts connections itself, who came says what is local; a listener for both families
    /// sees addresses of IPv4 as some of IPv6.
    #[test]
    fn a_page_of_this_machine_reaches_an_attached_server_from_this_machine_only() {
        let server = Server::builder().detached().unwrap().handle();
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://localhost:5173"));
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:7070"));
        for (peer, allowed) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            assert_eq!(server.access.allows_origin(&headers, false, peer.parse().unwrap()), allowed, "{peer}");
        }
    }
}
