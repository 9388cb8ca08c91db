//! The page over HTTP, and the upgrade to the protocol, on the operators' listener.
//!
//! ```text
//! GET /admin, /admin/{file}   the page
//! GET /admin/key              whether a key is one: a browser does not tell why a WebSocket was refused
//! GET /admin/ws               101 with a key, and the connection goes on as frames
//! ```

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tracing::debug;

use super::assets::{self, POLICY};
use super::operator;
use crate::identity::Identity;
use crate::server::api::{Denied, Scope};
use crate::server::http::{self, Answer};
use crate::server::observe::visitor::Visitor;
use crate::server::{Handle, credential};
use crate::wire::{Advice, Reason};

/// What stands before a key among the subprotocols. The key is percent-encoded: not all of its letters may
/// stand there.
const SUBPROTOCOL_KEY: &str = "tickwire.key.";

/// Whether a path is the console's.
pub(in crate::server) fn is_here(path: &str) -> bool {
    path.strip_prefix("/admin").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request below `/admin`.
pub(in crate::server) fn answer(request: &mut Request<Incoming>, visitor: Visitor, server: &Handle) -> Answer {
    match request.uri().path() {
        "/admin/ws" => open(request, visitor, server),
        "/admin/key" => match *request.method() {
            Method::GET | Method::HEAD => private(key(request.headers(), visitor, server)),
            _ => http::only_get(),
        },
        path => match assets::asset(path) {
            Some(asset) if matches!(*request.method(), Method::GET | Method::HEAD) => {
                asset.answer(request.headers(), HeaderValue::from_static(POLICY))
            }
            Some(_) => http::only_get(),
            None => http::text(StatusCode::NOT_FOUND, "There is nothing here. The page is /admin.\n"),
        },
    }
}

/// Whether a key is one. It comes in a header that a page of another host cannot set: anybody's page can offer
/// subprotocols, and would spend the tries of its visitor's address.
fn key(headers: &HeaderMap, visitor: Visitor, server: &Handle) -> Answer {
    let said = credential::bearer(headers);
    operator_with(said, visitor, server).map_or_else(|refused| *refused, |_| http::text(StatusCode::OK, "ok\n"))
}

/// The upgrade: a session of an operator.
fn open(request: &mut Request<Incoming>, visitor: Visitor, server: &Handle) -> Answer {
    let answer = match http::accept(request.method(), request.version(), request.headers()) {
        Ok(answer) => answer,
        Err(refused) => return *refused,
    };
    // Before the key is looked at: a stranger's page must not spend the tries of its visitor's address.
    if !visitor.allows_origin(request.headers()) {
        return http::text(StatusCode::FORBIDDEN, "Pages of other hosts may not connect here.\n");
    }
    let said = credential::bearer(request.headers()).or_else(|| subprotocol(request.headers()));
    let identity = match operator_with(said, visitor, server) {
        Ok(identity) => identity,
        Err(refused) => return *refused,
    };
    match server.place_for_operator(identity) {
        Ok((place, identity)) => {
            let (upgrade, server) = (hyper::upgrade::on(request), server.clone());
            tokio::spawn(async move {
                match upgrade.await {
                    Ok(io) => server.run_operator(TokioIo::new(io), Bytes::new(), place, identity).await,
                    Err(error) => debug!("an operator's connection was not upgraded: {error}"),
                }
            });
            answer
        }
        Err(reason) => refuse(reason),
    }
}

/// Whose key this is.
fn operator_with(said: Option<Bytes>, visitor: Visitor, server: &Handle) -> Result<Identity, Box<Answer>> {
    let now = server.surroundings().clock.now();
    let key = server.operators.may_with(said.as_deref(), Scope::Read, visitor.from, now);
    key.map(|key| operator::with_key(&key)).map_err(|denied| Box::new(deny(denied)))
}

/// Why no key was taken, as an answer that a person can act on.
fn deny(denied: Denied) -> Answer {
    let (status, sentence) = match denied {
        Denied::NoKeys => (StatusCode::FORBIDDEN, "The server has no keys: configure one with keys in [admin].\n"),
        Denied::Missing => (StatusCode::UNAUTHORIZED, "A key is needed: Authorization: Bearer <key>.\n"),
        Denied::Wrong => (StatusCode::UNAUTHORIZED, "The key is none of the server's: see keys in [admin].\n"),
        Denied::Scope(_) => (StatusCode::FORBIDDEN, "The key may not read: its `may` in [admin] lacks \"read\".\n"),
        Denied::TooOften(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "Too many keys from your address were wrong. Try again later.\n")
        }
    };
    let mut answer = http::text(status, sentence);
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Denied::TooOften(after) = denied {
        answer.headers_mut().insert(header::RETRY_AFTER, after.as_secs().saturating_add(1).into());
    }
    answer
}

/// The key among the subprotocols, which is where a browser can put it.
fn subprotocol(headers: &HeaderMap) -> Option<Bytes> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut items = values.flat_map(|value| value.split(','));
    let key = items.find_map(|item| item.trim().strip_prefix(SUBPROTOCOL_KEY))?;
    Some(percent_decode_str(key).collect::<Vec<u8>>().into())
}

/// The protocol's reason as an answer.
fn refuse(reason: Reason) -> Answer {
    let never = reason.advice() == Advice::Never;
    let mut answer =
        http::text(if never { StatusCode::FORBIDDEN } else { StatusCode::SERVICE_UNAVAILABLE }, reason.sentence());
    if !never {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}

/// Not to be kept by anybody.
fn private(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
