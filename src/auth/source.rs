//! Where a key set comes from: a file, or a server.
//!
//! ```text
//! start ──> fetch ──> keys ──> an unknown kid, or ten minutes ──> fetch ──> other keys
//!             ^                                                      └──failed──> the keys stay
//!             └── an unknown kid after 5 s, or a minute ───────────────────┘
//! ```
//!
//! After a fetch that failed nobody can say whether an unknown key is none: whoever brings such a token is to
//! come again (PROTOCOL 15.1).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{KeySet, fetch};

/// Where a key set comes from. Shown without a query, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A server, by plain HTTP. Whoever is on the way can replace the keys, so it is for this machine.
    Http {
        /// Host and port.
        authority: String,
        /// Path and query.
        path: String,
    },
    /// A server, by HTTPS, of which the certificate is checked.
    #[cfg(feature = "tls")]
    Https {
        /// Host and port.
        authority: String,
        /// Path and query.
        path: String,
        /// Who may have signed the server's certificate, in PEM; `None` for the public authorities.
        roots: Option<Bytes>,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Http { authority, path } => {
                f.debug_struct("Http").field("authority", authority).field("path", &shown(path)).finish()
            }
            #[cfg(feature = "tls")]
            Self::Https { authority, path, roots } => {
                let mut fields = f.debug_struct("Https");
                fields.field("authority", authority).field("path", &shown(path)).field("roots", &roots.is_some());
                fields.finish()
            }
        }
    }
}

/// A URL from which no keys can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSource {
    /// It is not a URL with a host; or it names a user, with whom nobody would log in.
    Url,
    /// It is neither one of HTTPS, which needs the feature `tls`, nor one of HTTP.
    Scheme,
    /// What should be certificates of authorities, in PEM, is none; or the URL has no use for them.
    Roots,
}

impl fmt::Display for BadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "write a URL such as https://id.example/jwks.json, without a user",
            Self::Scheme => "keys are fetched by https://, or by http:// from this machine",
            Self::Roots => "authorities are certificates in PEM, for a URL with https://",
        })
    }
}

impl std::error::Error for BadSource {}

/// Bytes of a key set. 256 KiB: 64 keys with their certificates.
const MAX_BYTES: usize = 256 * 1024;

/// How long a fetch may take. 3 s: within the time that a hello has.
const FETCH: Duration = Duration::from_secs(3);

/// Between two fetches at least. A minute: unknown key ids cost strangers nothing.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

/// After a fetch that failed. 5 s: clients wait for it, and a server of keys that comes back is not stormed.
pub(super) const RETRY: Duration = Duration::from_secs(5);

/// After so long keys are fetched without being asked for. 10 minutes: a key that was withdrawn must go.
const REFRESH: Duration = Duration::from_secs(600);

