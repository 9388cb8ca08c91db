//! HTTP on the WebSocket port: the health check, and the upgrade (PROTOCOL 4.2).
//!
//! ```text
//! GET /healthz          200
//! GET /readyz           200, or 503 while the server goes away
//! GET /ws, /ws/{room}   101, and the connection goes on as frames
//! GET /, /assets/{file} the first page, where it is served
//! ```

use std::cell::Cell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::access::{Access, Denied, Guest, is_authority};
use super::connection::Speaks;
use super::credential;
use super::head::{self, HeadError, Rewound};
#[cfg(feature = "page")]
use super::page;
use super::registry::Place;
use super::{Handle, closing};
use crate::rejections::Rejected;
use crate::time::Time;
use crate::wire::SUBPROTOCOL;

pub(super) type Answer = Response<Full<Bytes>>;

/// Who sends a request.
pub(super) enum Caller {
    /// Whoever has connected.
    Known(Guest),
    /// The one behind the PROXY header of a listed proxy.
    Introduced(Guest),
    /// Somebody behind a listed proxy: the request will tell.
    Behind(IpAddr, OwnedSemaphorePermit),
}

/// A request that has become a session.
pub(super) struct Upgraded<T> {
    pub(super) io: T,
    pub(super) speaks: Speaks,
    pub(super) place: Place,
    pub(super) guest: Guest,
}

/// What a request needs that may become a session, and what has become of it.
struct Visit {
    caller: Caller,
    accepted: oneshot::Sender<Accepted>,
}

struct Accepted {
    on_upgrade: OnUpgrade,
    place: Place,
    guest: Guest,
    room: Option<Bytes>,
    token: Option<Bytes>,
}

impl Caller {
    /// Whoever comes from `peer`, which has a place among those without hello.
    pub(super) fn new(
        peer: IpAddr,
        greeting: OwnedSemaphorePermit,
        access: &Arc<Access>,
        now: Time,
    ) -> Result<Self, Denied> {
        if access.trusts(peer) {
            return Ok(Self::Behind(peer, greeting));
        }
        access.arrive(peer, greeting, now).map(Self::Known)
    }

    /// A listed proxy has said by a PROXY header for whom it speaks.
    pub(super) fn introduced(self) -> Self {
        match self {
            Self::Known(guest) => Self::Introduced(guest),
            // The request tells more than the header, which named another listed proxy.
            other => other,
        }
    }

    /// Who has connected, as far as is known.
    fn peer(&self) -> IpAddr {
        match self {
            Self::Known(guest) | Self::Introduced(guest) => guest.address(),
            Self::Behind(proxy, _) => *proxy,
        }
    }

    /// Whose address has limits, as far as it is known.
    #[cfg(feature = "tls")]
    pub(super) fn limited(&self) -> Option<IpAddr> {
        match self {
            Self::Known(guest) | Self::Introduced(guest) => guest.limited(),
            Self::Behind(..) => None,
        }
    }

    fn guest(self, headers: &HeaderMap, server: &Handle) -> Result<Guest, Denied> {
        match self {
            Self::Known(guest) | Self::Introduced(guest) => Ok(guest),
            Self::Behind(proxy, greeting) => {
                let client = server.access.client(proxy, headers);
                server.access.arrive(client, greeting, server.surroundings().clock.now())
            }
        }
    }
}

/// Serves one request, which may become a session. Takes at most the time that hello may take.
pub(super) async fn serve<T>(mut io: T, caller: Caller, server: &Handle) -> Option<Upgraded<T>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let surroundings = server.surroundings();
    let limits = &surroundings.facts.limits;
    let until = Instant::now() + limits.hello_timeout;
    let read = match head::read(&mut io, limits, until).await {
        Ok(read) => read,
        Err(error @ (HeadError::Silent | HeadError::Late)) => {
            // Its place is another's now.
            drop(caller);
            give_up(&mut io, error, server).await;
            return None;
        }
        Err(error) => {
            // What is left of the time.
            let _over = timeout_at(until, refuse_head(&mut io, error, server)).await;
            return None;
        }
    };
    let served = timeout_at(until, exchange(Rewound::new(io, read), caller, server));
    served.await.unwrap_or_else(|_| {
        server.access.count(Rejected::HeadTimeout);
        debug!("a request was not served in time");
        None
    })
}

