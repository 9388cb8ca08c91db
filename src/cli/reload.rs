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
#[cfg(unix)]
use std::sync::Arc;

use tickwire::auth::Verifier;
use tickwire::server::{Handle, Reload, Tls};
use tracing::{error, info, warn};

use super::config::change::{Change, changes};
use super::config::key::Takes;
use super::config::{Certificate, Config, Problems, Sources};
#[cfg(unix)]
use super::notify::{Notifier, State};

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
    #[cfg(unix)]
    manager: Option<Arc<Notifier>>,
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
        #[cfg(unix)]
        reloader.manager.iter().for_each(|manager| manager.tell(State::Reloading));
        match reloader.reload().await {
            Ok(changes) => tell(&changes),
            Err(problems) => error!("the configuration is not changed, the one before stays: {problems}"),
        }
        // Whoever goes away meanwhile has said so.
        #[cfg(unix)]
        reloader.manager.iter().filter(|_| reloader.handle.is_ready()).for_each(|manager| manager.tell(State::Ready));
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
        let started = config.clone();
        Self {
            sources,
            started,
            current: config,
            handle,
            tls,
            verifier,
            #[cfg(unix)]
            manager: None,
        }
    }

    /// The same, which tells the service manager when it begins and is done.
    #[cfg(unix)]
    pub(super) fn telling(self, manager: Option<Arc<Notifier>>) -> Self {
        Self { manager, ..self }
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
            .query_tokens(config.query)
            .api_keys(config.api_keys());
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
    let wanted = config.certificate();
    if let Some(wanted) = &wanted {
        wanted.load(&[]).map_err(|error| one(error.to_string()))?;
    }
    // Where others are wanted at the next start, those in use are in memory: their files may be gone.
    if let Some(used) = certificate.filter(|used| Some(*used) != wanted.as_ref())
        && let Err(error) = used.load(&[])
    {
        warn!("the certificate that is used until the next start cannot be read again: {error}");
    }
    Ok(Fresh { config, verifier })
}

fn one(problem: String) -> Problems {
    Problems(vec![problem])
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::PathBuf;

    use tickwire::auth::{Algorithm, SigningKey};
    use tickwire::server::Server;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// A file that is gone with this.
    struct File(PathBuf);

    impl File {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("tickwire-{}-{name}.toml", std::process::id())))
        }

        fn write(&self, text: &str) {
            std::fs::write(&self.0, text).unwrap();
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _gone = std::fs::remove_file(&self.0);
        }
    }

    /// A server as `serve` starts it, which runs until the sender is dropped.
    async fn start(file: &File) -> (Reloader, tokio::sync::oneshot::Sender<()>) {
        let sources = Sources::of_file(file.0.clone());
        let config = Config::load(&sources).unwrap();
        let verifier = config.verifier().unwrap();
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut builder = Server::builder().websocket(any).tcp(any).shards(1).limits(config.limits.clone());
        if let Some(verifier) = &verifier {
            builder = builder.identify(verifier.clone());
        }
        let server = builder.bind().await.unwrap();
        let reloader = Reloader::new(sources, config, server.handle(), None, verifier);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(server.run(async {
            let _stopped: Result<(), _> = stopped.await;
        }));
        (reloader, stop)
    }

    fn issuer(kid: &str) -> String {
        format!("[[auth.issuer]]\nkey = [{{ kid = '{kid}', algorithm = 'HS256', secret = '{SECRET}' }}]\n")
    }

    async fn told(reloader: &mut Reloader) -> Vec<String> {
        reloader.reload().await.unwrap().iter().map(Change::to_string).collect()
    }

    #[tokio::test]
    async fn a_changed_file_changes_what_it_can_and_a_wrong_one_nothing() {
        let file = File::new("reload");
        file.write("[limits]\nmax_rooms = 7\n");
        let (mut reloader, _stop) = start(&file).await;
        assert_eq!(told(&mut reloader).await, [""; 0]);
        file.write("listen = '127.0.0.1:1'\n[limits]\nmax_rooms = 8\nmax_connections = 5\n");
        let later = [
            "listen: \"127.0.0.1:7070\" -> \"127.0.0.1:1\" (at the next start)",
            "limits.max_connections: 10000 -> 5 (at the next start)",
        ];
        let rooms = "limits.max_rooms: 7 -> 8 (for new connections)";
        assert_eq!(told(&mut reloader).await, [&later[..], &[rooms]].concat());
        // What waits is told until it is as it was; the rest is done.
        assert_eq!(told(&mut reloader).await, later);
        for (wrong, expected) in [
            ("[limits]\nmax_rooms = 0\n", "max_rooms must be at least 1"),
            ("[limits\n", "is not TOML"),
            ("[tls]\ncert = '/nowhere/a'\nkey = '/nowhere/b'\n", "/nowhere/a"),
            ("[[auth.issuer]]\njwks_file = '/nowhere/c'\n", "/nowhere/c cannot be read"),
            // It fits itself, and not what waits for the next start.
            ("[limits]\nmax_frame = '32KiB'\nmax_hello_frame = '20KiB'\n", "max_hello_frame must not be above"),
        ] {
            file.write(wrong);
            let problems = reloader.reload().await.unwrap_err().to_string();
            assert!(problems.contains(expected), "{problems:?} should contain {expected:?}");
            assert_eq!(reloader.current.limits.max_rooms, 8);
        }
        file.write("[limits]\nmax_rooms = 7\n");
        assert_eq!(told(&mut reloader).await, ["limits.max_rooms: 8 -> 7 (for new connections)"]);
    }

    #[tokio::test]
    async fn keys_come_and_go_and_the_last_stays() {
        let file = File::new("keys");
        file.write(&issuer("a"));
        let (mut reloader, _stop) = start(&file).await;
        let token = SigningKey::new(Some("b"), Algorithm::Hs256, SECRET.as_bytes()).unwrap();
        let token = token.sign(&serde_json::json!({ "sub": "ann", "exp": 4_000_000_000_u64 })).unwrap();
        let verifies = |reloader: &Reloader| {
            let verifier = reloader.verifier.as_ref().unwrap();
            verifier.verify(token.as_bytes(), std::time::SystemTime::now()).is_ok()
        };
        assert!(!verifies(&reloader));
        file.write(&issuer("b"));
        let changes = told(&mut reloader).await;
        assert!(verifies(&reloader) && !changes.is_empty() && !changes.concat().contains(SECRET), "{changes:?}");
        file.write("");
        let problems = reloader.reload().await.unwrap_err().to_string();
        assert!(problems.contains("no [[auth.issuer]] is left") && verifies(&reloader), "{problems}");
    }
}