impl Source {
    /// Reads a URL of HTTP or HTTPS. It names no user and no password: nobody would log in with them,
    /// and the log would show them.
    ///
    /// # Errors
    /// Where no keys can be had from it.
    pub fn url(url: &str) -> Result<Self, BadSource> {
        let uri: Uri = url.parse().map_err(|_| BadSource::Url)?;
        let authority = uri.authority().ok_or(BadSource::Url)?.to_string();
        if authority.contains('@') {
            return Err(BadSource::Url);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        match uri.scheme_str() {
            Some("http") => Ok(Self::Http { authority, path }),
            #[cfg(feature = "tls")]
            Some("https") => Ok(Self::Https { authority, path, roots: None }),
            Some(_) => Err(BadSource::Scheme),
            None => Err(BadSource::Url),
        }
    }

    /// The same, and the server's certificate is signed by one of these authorities, in PEM, and by no other.
    ///
    /// # Errors
    /// Where these are none, or the keys do not come by HTTPS.
    #[cfg(feature = "tls")]
    pub fn with_roots(self, pem: impl Into<Bytes>) -> Result<Self, BadSource> {
        let pem = pem.into();
        match self {
            Self::Https { authority, path, .. } if super::roots::read(&pem).is_some() => {
                Ok(Self::Https { authority, path, roots: Some(pem) })
            }
            _ => Err(BadSource::Roots),
        }
    }

    /// Gets the keys, in at most three seconds; `None` where that fails.
    pub async fn fetch(&self) -> Option<KeySet> {
        let fetched = match self {
            Self::File(path) => timeout(FETCH, tokio::fs::read(path)).await.ok()?.ok().map(Bytes::from),
            Self::Http { authority, path } => timeout(FETCH, fetch::http(authority, path, MAX_BYTES)).await.ok()?,
            #[cfg(feature = "tls")]
            Self::Https { authority, path, roots } => {
                timeout(FETCH, fetch::https(authority, path, roots.as_deref(), MAX_BYTES)).await.ok()?
            }
        };
        KeySet::read(&fetched.filter(|bytes| bytes.len() <= MAX_BYTES)?)
    }

    /// Whether others could replace the keys on their way.
    fn is_open(&self) -> Option<&str> {
        match self {
            Self::Http { authority, .. } if !fetch::is_here(authority) => Some(authority),
            _ => None,
        }
    }
}

/// What was fetched last.
#[derive(Debug, Default)]
pub(super) struct Cached {
    pub(super) keys: KeySet,
    /// Fetches so far, the failed ones included.
    pub(super) rounds: u64,
    /// When the last one was.
    pub(super) tried: Option<Instant>,
    /// Whether that one failed, or there was none yet: then keys may be missing.
    pub(super) is_stale: bool,
}

impl Cached {
    /// Whether it is too early for another fetch.
    fn rests(&self) -> bool {
        let pause = if self.is_stale { RETRY } else { PAUSE };
        self.tried.is_some_and(|tried| tried.elapsed() < pause)
    }
}

/// The keys of a source, kept fresh by a task.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) cached: watch::Receiver<Cached>,
    ask: mpsc::Sender<()>,
}

impl Cache {
    /// Starts the task, which ends with the last clone of this. `keys` are known already.
    pub(super) fn start(source: Source, keys: KeySet) -> Self {
        if let Some(authority) = source.is_open() {
            warn!("keys come from {authority} by plain HTTP: whoever is on the way can replace them, use https://");
        }
        let (tried, is_stale) = ((!keys.is_empty()).then(Instant::now), keys.is_empty());
        let (sender, cached) = watch::channel(Cached { keys, rounds: 0, tried, is_stale });
        let (ask, asked) = mpsc::channel(1);
        tokio::spawn(keep(source, sender, asked));
        let cache = Self { cached, ask };
        // Mostly they are there before the first client is.
        cache.refresh();
        cache
    }

    /// Has the keys fetched, unless that was done within the last minute, or has failed just now: then false.
    pub(super) fn refresh(&self) -> bool {
        // Where it is full, somebody has asked already.
        !self.cached.borrow().rests() && !matches!(self.ask.try_send(()), Err(mpsc::error::TrySendError::Closed(())))
    }
}

async fn keep(source: Source, cached: watch::Sender<Cached>, mut asked: mpsc::Receiver<()>) {
    loop {
        // Nobody may ask while the keys that are here serve everyone.
        let wait = if cached.borrow().is_stale { PAUSE } else { REFRESH };
        if let Ok(None) = timeout(wait, asked.recv()).await {
            return;
        }
        if cached.borrow().rests() {
            continue;
        }
        let fetched = source.fetch().await.filter(|keys| !keys.is_empty());
        match &fetched {
            Some(keys) => info!("{} keys that verify tokens were fetched", keys.len()),
            None => warn!("the keys that verify tokens cannot be fetched: those from before stay"),
        }
        cached.send_modify(|cached| {
            cached.is_stale = fetched.is_none();
            if let Some(keys) = fetched {
                cached.keys = keys;
            }
            cached.rounds += 1;
            cached.tried = Some(Instant::now());
        });
    }
}