async fn refuse_head<T: AsyncRead + AsyncWrite + Unpin>(io: &mut T, error: HeadError, server: &Handle) {
    let Some(answer) = error.answer() else { return };
    let too_large = matches!(error, HeadError::Target | HeadError::TooLarge);
    server.access.count(if too_large { Rejected::HeadTooLarge } else { Rejected::Handshake });
    debug!("a request was refused: {error:?}");
    let surroundings = server.surroundings();
    let limits = &surroundings.facts.limits;
    // Over the time, the connection is closed as it stands.
    let _over = timeout(limits.discard_timeout, closing::say(io, &answer, limits)).await;
}

/// Says 408 to whoever has begun. All he has sent was read, so nothing is left to discard, and nobody who is
/// slow is waited for any longer.
async fn give_up<T: AsyncWrite + Unpin>(io: &mut T, error: HeadError, server: &Handle) {
    server.access.count(Rejected::HeadTimeout);
    debug!("a request did not come in time");
    let Some(answer) = error.answer() else { return };
    let told = async { io.write_all(&answer).await.is_ok() && io.shutdown().await.is_ok() };
    let _over = timeout(server.surroundings().facts.limits.discard_timeout, told).await;
}

/// The request, of which the head is there, and its answer.
async fn exchange<T>(io: Rewound<T>, caller: Caller, server: &Handle) -> Option<Upgraded<T>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (accepted, mut outcome) = oneshot::channel();
    let visit = Cell::new(Some(Visit { caller, accepted }));
    let handle = server.clone();
    let service = service_fn(move |request| {
        let answer = respond(request, &handle, &visit);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        // Who has asked and says no more still listens.
        .half_close(true)
        // hyper asks for 8 KiB at least.
        .max_buf_size(server.surroundings().facts.limits.max_http_header.max(8 * 1024))
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        server.access.count(Rejected::Handshake);
        debug!("a request was not served: {error}");
    }
    let Accepted { on_upgrade, place, guest, room, token } = outcome.try_recv().ok()?;
    // Always so: this is what was given to hyper.
    let parts = on_upgrade.await.ok()?.downcast::<TokioIo<Rewound<T>>>().ok()?;
    let (io, rest) = parts.io.into_inner().into_parts();
    let mut read = BytesMut::from(parts.read_buf);
    read.extend_from_slice(&rest);
    Some(Upgraded { io, speaks: Speaks::WebSocket { read: read.freeze(), room, token }, place, guest })
}

fn respond(mut request: Request<Incoming>, server: &Handle, visit: &Cell<Option<Visit>>) -> Answer {
    if !names_its_host(request.version(), request.headers()) {
        server.access.count(Rejected::Handshake);
        return text(StatusCode::BAD_REQUEST, "Host must be there once, and be a host.\n");
    }
    #[cfg(feature = "page")]
    if let Some(answer) = page::answer(&request, server) {
        return answer;
    }
    let path = request.uri().path();
    let room = match path {
        "/healthz" => return health(request.method()),
        "/readyz" => return ready(request.method(), server),
        "/" => {
            return text(
                StatusCode::OK,
                "Tickwire is running. Clients connect to /ws with the subprotocol tickwire.v1.\n",
            );
        }
        "/ws" => None,
        _ => match path.strip_prefix("/ws/") {
            Some(room) => Some(Bytes::from(percent_decode_str(room).collect::<Vec<u8>>())),
            None => return text(StatusCode::NOT_FOUND, "There is nothing here. Clients connect to /ws.\n"),
        },
    };
    let answer = match accept(request.method(), request.version(), request.headers()) {
        Ok(answer) => answer,
        Err(refused) => {
            server.access.count(Rejected::Handshake);
            return *refused;
        }
    };
    // There is one request a connection.
    let Some(Visit { caller, accepted }) = visit.take() else {
        return text(StatusCode::BAD_REQUEST, "One request a connection.\n");
    };
    let proxied = matches!(caller, Caller::Behind(..) | Caller::Introduced(_));
    if !server.access.allows_origin(request.headers(), proxied, caller.peer()) {
        server.access.count(Rejected::Origin);
        return text(StatusCode::FORBIDDEN, "Pages of this origin may not connect: see origins in [access].\n");
    }
    let admitted = caller.guest(request.headers(), server).and_then(|guest| {
        server.access.check_memory()?;
        let place = server.registry.take_place().ok_or_else(|| server.access.deny(Rejected::Full))?;
        Ok((guest, place))
    });
    match admitted {
        Ok((guest, place)) => {
            let query = server.surroundings().identification.query;
            let token = credential::find(request.headers(), request.uri(), query);
            let on_upgrade = hyper::upgrade::on(&mut request);
            // Nobody waits any more where the time is over.
            let _late = accepted.send(Accepted { on_upgrade, place, guest, room, token });
            answer
        }
        Err(denied) => later(denied),
    }
}

