//! A whole request, read: what is asked, with all that its query and its body say.
//!
//! ```text
//! Operation, query, body ──> Ask
//! ```

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::members::Members;
use super::operation::Operation;
use super::query::Query;
pub(super) use super::query::number;
use super::refused::Refused;
use crate::dispatcher::operate::{AfterValue, PAGE_MOST, RoomOrder, RoomQuery, Whom};
use crate::name::RoomName;
use crate::server::api::{Publication, What};
use crate::server::observe::read_id;
use crate::wire::{Epoch, Key, MemberNumber, Position, VARINT_END};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    OpenApi,
    Rooms(RoomQuery),
    Room(RoomName),
    Close(RoomName),
    Members(RoomName, MemberNumber, usize),
    Values(RoomName, Option<AfterValue>, usize),
    Value(RoomName, u64),
    History(RoomName, Option<(Epoch, Position)>, usize),
    Kick(RoomName, Whom),
    One(Publication),
    Publish(Vec<Publication>),
    Direct { subject: Bytes, room: Option<RoomName>, payload: Bytes, urgent: bool },
    Revoke(Revoked, Duration),
    Drain,
}

/// What does not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    Subject(Bytes),
    Token(Bytes),
}

/// What a payload's type says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`.
    Json,
    /// `text/plain`, in UTF-8.
    Text,
    /// `application/octet-stream`.
    Bytes,
}

/// Entries of a list where nothing is said. 100: a page.
const PAGE: usize = 100;

/// Messages of a request. 1,000.
const PUBLICATIONS: usize = 1000;

/// Seconds that a revocation holds where nothing is said. A day: longer than tokens should live.
const HOLD: u64 = 24 * 3600;

/// The longest, in seconds. A hundred years.
const LONGEST_HOLD: u64 = 100 * 365 * 24 * 3600;

impl Media {
    /// Reads a type.
    ///
    /// # Errors
    /// Where nothing of that type is understood.
    pub(crate) fn read(content_type: &str) -> Result<Self, Refused> {
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let is = |name: &str| essence.trim().eq_ignore_ascii_case(name);
        let charset = parameters.trim();
        let is_utf8 = charset.is_empty()
            || ["charset=utf-8", "charset=\"utf-8\""].iter().any(|known| charset.eq_ignore_ascii_case(known));
        match () {
            () if is("application/json") && is_utf8 => Ok(Self::Json),
            () if is("text/plain") && is_utf8 => Ok(Self::Text),
            () if is("application/octet-stream") && charset.is_empty() => Ok(Self::Bytes),
            () => Err(Refused::MediaType),
        }
    }
}

impl Ask {
    /// Reads the rest of a request. A body that the operation does not have is empty, and of any type.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(operation: Operation, query: &str, media: Media, body: Bytes) -> Result<Self, Refused> {
        let mut query = Query::read(query)?;
        let ask = match operation {
            Operation::OpenApi => Self::OpenApi,
            Operation::Rooms => Self::Rooms(rooms(&mut query)?),
            Operation::Room(room) => Self::Room(room),
            Operation::Close(room) => Self::Close(room),
            Operation::Members(room) => {
                let after = query.number("after", (0, VARINT_END - 1), "after is a member's number")?;
                Self::Members(room, MemberNumber(after.unwrap_or_default()), limit(&mut query)?)
            }
            Operation::Values(room) => Self::Values(room, after_value(&mut query)?, limit(&mut query)?),
            Operation::Value(room, key) => Self::Value(room, key),
            Operation::History(room) => Self::History(room, since(&mut query)?, limit(&mut query)?),
            Operation::Set(room, key) => {
                if body.is_empty() {
                    return Err(Refused::Member("A value is not empty: DELETE deletes it"));
                }
                Self::One(one(room, What::Value(key, payload(media, body)?), &mut query)?)
            }
            Operation::Delete(room, key) => Self::One(one(room, What::Delete(key), &mut query)?),
            Operation::Event(room) => Self::One(one(room, What::Event(payload(media, body)?), &mut query)?),
            Operation::Kick(room) => kick(room, Members::read(&body)?)?,
            Operation::Publish => Self::Publish(publications(Members::read(&body)?)?),
            Operation::Direct => direct(Members::read(&body)?)?,
            Operation::Revoke => revoke(Members::read(&body)?)?,
            Operation::Drain => Self::Drain,
        };
        query.end()?;
        Ok(ask)
    }

    /// What it does, where that is worth a line in the log: who publishes would fill it.
    pub(super) const fn deed(&self) -> Option<&'static str> {
        match self {
            Self::Close(_) => Some("a room is closed"),
            Self::Kick(..) => Some("members are removed"),
            Self::Revoke(..) => Some("tokens are revoked"),
            Self::Drain => Some("the server is drained"),
            _ => None,
        }
    }
}

fn limit(query: &mut Query) -> Result<usize, Refused> {
    const _: () = assert!(PAGE_MOST == 1000 && RoomQuery::MOST == 1000);
    let limit = query.number("limit", (1, 1000), "limit is a number from 1 to 1000")?;
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE))
}

