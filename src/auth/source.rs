//! Where a key set comes from: a file, or a server.
//!
//! ```text
//! start ──> fetch ──> keys ──> an unknown kid, or ten minutes ──> fetch ──> other keys
//!                                                                    └──failed──> the keys stay
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::KeySet;

/// Where a key set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A server, by plain HTTP: host with port, and path.
    Http {
        /// Host and port.
        authority: String,
        /// Path and query.
        path: String,
    },
}

/// A URL from which no keys can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSource {
    /// It is not a URL with a host.
    Url,
    /// It is not one of plain HTTP.
    Scheme,
}

impl fmt::Display for BadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "write a URL such as http://127.0.0.1:8080/jwks.json",
            Self::Scheme => {
                "keys can be fetched by http:// only, in a network that you trust; otherwise put them into a file"
            }
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

/// After so long keys are fetched without being asked for. 10 minutes: a key that was withdrawn must go.
const REFRESH: Duration = Duration::from_secs(600);

impl Source {
    /// Reads a URL.
    ///
    /// # Errors
    /// Where no keys can be had from it.
    pub fn url(url: &str) -> Result<Self, BadSource> {
        let uri: Uri = url.parse().map_err(|_| BadSource::Url)?;
        let authority = uri.authority().ok_or(BadSource::Url)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(BadSource::Scheme),
            None => return Err(BadSource::Url),
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self::Http { authority: authority.to_string(), path: path.to_owned() })
    }

    /// Gets the keys, in at most three seconds; `None` where that fails.
    pub async fn fetch(&self) -> Option<KeySet> {
        let fetched = match self {
            Self::File(path) => timeout(FETCH, tokio::fs::read(path)).await.ok()?.ok().map(Bytes::from),
            Self::Http { authority, path } => timeout(FETCH, get(authority, path)).await.ok()?,
        };
        KeySet::read(&fetched.filter(|bytes| bytes.len() <= MAX_BYTES)?)
    }
}

/// One request, and its answer where that is 200. Redirects are not followed.
async fn get(authority: &str, path: &str) -> Option<Bytes> {
    let uri: Uri = format!("http://{authority}{path}").parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(path).header(header::HOST, authority).body(Empty::<Bytes>::new()).ok()?;
    let answer = async move {
        let answer = sender.send_request(request).await.ok()?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await.ok()?;
        Some(body.to_bytes())
    };
    // The connection ends when the answer is there: who asks is gone then.
    futures_util::future::join(answer, connection).await.0
}

/// What was fetched last.
#[derive(Debug, Default)]
pub(super) struct Cached {
    pub(super) keys: KeySet,
    /// Fetches so far, the failed ones included.
    pub(super) rounds: u64,
    /// When the last one was.
    pub(super) tried: Option<Instant>,
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
        let tried = (!keys.is_empty()).then(Instant::now);
        let (sender, cached) = watch::channel(Cached { keys, rounds: 0, tried });
        let (ask, asked) = mpsc::channel(1);
        tokio::spawn(keep(source, sender, asked));
        let cache = Self { cached, ask };
        // Mostly they are there before the first client is.
        cache.refresh();
        cache
    }

    /// Has the keys fetched, unless that was done within the last minute: then false.
    pub(super) fn refresh(&self) -> bool {
        let recently = self.cached.borrow().tried.is_some_and(|tried| tried.elapsed() < PAUSE);
        // Where it is full, somebody has asked already.
        !recently && !matches!(self.ask.try_send(()), Err(mpsc::error::TrySendError::Closed(())))
    }
}

async fn keep(source: Source, cached: watch::Sender<Cached>, mut asked: mpsc::Receiver<()>) {
    loop {
        if let Ok(None) = timeout(REFRESH, asked.recv()).await {
            return;
        }
        if cached.borrow().tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            continue;
        }
        let fetched = source.fetch().await;
        match &fetched {
            Some(keys) => info!("{} keys that verify tokens were fetched", keys.len()),
            None => warn!("the keys that verify tokens cannot be fetched: those from before stay"),
        }
        cached.send_modify(|cached| {
            if let Some(keys) = fetched.filter(|keys| !keys.is_empty()) {
                cached.keys = keys;
            }
            cached.rounds += 1;
            cached.tried = Some(Instant::now());
        });
    }
}