/// RFC 9112 3.2: a request of HTTP 1.1 names one host, an older one may.
fn names_its_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version == Version::HTTP_10,
        (Some(host), None) => host.to_str().is_ok_and(is_authority),
        _ => false,
    }
}

/// PROTOCOL 4.2: not now, and when.
fn later(denied: Denied) -> Answer {
    let mut answer = if denied.is_the_servers() {
        text(StatusCode::SERVICE_UNAVAILABLE, "The server has no place for more connections. Try later.\n")
    } else {
        text(StatusCode::TOO_MANY_REQUESTS, "There are too many connections from your address. Try later.\n")
    };
    answer.headers_mut().insert(header::RETRY_AFTER, denied.after_secs().into());
    answer
}

/// Whether the process is there at all.
pub(super) fn health(method: &Method) -> Answer {
    if matches!(*method, Method::GET | Method::HEAD) { text(StatusCode::OK, "ok\n") } else { only_get() }
}

/// Whether new clients should come here. A server that is full is ready: another would fill up as well.
pub(super) fn ready(method: &Method, server: &Handle) -> Answer {
    match *method {
        Method::GET | Method::HEAD if server.is_ready() => text(StatusCode::OK, "ready\n"),
        Method::GET | Method::HEAD => text(StatusCode::SERVICE_UNAVAILABLE, "The server is going away.\n"),
        _ => only_get(),
    }
}

/// The answer to a method that is none here.
pub(super) fn only_get() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Use GET.\n");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

/// The answer to a WebSocket request: 101, or why not.
pub(super) fn accept(method: &Method, version: Version, headers: &HeaderMap) -> Result<Answer, Box<Answer>> {
    let refuse = |status, sentence: &'static str| Err(Box::new(text(status, sentence)));
    if *method != Method::GET {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Use GET with Upgrade: websocket.\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return Err(Box::new(answer));
    }
    if version != Version::HTTP_11 || !lists(headers, &header::UPGRADE, "websocket") {
        let mut answer = text(StatusCode::UPGRADE_REQUIRED, "This is a WebSocket endpoint: use Upgrade: websocket.\n");
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return Err(Box::new(answer));
    }
    if headers.get_all(header::SEC_WEBSOCKET_VERSION).iter().any(|version| version != "13") {
        let mut answer = text(StatusCode::UPGRADE_REQUIRED, "Only WebSocket version 13 is spoken here.\n");
        answer.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(Box::new(answer));
    }
    for once in [header::HOST, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION] {
        if headers.get_all(&once).iter().count() != 1 {
            return refuse(
                StatusCode::BAD_REQUEST,
                "Host, Sec-WebSocket-Key and Sec-WebSocket-Version must each be there once.\n",
            );
        }
    }
    // What follows the request would be its body for a proxy, and frames for us.
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if length || headers.contains_key(header::TRANSFER_ENCODING) {
        return refuse(StatusCode::BAD_REQUEST, "A WebSocket request has no body.\n");
    }
    if !lists(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return refuse(StatusCode::BAD_REQUEST, "Offer the subprotocol tickwire.v1.\n");
    }
    let mut request = Request::get("/").version(version).body(()).unwrap_or_default();
    *request.headers_mut() = headers.clone();
    let Ok(response) = tungstenite::handshake::server::create_response(&request) else {
        return refuse(StatusCode::BAD_REQUEST, "The WebSocket request cannot be understood.\n");
    };
    let (mut parts, ()) = response.into_parts();
    parts.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(Response::from_parts(parts, Full::default()))
}

/// Whether a header, which may come several times, lists `wanted` among its comma-separated items.
fn lists(headers: &HeaderMap, name: &header::HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(wanted))
}

pub(super) fn text(status: StatusCode, sentence: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(sentence.as_bytes())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // One request a connection: whoever stays has said hello.
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