fn rooms(query: &mut Query) -> Result<RoomQuery, Refused> {
    let order = query
        .take("sort")
        .map(|name| RoomOrder::named(&name).ok_or(Refused::Parameter("sort is name, members, messages or bytes")));
    let prefix = query.take("prefix").unwrap_or_default();
    if !(prefix.is_empty() || RoomName::new(prefix.as_bytes()).is_some()) {
        return Err(Refused::Parameter("prefix is what names of rooms begin with"));
    }
    Ok(RoomQuery::new(order.transpose()?.unwrap_or_default(), limit(query)?).starting_with(prefix))
}

/// `<owner>-<key with its scope>`, as a list of values says where it goes on.
fn after_value(query: &mut Query) -> Result<Option<AfterValue>, Refused> {
    let Some(after) = query.take("after") else { return Ok(None) };
    let read = |text: &str| number(text).filter(|number| *number < VARINT_END);
    let after = after.split_once('-').and_then(|(owner, key)| Some((read(owner)?, read(key)?)));
    let (owner, key) = after.ok_or(Refused::Parameter("after is what a list of values said as next"))?;
    Ok(Some((MemberNumber(owner), Key::from_wire(key))))
}

fn since(query: &mut Query) -> Result<Option<(Epoch, Position)>, Refused> {
    let wrong = Refused::Parameter("since is the id of an event: an epoch of 16 digits, - and a position");
    query.take("since").map(|since| read_id(&since).ok_or(wrong)).transpose()
}

fn one(room: RoomName, what: What, query: &mut Query) -> Result<Publication, Refused> {
    let urgent = match query.take("urgent").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refused::Parameter("urgent is true or false")),
    };
    Ok(Publication { room, what, urgent })
}

/// A body that is a payload as it stands.
fn payload(media: Media, body: Bytes) -> Result<Bytes, Refused> {
    match media {
        Media::Bytes => {}
        Media::Text => {
            std::str::from_utf8(&body).map_err(|_| Refused::Member("Text is in UTF-8"))?;
        }
        Media::Json => {
            serde_json::from_slice::<serde::de::IgnoredAny>(&body).map_err(|_| Refused::Json)?;
        }
    }
    Ok(body)
}

fn publications(mut body: Members) -> Result<Vec<Publication>, Refused> {
    let wrong = Refused::Member("messages is a list of 1 to 1000 messages");
    let Some(Value::Array(list)) = body.take("messages") else { return Err(wrong) };
    body.end()?;
    if !(1..=PUBLICATIONS).contains(&list.len()) {
        return Err(wrong);
    }
    list.into_iter().map(publication).collect()
}

fn publication(value: Value) -> Result<Publication, Refused> {
    let mut item = Members::of(value)?;
    let room = item.room()?.ok_or(Refused::Member("A message says its room"))?;
    let key = item.number("value", 1 << 52, "value is the key of a value: a number from 0 to 2^52 - 1")?;
    let delete = item.flag("delete", "delete is true or false")?;
    let urgent = item.flag("urgent", "urgent is true or false")?;
    let what = match (key, delete, item.payload()?) {
        (None, false, Some(payload)) => What::Event(payload),
        (Some(_), false, Some(payload)) if payload.is_empty() => {
            return Err(Refused::Member("A value is not empty: delete deletes it"));
        }
        (Some(key), false, Some(payload)) => What::Value(key, payload),
        (Some(key), true, None) => What::Delete(key),
        (_, false, None) => return Err(Refused::Member("A message has a payload: text, json or base64")),
        (_, true, _) => return Err(Refused::Member("delete is for a value, without a payload")),
    };
    item.end()?;
    Ok(Publication { room, what, urgent })
}

fn direct(mut body: Members) -> Result<Ask, Refused> {
    let subject = body.subject()?.ok_or(Refused::Member("A direct says its subject"))?;
    let room = body.room()?;
    let urgent = body.flag("urgent", "urgent is true or false")?;
    let payload = body.payload()?.ok_or(Refused::Member("A direct has a payload: text, json or base64"))?;
    body.end()?;
    Ok(Ask::Direct { subject, room, payload, urgent })
}

fn kick(room: RoomName, mut body: Members) -> Result<Ask, Refused> {
    let member = body.number("member", VARINT_END, "member is a member's number")?;
    let whom = match (member, body.subject()?) {
        (Some(member), None) => Whom::Member(MemberNumber(member)),
        (None, Some(subject)) => Whom::Subject(subject.to_vec()),
        _ => return Err(Refused::Member("Say either member or subject")),
    };
    body.end()?;
    Ok(Ask::Kick(room, whom))
}

fn revoke(mut body: Members) -> Result<Ask, Refused> {
    let wrong = "token is a token's id of 1 to 256 bytes";
    let token = body.text("token", wrong)?.map(Bytes::from);
    let fits = |token: &Bytes| (1..=crate::identity::Identity::MAX_NAME).contains(&token.len());
    if token.as_ref().is_some_and(|token| !fits(token)) {
        return Err(Refused::Member(wrong));
    }
    let who = match (body.subject()?, token) {
        (Some(subject), None) => Revoked::Subject(subject),
        (None, Some(token)) => Revoked::Token(token),
        _ => return Err(Refused::Member("Say either subject or token")),
    };
    let hold =
        body.number("hold_secs", LONGEST_HOLD + 1, "hold_secs is a number of seconds, at most a hundred years")?;
    body.end()?;
    Ok(Ask::Revoke(who, Duration::from_secs(hold.unwrap_or(HOLD))))
}
