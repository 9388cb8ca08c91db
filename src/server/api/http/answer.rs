//! Answers as JSON.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::refused::Refused;
use crate::dispatcher::operate::{MemberView, Published, RoomSummary, ValueView};
use crate::server::api::PastEvent;
use crate::server::observe::json::encode;
use crate::wire::control::Mode;
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

/// A member.
pub(super) fn member(member: &MemberView) -> Value {
    let mut fields = Map::new();
    put(&mut fields, ("subject", "subject_base64"), &member.subject);
    put(&mut fields, ("text", "base64"), &member.presence);
    fields.insert("member".into(), member.number.0.into());
    fields.insert("away".into(), member.away.into());
    fields.insert("publishes".into(), member.mode.has(Mode::PUBLISH).into());
    fields.insert("receives".into(), member.mode.has(Mode::RECEIVE).into());
    fields.into()
}

/// A value.
pub(super) fn value(value: &ValueView) -> Value {
    let mut fields = Map::new();
    put(&mut fields, ("text", "base64"), &value.payload);
    fields.insert("key".into(), value.key.number().into());
    fields.insert("room".into(), value.key.is_room().into());
    fields.insert("owner".into(), value.owner.0.into());
    fields.insert("member".into(), value.sender.0.into());
    fields.into()
}

/// An event of the past.
pub(super) fn event(epoch: Epoch, event: &PastEvent) -> Value {
    let mut fields = Map::new();
    put(&mut fields, ("text", "base64"), &event.payload);
    fields.insert("id".into(), id(epoch, event.position).into());
    fields.insert("tick".into(), event.tick.into());
    fields.insert("member".into(), event.member.0.into());
    fields.into()
}

/// What became of a message.
pub(super) fn published(published: &Published) -> Value {
    let mut fields = Map::new();
    fields.insert("epoch".into(), epoch(published.epoch).into());
    fields.insert("tick".into(), published.tick.into());
    if let Some(position) = published.position {
        fields.insert("id".into(), id(published.epoch, position).into());
    }
    fields.into()
}

/// Bytes as text where they are UTF-8, or else in base64.
fn put(fields: &mut Map<String, Value>, (text, base64): (&str, &str), bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(value) => fields.insert(text.into(), value.into()),
        Err(_) => fields.insert(base64.into(), encode(bytes).into()),
    };
}

/// An epoch, as ids of events have it.
pub(super) fn epoch(epoch: Epoch) -> String {
    format!("{:016x}", u64::from_be_bytes(epoch.0))
}

/// A position in an epoch, as ids of events have it.
pub(super) fn id(of: Epoch, position: Position) -> String {
    format!("{}-{}", epoch(of), position.0)
}
