//! HTTP for operators, on an address of its own: metrics, health, and rooms to watch (`docs/http.md`).
//!
//! ```text
//! GET /healthz                     200
//! GET /readyz                      200, or 503 while the server goes away
//! GET /metrics                     the page for Prometheus
//! GET /v1/rooms/{room}/events      a room as server-sent events
//! /v1/...                          with a key: what operators ask and do, see `api`
//! ```
//!
//! A further route is an arm of [`route`], which names its path, and a function that answers.

use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

use super::Observe;
use super::sse::{Events, read_id};
use super::text::CONTENT_TYPE;
use super::visitor::Visitor;
use super::watch::{Wanted, Watch};
use crate::name::RoomName;
#[cfg(feature = "api")]
use crate::server::api;
#[cfg(feature = "console")]
use crate::server::console;
use crate::server::{Handle, credential, http};
use crate::wire::Reason;

/// What a request is answered.
type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Connections of operators. 1,024: a few scrapers, and rooms that are watched.
const CONNECTIONS: usize = 1024;

/// Those among them that watch a room, so that a scraper finds a place.
const WATCHERS: u64 = 960;

/// How long a request and its answer may take. 30 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a watcher whose session has ended may take for the rest of its text. 10 s.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Bytes of a request's head, and of an answer that wait for their socket. 16 KiB.
const BUFFER: usize = 16 * 1024;

/// A listener for operators. Dropping it stops it.
#[derive(Debug)]
pub(in crate::server) struct Admin(JoinHandle<()>);

impl Drop for Admin {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves operators until what is returned is dropped.
pub(in crate::server) fn start(listener: TcpListener, server: Handle) -> Admin {
    Admin(tokio::spawn(listen(listener, server)))
}

async fn listen(listener: TcpListener, server: Handle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(serve(stream, peer.ip(), server.clone(), place));
            }
            Err(error) => {
                debug!("an operator's connection cannot be accepted: {error}");
                // Mostly there are no more descriptors: not to spin until there are.
                let _back_off = timeout(Duration::from_millis(100), pending::<()>()).await;
            }
        }
    }
}

/// What a connection and the session behind it tell each other.
#[derive(Debug, Default)]
struct Watching {
    /// A room is watched.
    begun: Notify,
    /// The session that watches has ended.
    ended: Arc<Notify>,
}

