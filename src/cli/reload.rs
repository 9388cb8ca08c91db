//! SIGHUP: the configuration is read again, and a running server gets what it can take.
//!
//! ```text
//! SIGHUP ──> file, environment, flags ──all read and checked──> Handle::reload, Tls::reload
//!                     └── something is wrong: said, and nothing changes
//! ```
//!
//! Signals are taken one after the other; those that come meanwhile count as one. Those that come before the server
//! runs are taken when it does, and while it goes away nothing is read any more.

use std::io;

use tickwire::auth::Verifier;
use tickwire::server::{Handle, Reload, Tls};
use tracing::{error, info, warn};

use super::config::change::{Change, changes};
use super::config::key::Takes;
use super::config::{Certificate, Config, Problems, Sources};

/// SIGHUPs; none where there is no such signal.
pub(super) struct Hangups {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Hangups {
    /// Catches them from now on. To be called within a runtime.
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signal: signal(SignalKind::hangup())? })
    }

    /// Waits for the next one; `None` where there will be none. Cancel safe.
    async fn next(&mut self) -> Option<()> {
        self.signal.recv().await
    }
}

#[cfg(not(unix))]
impl Hangups {
    pub(super) const fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Option<()> {
        std::future::pending().await
    }
}

/// A running server with its configuration.
pub(super) struct Reloader {
    sources: Sources,
    /// What waits for the next start is as this says.
    started: Config,
    /// Everything else is as this says.
    current: Config,
    handle: Handle,
    tls: Option<Tls>,
    verifier: Option<Verifier>,
}

/// A configuration that was read, with all that its files hold.
struct Fresh {
    config: Config,
    verifier: Option<Verifier>,
}

/// Reads everything again at each signal.
pub(super) async fn run(mut hangups: Hangups, mut reloader: Reloader) {
    while hangups.next().await.is_some() {
        if !reloader.handle.is_ready() {
            warn!("the server is going away: the configuration is not read again");
            continue;
        }
        match reloader.reload().await {
            Ok(changes) => tell(&changes),
            Err(problems) => error!("the configuration is not changed, the one before stays: {problems}"),
        }
    }
}

fn tell(changes: &[Change]) {
    info!("the configuration is read again: {} values have changed", changes.len());
    for change in changes {
        match change.takes {
            Takes::NextStart => warn!("{change}"),
            _ => info!("{change}"),
        }
    }
}

impl Reloader {
    pub(super) fn new(
        sources: Sources,
        config: Config,
        handle: Handle,
        tls: Option<Tls>,
        verifier: Option<Verifier>,
    ) -> Self {
        Self { sources, started: config.clone(), current: config, handle, tls, verifier }
    }

    /// Reads everything again. What has changed.
    ///
    /// # Errors
    /// What is wrong; then nothing has changed.
    pub(super) async fn reload(&mut self) -> Result<Vec<Change>, Problems> {
        let (sources, certificate) = (self.sources.clone(), self.started.certificate());
        let runtime = tokio::runtime::Handle::current();
        // The files may be far away.
        let read = tokio::task::spawn_blocking(move || {
            let _runtime = runtime.enter();
            read(&sources, certificate.as_ref())
        });
        let Fresh { config, verifier } = read.await.unwrap_or_else(|error| Err(one(error.to_string())))?;
        if self.current.has_auth() && verifier.is_none() {
            return Err(one(
                "no [[auth.issuer]] is left: a server that verifies tokens goes on doing so, or is started again"
                    .into(),
            ));
        }
        let verifier = verifier.map(|verifier| match &self.verifier {
            Some(before) => verifier.with_keys_of(before),
            None => verifier,
        });
        let mut reload = Reload::new()
            .limits(config.limits.clone())
            .access(config.access.clone())
            .classes(config.room_classes())
            .query_tokens(config.query);
        if let Some(verifier) = &verifier {
            reload = reload.identify(verifier.clone());
        }
        self.handle.reload(reload).await.map_err(|error| one(error.to_string()))?;
        if let Some(tls) =
            self.tls.clone().filter(|_| matches!(self.started.certificate(), Some(Certificate::Files { .. })))
        {
            // It has just been read, and what comes of it is logged.
            let _reloaded = tokio::task::spawn_blocking(move || tls.reload()).await;
        }
        let waits = |change: &Change| change.takes == Takes::NextStart;
        let mut changed: Vec<Change> = changes(&self.started, &config).into_iter().filter(waits).collect();
        changed.extend(changes(&self.current, &config).into_iter().filter(|change| !waits(change)));
        (self.current, self.verifier) = (config, verifier);
        Ok(changed)
    }
}

/// Reads and checks everything: the configuration, its keys, and the certificate that is used.
fn read(sources: &Sources, certificate: Option<&Certificate>) -> Result<Fresh, Problems> {
    let config = Config::load(sources)?;
    let verifier = config.verifier().map_err(Problems)?;
    for certificate in [certificate, config.certificate().as_ref()].into_iter().flatten() {
        certificate.load(&[]).map_err(|error| one(error.to_string()))?;
    }
    Ok(Fresh { config, verifier })
}

fn one(problem: String) -> Problems {
    Problems(vec![problem])
}
