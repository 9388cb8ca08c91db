//! The operators' requests over HTTP: read, looked at, done, answered.
//!
//! ```text
//! method, path ──> Operation ──key for it?──> query, body ──> Ask ──Handle──> JSON
//!        404, 405 <──┘          401, 403, 429 <──┘    400, 408, 411, 413, 415, 422 <──┘
//! ```
//!
//! What is read of a request is plain data: `operation` and `ask` know no sockets.

mod answer;
mod ask;
mod base64;
mod members;
mod operation;
mod perform;
mod query;
mod refused;

use std::error::Error;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{self, HeaderMap};
use hyper::{Request, Response};
use tokio::time::timeout;
use tracing::info;

use self::ask::{Ask, Media};
use self::operation::{Body, Operation};
use self::refused::Refused;
use super::Denied;
use crate::server::Handle;

/// Bytes of a request's body. 1 MiB: a thousand messages of a kilobyte.
const MAX_BODY: usize = 1024 * 1024;

/// The document that describes all of this, of OpenAPI 3.1.
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// How long a body may take to come. 10 s: the network is that of operators.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Answers a request under `/v1/`. `from` is who sends it.
pub(in crate::server) async fn respond<B>(request: Request<B>, from: IpAddr, server: &Handle) -> Response<Full<Bytes>>
where
    B: hyper::body::Body<Data = Bytes, Error: Error + Send + Sync + 'static>,
{
    match handle(request, from, server).await {
        Ok(answer) => answer,
        Err(refused) => answer::refused(&refused),
    }
}

async fn handle<B>(request: Request<B>, from: IpAddr, server: &Handle) -> Result<Response<Full<Bytes>>, Refused>
where
    B: hyper::body::Body<Data = Bytes, Error: Error + Send + Sync + 'static>,
{
    let operation = Operation::read(request.method().as_str(), request.uri().path())?;
    let now = server.surroundings().clock.now();
    let key = server.operators.may(request.headers(), operation.scope(), from, now)?;
    if key.is_limited() && operation.is_about_the_server() {
        return Err(Refused::Limited);
    }
    let ask = read(operation, request).await?;
    if let Some(deed) = ask.deed() {
        info!(target: "tickwire::api", key = key.name(), "{deed}");
    }
    perform::perform(ask, &server.limited_to(&key)).await
}

/// The rest of the request.
async fn read<B>(operation: Operation, request: Request<B>) -> Result<Ask, Refused>
where
    B: hyper::body::Body<Data = Bytes, Error: Error + Send + Sync + 'static>,
{
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let media = match operation.body() {
        Body::None => return Ask::read(operation, query, Media::Bytes, Bytes::new()),
        Body::Json => Some(media(&head.headers)?).filter(|media| *media == Media::Json).ok_or(Refused::MediaType)?,
        Body::Payload => media(&head.headers)?,
    };
    let has_length =
        [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].iter().any(|name| head.headers.contains_key(name));
    if !has_length {
        return Err(Refused::Length);
    }
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Refused::TooLarge);
    }
    let body = timeout(BODY_PATIENCE, collect(body)).await.map_err(|_| Refused::Slow)??;
    Ask::read(operation, query, media, body)
}

/// A whole body.
async fn collect<B>(body: B) -> Result<Bytes, Refused>
where
    B: hyper::body::Body<Data = Bytes, Error: Error + Send + Sync + 'static>,
{
    let mut body = pin!(body);
    match Limited::new(body.as_mut(), MAX_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            // What nobody has read when the connection is closed would destroy the answer on its way.
            let mut rest = Limited::new(body, MAX_BODY);
            while let Some(Ok(_)) = rest.frame().await {}
            Err(Refused::TooLarge)
        }
        Err(_) => Err(Refused::Body),
    }
}

/// What a body is, which says so once.
fn media(headers: &HeaderMap) -> Result<Media, Refused> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(one), None) if !headers.contains_key(header::CONTENT_ENCODING) => {
            Media::read(one.to_str().map_err(|_| Refused::MediaType)?)
        }
        _ => Err(Refused::MediaType),
    }
}

/// What becomes of a request before anything is done: the scope that it needs, or the status of its refusal. For
/// `fuzz/fuzz_targets/http.rs` alone: no part of the interface.
///
/// # Errors
/// The status.
#[doc(hidden)]
pub fn inspect(
    (method, path, query): (&str, &str, &str),
    content_type: Option<&str>,
    body: &[u8],
) -> Result<&'static str, u16> {
    let read = || {
        let operation = Operation::read(method, path)?;
        let scope = operation.scope().name();
        let media = match (operation.body(), content_type) {
            (Body::None, _) => Media::Bytes,
            (Body::Json | Body::Payload, None) => return Err(Refused::MediaType),
            (Body::Json | Body::Payload, Some(media)) => Media::read(media)?,
        };
        if operation.body() == Body::Json && media != Media::Json {
            return Err(Refused::MediaType);
        }
        Ask::read(operation, query, media, Bytes::copy_from_slice(body)).map(|_| scope)
    };
    read().map_err(|refused: Refused| {
        // Whatever is refused can be said.
        let answer = answer::refused(&refused);
        debug_assert!(answer.status() == refused.status() && !refused.message().is_empty());
        answer.status().as_u16()
    })
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::io;

    use futures_util::stream::{once, poll_fn};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use serde_json::Value;
    use tokio::time::Instant;

    use super::*;
    use crate::server::Server;
    use crate::server::api::{ApiKey, Scope};

    fn server() -> Server {
        let key = ApiKey::new("ci", "0123456789abcdef", &[Scope::Publish]).unwrap();
        Server::builder().shards(1).api_keys(vec![key]).detached().unwrap()
    }

    /// A request with this body, which is longer than it says.
    fn request<B>(body: B) -> Request<B> {
        let request = Request::post("/v1/rooms/one/events").header("authorization", "Bearer 0123456789abcdef");
        request.header("content-type", "text/plain").header("content-length", "9").body(body).unwrap()
    }

    async fn refused(answer: Response<Full<Bytes>>) -> (u16, String) {
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.collect().await.unwrap().to_bytes()).unwrap();
        (status, body["name"].as_str().unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_waited_for_ten_seconds() {
        let server = server();
        let body = StreamBody::new(once(pending::<Result<Frame<Bytes>, Infallible>>()));
        let begun = Instant::now();
        let answer = respond(request(body), [127, 0, 0, 1].into(), &server.handle()).await;
        assert_eq!(refused(answer).await, (408, "SLOW_BODY".to_owned()));
        assert_eq!(begun.elapsed(), BODY_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_breaks_off_is_told_so() {
        let server = server();
        let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let body = StreamBody::new(once(async move { Err::<Frame<Bytes>, _>(broken()) }));
        let answer = respond(request(body), [127, 0, 0, 1].into(), &server.handle()).await;
        assert_eq!(refused(answer).await, (400, "BODY".to_owned()));
        // One that never ends has an end.
        let endless = poll_fn(|_| Some(Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 4096])))).into());
        let answer = respond(request(StreamBody::new(endless)), [127, 0, 0, 1].into(), &server.handle()).await;
        assert_eq!(refused(answer).await, (413, "MESSAGE_TOO_LARGE".to_owned()));
    }
}
