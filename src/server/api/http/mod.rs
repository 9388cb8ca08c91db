//! The operators' requests over HTTP: read, looked at, done, answered.
//!
//! ```text
//! method, path ──> Operation ──key for it?──> query, body ──> Ask ──Handle──> JSON
//!        404, 405 <──┘          401, 403, 429 <──┘    400, 408, 411, 413, 415, 422 <──┘
//! ```
//!
//! What is read of a request is plain data: [`operation`] and [`ask`] know no sockets.

mod answer;
pub(crate) mod ask;
pub(crate) mod operation;
mod perform;
mod refused;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header;
use hyper::{Request, Response};
use tokio::time::timeout;

use self::ask::Ask;
use self::operation::Operation;
use self::refused::Refused;
use super::{ApiKey, Denied};
use crate::server::Handle;

/// Bytes of a request's body. 1 MiB: a thousand messages of a kilobyte.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// How long a body may take to come. 10 s: the network is that of operators.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Answers a request under `/v1/`. `from` is who sends it.
pub(in crate::server) async fn respond(
    request: Request<Incoming>,
    from: IpAddr,
    server: &Handle,
) -> Response<Full<Bytes>> {
    match handle(request, from, server).await {
        Ok(answer) => answer,
        Err(refused) => answer::refused(&refused),
    }
}

async fn handle(request: Request<Incoming>, from: IpAddr, server: &Handle) -> Result<Response<Full<Bytes>>, Refused> {
    let operation = Operation::read(request.method().as_str(), request.uri().path())?;
    let now = server.surroundings.clock.now();
    let key = server.operators.may(request.headers(), operation.scope(), from, now)?;
    if key.is_limited() && !operation.is_about_rooms() {
        return Err(Refused::Limited);
    }
    let ask = read(operation, request).await?;
    perform_for(ask, key, server).await
}

async fn perform_for(ask: Ask, key: &ApiKey, server: &Handle) -> Result<Response<Full<Bytes>>, Refused> {
    if ask.changes() {
        tracing::info!(target: "tickwire::api", key = key.name(), "{}", ask.operation());
    }
    perform::perform(ask, &server.limited_to(key)).await
}

/// The rest of the request.
async fn read(operation: Operation, request: Request<Incoming>) -> Result<Ask, Refused> {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    if !operation.has_body() {
        return Ask::read(operation, query, None, &[]);
    }
    let has_length =
        [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].iter().any(|name| head.headers.contains_key(name));
    if !has_length {
        return Err(Refused::Length);
    }
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Refused::TooLarge);
    }
    let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = match (types.next(), types.next()) {
        (None, _) => None,
        (Some(one), None) => Some(one.to_str().map_err(|_| Refused::MediaType)?),
        _ => return Err(Refused::MediaType),
    };
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refused::MediaType);
    }
    operation.takes(content_type)?;
    let collected = timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY).collect()).await.map_err(|_| Refused::Slow)?;
    let body = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Refused::TooLarge,
        None => Refused::Body,
    })?;
    Ask::read(operation, query, content_type, &body.to_bytes())
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}
