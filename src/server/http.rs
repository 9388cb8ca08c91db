//! HTTP on the WebSocket port: the health check, and the upgrade (PROTOCOL 4.2).
//!
//! ```text
//! GET /healthz          200
//! GET /readyz           200, or 503 while the server goes away
//! GET /ws, /ws/{room}   101, and the connection goes on as frames
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::debug;

use super::Handle;
use super::connection::Speaks;
use super::registry::Place;
use crate::time::Time;
use crate::wire::SUBPROTOCOL;

pub(super) type Answer = Response<Full<Bytes>>;

/// Serves one request, which may become a session. Takes at most the time that hello may take.
pub(super) async fn serve(stream: TcpStream, server: Handle, greeting: OwnedSemaphorePermit) {
    let connected = server.surroundings.clock.now();
    let limits = &server.surroundings.facts.limits;
    let (hello_timeout, max_header) = (limits.hello_timeout, limits.max_http_header);
    let greeting = Arc::new(greeting);
    let service = service_fn(move |request| {
        let answer = respond(request, &server, &greeting, connected);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(hello_timeout)
        // hyper asks for 8 KiB at least.
        .max_buf_size(max_header.max(8 * 1024))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    match timeout(hello_timeout, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("a request was not served: {error}"),
        Err(_) => debug!("a request did not come in time"),
    }
}

fn respond(
    request: Request<Incoming>,
    server: &Handle,
    greeting: &Arc<OwnedSemaphorePermit>,
    connected: Time,
) -> Answer {
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
    let accepted = match accept(&request.method().clone(), request.version(), request.headers()) {
        Ok(accepted) => accepted,
        Err(refused) => return *refused,
    };
    let Some(place) = server.registry.take_place() else {
        server.registry.observe().count_full();
        let mut full =
            text(StatusCode::SERVICE_UNAVAILABLE, "The server has as many connections as it may. Try later.\n");
        full.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        return full;
    };
    tokio::spawn(upgraded(request, server.clone(), place, Arc::clone(greeting), room, connected));
    accepted
}

async fn upgraded(
    request: Request<Incoming>,
    server: Handle,
    place: Place,
    greeting: Arc<OwnedSemaphorePermit>,
    room: Option<Bytes>,
    connected: Time,
) {
    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
    // Always so: this is what was given to hyper in `serve`.
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let speaks = Speaks::WebSocket { read: parts.read_buf, room };
    server.admit(parts.io.into_inner(), speaks, place, greeting, connected);
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
fn accept(method: &Method, version: hyper::Version, headers: &HeaderMap) -> Result<Answer, Box<Answer>> {
    let refuse = |status, sentence: &'static str| Err(Box::new(text(status, sentence)));
    if *method != Method::GET {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Use GET with Upgrade: websocket.\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return Err(Box::new(answer));
    }
    if version != hyper::Version::HTTP_11 || !lists(headers, &header::UPGRADE, "websocket") {
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