async fn serve(stream: TcpStream, peer: IpAddr, server: Handle, _place: OwnedSemaphorePermit) {
    let watching = Arc::new(Watching::default());
    let local = stream.local_addr().ok().map(|addr| addr.ip());
    let service = service_fn(|request: Request<Incoming>| {
        let (server, watching) = (server.clone(), Arc::clone(&watching));
        async move {
            let visitor = Visitor::new(peer, local, request.headers(), &server.access);
            if !visitor.means_us(request.headers()) {
                let text = "This address is for this machine: ask for localhost, or a loopback address.\n";
                return Ok::<_, Infallible>(say(StatusCode::FORBIDDEN, text));
            }
            #[cfg(feature = "console")]
            if console::http::is_here(request.uri().path()) {
                let mut request = request;
                return Ok(plain(console::http::answer(&mut request, visitor, &server)));
            }
            Ok(route(request, visitor, &server, &watching).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        served = connection => {
            if let Err(error) = served {
                debug!("an operator's request was not served: {error}");
            }
        }
        () = overdue(&watching) => debug!("an operator's connection took too long"),
    }
}

/// Until a connection has had its time: a request's, or that behind the session that watches.
async fn overdue(watching: &Watching) {
    if timeout(PATIENCE, watching.begun.notified()).await.is_ok() {
        watching.ended.notified().await;
        let _last = timeout(LAST_WORDS, pending::<()>()).await;
    }
}

async fn route(request: Request<Incoming>, visitor: Visitor, server: &Handle, watching: &Watching) -> Answer {
    let (method, path) = (request.method(), request.uri().path());
    #[cfg(feature = "api")]
    if is_api(method, path) {
        return plain(api::http::respond(request, visitor.from, server).await);
    }
    #[cfg(not(feature = "api"))]
    let _ = visitor.from;
    match path {
        "/healthz" => plain(http::health(method)),
        "/readyz" => plain(http::ready(method, server)),
        "/metrics" => metrics(method, server).await,
        "/" => say(
            StatusCode::OK,
            "Tickwire: /metrics, /healthz, /readyz, /v1/rooms/{room}/events; with a key /v1/openapi.json.\n",
        ),
        _ => match watched(path) {
            Some(room) => events(method, room, request.headers(), server, watching).await,
            None => say(StatusCode::NOT_FOUND, "There is nothing here. See / for what there is.\n"),
        },
    }
}

/// Whether operators need a key for it. Watching a room is for clients' tokens.
#[cfg(feature = "api")]
fn is_api(method: &Method, path: &str) -> bool {
    let watches = matches!(*method, Method::GET | Method::HEAD) && watched(path).is_some();
    path.starts_with("/v1/") && !watches
}

/// The room of which the events are at a path. `/v1/rooms/events` is a room of that name, and not its events.
fn watched(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/rooms/")?.strip_suffix("/events")
}

async fn metrics(method: &Method, server: &Handle) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return plain(http::only_get());
    }
    let mut answer = plain(Response::new(Full::from(super::metrics(server).await)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// A room's events, until somebody ends them.
async fn events(method: &Method, room: &str, headers: &HeaderMap, server: &Handle, watching: &Watching) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return plain(http::only_get());
    }
    let wanted = match wanted(room, headers) {
        Ok(wanted) => wanted,
        Err(reason) => return refuse(reason),
    };
    let mut answer = Response::new(());
    let head = answer.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if *method == Method::HEAD {
        return answer.map(|()| Full::default().boxed_unsync());
    }
    let observe = Arc::clone(server.registry.observe());
    let Some(watcher) = Watcher::new(observe) else { return refuse(Reason::SERVER_FULL) };
    let (watch, joined) = match Watch::join(server, &wanted, Arc::clone(&watching.ended)).await {
        Ok(joined) => joined,
        Err(reason) => return refuse(reason),
    };
    watching.begun.notify_one();
    let events = unfold((Events::new(watch, &joined), watcher), |(mut events, watcher)| async move {
        let text = events.next().await?;
        Some((Ok(Frame::data(text)), (events, watcher)))
    });
    answer.map(|()| StreamBody::new(events).boxed_unsync())
}

/// What a request for a room's events asks for.
fn wanted(room: &str, headers: &HeaderMap) -> Result<Wanted, Reason> {
    let room = percent_decode_str(room).collect::<Vec<u8>>();
    let room = RoomName::new(&room).ok_or(Reason::ROOM_NAME)?;
    let since = match headers.get("last-event-id").map(HeaderValue::as_bytes) {
        None | Some(b"") => None,
        Some(id) => Some(std::str::from_utf8(id).ok().and_then(read_id).ok_or(Reason::ARGUMENT)?),
    };
    let token = credential::bearer(headers);
    if token.is_none() && headers.contains_key(header::AUTHORIZATION) {
        // Not to be taken for somebody who says nothing of himself.
        return Err(Reason::TOKEN);
    }
    Ok(Wanted { room, since, token: token.unwrap_or_default().to_vec() })
}

/// The protocol's reason as an answer.
fn refuse(reason: Reason) -> Answer {
    let status = match reason {
        Reason::ROOM_NAME | Reason::ARGUMENT => StatusCode::BAD_REQUEST,
        Reason::TOKEN | Reason::TOKEN_EXPIRED => StatusCode::UNAUTHORIZED,
        _ if reason.advice() == crate::wire::Advice::Never => StatusCode::FORBIDDEN,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let hint = match reason {
        Reason::ARGUMENT => " Last-Event-ID is the id of an event: an epoch of 16 digits, and a position.",
        _ => "",
    };
    let mut answer = plain(http::text(status, reason.sentence()));
    *answer.body_mut() = Full::from(format!("{reason}{hint}\n")).boxed_unsync();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}

fn say(status: StatusCode, sentence: &'static str) -> Answer {
    plain(http::text(status, sentence))
}

fn plain(answer: http::Answer) -> Answer {
    answer.map(BodyExt::boxed_unsync)
}

/// One of those who watch.
struct Watcher(Arc<Observe>);

impl Watcher {
    fn new(observe: Arc<Observe>) -> Option<Self> {
        let before = observe.watchers.fetch_add(1, Ordering::Relaxed);
        // Dropped, it is not counted any more.
        Some(Self(observe)).filter(|_| before < WATCHERS)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}
