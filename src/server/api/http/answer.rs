//! Answers as JSON.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::refused::Refused;
use crate::dispatcher::operate::RoomSummary;
use crate::wire::{Epoch, Position};

/// This, as JSON.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    text(status, value.to_string().into())
}

/// What is JSON already.
pub(super) fn text(status: StatusCode, json: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(json));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // As every other answer here.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Why something was not done.
pub(super) fn refused(refused: &Refused) -> Response<Full<Bytes>> {
    let mut answer = json(refused.status(), &reason(refused));
    let headers = answer.headers_mut();
    if let Refused::Method(allowed) = refused {
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    if refused.status() == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(secs) = refused.retry_after() {
        headers.insert(header::RETRY_AFTER, secs.into());
    }
    answer
}

/// The same as JSON, for one of many too.
pub(super) fn reason(refused: &Refused) -> Value {
    let number = refused.reason().map_or(0, |reason| reason.0);
    json!({ "reason": number, "name": refused.name(), "message": refused.message() })
}

/// A room at a glance.
pub(super) fn room(room: &RoomSummary) -> Value {
    json!({
        "name": room.name.as_str(),
        "epoch": epoch(room.epoch),
        "position": room.position.0,
        "members": room.members,
        "receivers": room.receivers,
        "values": room.values,
        "kept_bytes": room.kept_bytes,
        "messages": room.messages,
        "bytes": room.bytes,
    })
}

/// An epoch, as ids of events have it.
pub(super) fn epoch(epoch: Epoch) -> String {
    format!("{:016x}", u64::from_be_bytes(epoch.0))
}

/// A position in an epoch, as ids of events have it.
pub(super) fn id(of: Epoch, position: Position) -> String {
    format!("{}-{}", epoch(of), position.0)
}
