//! The server under test: made anew for each scenario, and replaced within one.
//!
//! ```text
//! reset      server A, gone without a word          server B, empty
//! restart    server B: GOING_AWAY, slots, drain ──> ended
//!            server C ── takes what comes from now on ──>
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tickwire::class::{PresenceMode, RoomClass, RoomClasses};
use tickwire::limits::Limits;
use tickwire::server::{Error, Handle, Server};
use tokio::task::JoinSet;

use super::issuer::Issuer;
use super::order::Setting;
use super::relay::Backend;
use super::witness::Ears;

/// A server, and those that it has replaced.
#[derive(Debug)]
pub(super) struct Stage {
    setting: Setting,
    handle: Handle,
    backend: Backend,
    /// The server, and those that have not ended. Dropped, they end without a word.
    running: JoinSet<Result<(), Error>>,
}

/// Between flushes. 20 ms: scenarios are short.
const TICK: Duration = Duration::from_millis(20);

/// How long a session goes on after its token has expired. 1 s: as short as tokens can tell.
pub(super) const TOKEN_GRACE: Duration = Duration::from_secs(1);

/// How long clients may take to leave. 1 s: enough for any of them on a busy machine, and not long to wait.
const DRAIN: Duration = Duration::from_secs(1);

/// From that to the first slot. 500 ms, which clients wait in any case.
const RESTART: Duration = Duration::from_millis(500);

/// Servers at once. 8: each has a thread, and ends within two seconds.
const MOST: usize = 8;

impl Stage {
    /// A first server.
    ///
    /// # Errors
    /// Where it cannot be made, or this setting contradicts itself.
    pub(super) async fn set(setting: Setting, issuer: &Issuer, ears: Ears) -> Result<Self, Error> {
        let server = make(setting, issuer, ears).await?;
        let backend = backend(&server)?;
        let handle = server.handle();
        let mut running = JoinSet::new();
        running.spawn(server.run(std::future::pending()));
        Ok(Self { setting, handle, backend, running })
    }

    /// Drains the server, and puts another one in its place. `None` where too many have not ended yet.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub(super) async fn restart(&mut self, issuer: &Issuer, ears: Ears) -> Result<Option<()>, Error> {
        while self.running.try_join_next().is_some() {}
        if self.running.len() >= MOST {
            return Ok(None);
        }
        let server = make(self.setting, issuer, ears).await?;
        self.backend = backend(&server)?;
        let before = std::mem::replace(&mut self.handle, server.handle());
        self.running.spawn(server.run(std::future::pending()));
        before.drain();
        Ok(Some(()))
    }

    /// Ends everything, without a word.
    pub(super) async fn strike(mut self) {
        self.running.shutdown().await;
    }

    /// Whether clients need tokens.
    pub(super) const fn wants_tokens(&self) -> bool {
        self.setting.tokens
    }

    /// The server in place.
    pub(super) const fn server(&self) -> &Handle {
        &self.handle
    }

    /// Where it is.
    pub(super) const fn backend(&self) -> Backend {
        self.backend
    }
}

async fn make(setting: Setting, issuer: &Issuer, ears: Ears) -> Result<Server, Error> {
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut builder = Server::builder()
        .websocket(any)
        .tcp(any)
        .shards(1)
        .limits(limits(setting))
        .classes(classes(setting))
        .logic("**", move |room| ears.of(room));
    if setting.tokens {
        builder = builder.identify(issuer.verifier());
    }
    builder.bind().await
}

fn backend(server: &Server) -> Result<Backend, Error> {
    let addrs = server.websocket_addr().zip(server.tcp_addr());
    addrs.map(|(websocket, tcp)| Backend { websocket, tcp }).ok_or(Error::NoAddress)
}

fn limits(setting: Setting) -> Limits {
    let mut limits = Limits::default();
    limits.drain_timeout = DRAIN;
    limits.drain_restart = RESTART;
    limits.token_grace = TOKEN_GRACE;
    // What is published through the control port leaves at once, each event in a batch of its own.
    limits.max_early_flushes = u32::MAX;
    limits.ping_interval = setting.ping.unwrap_or(limits.ping_interval);
    limits.grace = setting.grace.unwrap_or(limits.grace);
    if let Some(bytes) = setting.outbox_bytes {
        limits.outbox_bytes = bytes;
        // What must be below it goes down with it.
        let batches = bytes / 4 * 3;
        limits.max_batch = limits.max_batch.min(batches.saturating_sub(16 * 1024));
        limits.low_water = limits.low_water.min(bytes / 4);
        limits.ping_bytes = limits.ping_bytes.min(bytes / 4);
    }
    limits
}

fn classes(setting: Setting) -> RoomClasses {
    let mut class = RoomClass::default();
    class.period = TICK;
    class.presence = PresenceMode::Full;
    class.history.batches = setting.history_batches.unwrap_or(class.history.batches);
    // A flood is of spaces: compressed, it would fit any outbox.
    class.compress = setting.outbox_bytes.is_none();
    RoomClasses { default: class, ..RoomClasses::default() }
}

/// What is wrong with a setting, in words.
pub(super) fn explain(error: &Error) -> String {
    match error {
        Error::Limits(sentence) => format!("this server cannot be: {sentence}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_outboxes_fit_and_smaller_ones_are_refused() {
        let check = |bytes| limits(Setting { outbox_bytes: Some(bytes), ..Setting::default() }).check();
        assert_eq!(check(65_536), Ok(()));
        assert_eq!(check(1 << 24), Ok(()));
        assert!(check(1024).is_err());
    }
}
