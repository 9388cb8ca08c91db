//! The control port: HTTP to orders.
//!
//! ```text
//! GET  /scenarios        the scenarios
//! POST /{path}, JSON ──> Order ──> Director ──> 200 {..} | 409 {"why"} | 400 {"error"}
//! ```
//!
//! Pages of any origin may ask: a runner may be one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::director::{Asked, Refusal};
use super::order::Order;
use super::script::SCENARIOS;

/// Connections of runners. 64: one has one, or a few.
const CONNECTIONS: usize = 64;

/// Bytes of a body. 1 MiB: the longest order is a list of texts.
const MAX_BODY: usize = 1024 * 1024;

/// How long the head of a request may take, and how long a connection may be silent. 60 s: longer than a scenario.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves runners. Returns never; cancelled, it takes no more of them.
pub(super) async fn serve(listener: TcpListener, orders: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, orders.clone(), place));
            }
            Err(_) => {
                // Mostly there are no more descriptors: not to spin until there are.
                let _back_off = timeout(Duration::from_millis(100), std::future::pending::<()>()).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, orders: mpsc::Sender<Asked>, _place: OwnedSemaphorePermit) {
    let _small = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let orders = orders.clone();
        async move { Ok::<_, Infallible>(answer(request, &orders).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    // A runner that breaks off is none of our business.
    let _ended = connection.await;
}

async fn answer(request: Request<Incoming>, orders: &mpsc::Sender<Asked>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match *request.method() {
        Method::GET if path == "/scenarios" => respond(StatusCode::OK, Bytes::from_static(SCENARIOS.as_bytes())),
        Method::GET => wrong(StatusCode::NOT_FOUND, "GET has /scenarios, everything else is POST"),
        // A page asks before it sends JSON.
        Method::OPTIONS => respond(StatusCode::NO_CONTENT, Bytes::new()),
        Method::POST => match Limited::new(request.into_body(), MAX_BODY).collect().await {
            Ok(body) => obey(&path, &body.to_bytes(), orders).await,
            Err(_) => wrong(StatusCode::BAD_REQUEST, "the body cannot be read, or is longer than 1 MiB"),
        },
        _ => wrong(StatusCode::METHOD_NOT_ALLOWED, "this port takes GET and POST"),
    }
}

async fn obey(path: &str, body: &[u8], orders: &mpsc::Sender<Asked>) -> Response<Full<Bytes>> {
    let order = match Order::read(path, body) {
        Ok(order) => order,
        Err(error) => return wrong(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let (reply, told) = oneshot::channel();
    // The director lives as long as this port.
    let _gone = orders.send((order, reply)).await;
    match told.await {
        Ok(Ok(outcome)) => say(StatusCode::OK, &outcome),
        Ok(Err(Refusal::NotYet(why))) => say(StatusCode::CONFLICT, &json!({ "why": why })),
        Ok(Err(Refusal::Wrong(error))) => wrong(StatusCode::BAD_REQUEST, &error),
        Err(_) => wrong(StatusCode::BAD_REQUEST, "this program is ending"),
    }
}

fn wrong(status: StatusCode, error: &str) -> Response<Full<Bytes>> {
    say(status, &json!({ "error": error }))
}

fn say(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    respond(status, value.to_string().into())
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let fixed = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
    ];
    answer.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}
