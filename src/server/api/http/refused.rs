//! Why a request is not done: a status, and a number and a name for programs.
//!
//! ```text
//! {"reason": 240, "name": "NOT_ALLOWED", "message": "This is not allowed."}
//! ```
//!
//! Where the protocol has a reason (PROTOCOL 14), `reason` is its number; 0 where only HTTP has one.

use std::time::Duration;

use hyper::StatusCode;

use crate::server::api::{ApiError, Denied};
use crate::wire::{Advice, Reason};

/// A request that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is nothing at that path.
    Path,
    /// What is there knows these methods.
    Method(&'static str),
    /// The name in the path is none of a room.
    RoomName,
    /// A parameter of the query, or a number in the path, is not what it should be.
    Parameter(&'static str),
    /// A parameter that is unknown here.
    UnknownParameter,
    /// A body of unknown length.
    Length,
    /// A body that is too large.
    TooLarge,
    /// A body that did not come in time.
    Slow,
    /// A body that broke off.
    Body,
    /// A body of a type that is not understood here.
    MediaType,
    /// A body that is no JSON.
    Json,
    /// A member of the body is not what it should be.
    Member(&'static str),
    /// A member of the body is unknown here.
    UnknownMember,
    /// No key, or not the right one.
    Denied(Denied),
    /// The key is for some rooms only, and this is about the server.
    Limited,
    /// As many revocations are remembered as may be.
    Revocations,
    /// What the server says.
    Api(ApiError),
}

impl Refused {
    /// The status of the answer.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Path | Self::Api(ApiError::NoSuchRoom | ApiError::NoSuchValue) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::RoomName | Self::Parameter(_) | Self::UnknownParameter | Self::Body | Self::Json => {
                StatusCode::BAD_REQUEST
            }
            Self::Length => StatusCode::LENGTH_REQUIRED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Member(_) | Self::UnknownMember => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Denied(Denied::Missing | Denied::Wrong) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::NoKeys | Denied::Scope(_)) | Self::Limited => StatusCode::FORBIDDEN,
            Self::Denied(Denied::TooOften(_)) => StatusCode::TOO_MANY_REQUESTS,
            Self::Api(ApiError::Refused(reason)) => status(reason),
            Self::Revocations | Self::Api(ApiError::Busy | ApiError::Gone) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The protocol's reason, where it has one.
    pub(super) const fn reason(self) -> Option<Reason> {
        match self {
            Self::RoomName => Some(Reason::ROOM_NAME),
            Self::Parameter(_) | Self::UnknownParameter | Self::Member(_) | Self::UnknownMember => {
                Some(Reason::ARGUMENT)
            }
            Self::TooLarge => Some(Reason::MESSAGE_TOO_LARGE),
            Self::Json => Some(Reason::MALFORMED),
            Self::Denied(Denied::Missing | Denied::Wrong) => Some(Reason::TOKEN),
            Self::Denied(Denied::NoKeys | Denied::Scope(_)) | Self::Limited => Some(Reason::NOT_ALLOWED),
            Self::Denied(Denied::TooOften(_)) => Some(Reason::RATE),
            Self::Api(ApiError::Refused(reason)) => Some(reason),
            _ => None,
        }
    }

    /// What programs know it by: the reason's name, where there is a reason.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Path => "NO_SUCH_PATH",
            Self::Method(_) => "METHOD",
            Self::Length => "LENGTH",
            Self::Slow => "SLOW_BODY",
            Self::Body => "BODY",
            Self::MediaType => "MEDIA_TYPE",
            Self::Revocations => "TOO_MANY_REVOKED",
            Self::Api(ApiError::NoSuchRoom) => "NO_SUCH_ROOM",
            Self::Api(ApiError::NoSuchValue) => "NO_SUCH_VALUE",
            Self::Api(ApiError::Busy) => "BUSY",
            Self::Api(ApiError::Gone) => "GONE",
            _ => match self.reason() {
                Some(reason) => reason.name(),
                None => "UNKNOWN",
            },
        }
    }

    /// What is said to people.
    pub(super) fn message(self) -> String {
        match self {
            Self::Path => "There is nothing here. GET /v1/openapi.json tells what there is.".into(),
            Self::Method(allowed) => format!("Use one of: {allowed}."),
            Self::RoomName => Reason::ROOM_NAME.sentence().into(),
            Self::Parameter(what) | Self::Member(what) => format!("{what}."),
            Self::UnknownParameter => "A parameter of the query is unknown here, or comes twice.".into(),
            Self::Length => "Say how long the body is: Content-Length.".into(),
            Self::TooLarge => format!("A body has at most {} bytes.", super::MAX_BODY),
            Self::Slow => "The body did not come in time.".into(),
            Self::Body => "The body broke off.".into(),
            Self::MediaType => {
                "Send application/json; for one event or value application/octet-stream or text/plain in \
                 UTF-8 too. Nothing encoded."
                    .into()
            }
            Self::Json => "The body is no JSON.".into(),
            Self::UnknownMember => "A member of the body is unknown here.".into(),
            Self::Denied(Denied::NoKeys) => "This server has no keys: configure one under [admin], such as keys = \
                 [{ name = \"ci\", key = \"...\", may = [\"read\"] }]."
                .into(),
            Self::Denied(Denied::Missing) => "Say a key: Authorization: Bearer <key>.".into(),
            Self::Denied(Denied::Wrong) => "The key is none of this server.".into(),
            Self::Denied(Denied::Scope(scope)) => format!("The key is not for this: it may not {}.", scope.name()),
            Self::Denied(Denied::TooOften(_)) => "Too many wrong keys came from your address. Try later.".into(),
            Self::Limited => "The key is for some rooms only, and this is about the whole server.".into(),
            Self::Revocations => {
                "The sessions have ended, but no more revocations can be remembered: replace the key that \
                 signs tokens instead."
                    .into()
            }
            Self::Api(ApiError::NoSuchRoom) => "There is no such room.".into(),
            Self::Api(ApiError::NoSuchValue) => "There is no such value.".into(),
            Self::Api(ApiError::Busy) => "The server is too busy to answer. What was asked may be done later.".into(),
            Self::Api(ApiError::Gone) => "The server has ended.".into(),
            Self::Api(ApiError::Refused(reason)) => reason.sentence().into(),
        }
    }

    /// When to come again.
    pub(super) fn retry_after(self) -> Option<u64> {
        const SOON: Duration = Duration::from_secs(1);
        let after = match self {
            Self::Denied(Denied::TooOften(after)) => after,
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => SOON,
            _ if self.status() == StatusCode::TOO_MANY_REQUESTS => SOON,
            _ => return None,
        };
        Some(crate::time::micros(after).div_ceil(1_000_000).max(1))
    }
}

/// The status that goes with a reason of the protocol.
const fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::NO_SUCH_MEMBER => StatusCode::NOT_FOUND,
        Reason::MESSAGE_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::ARGUMENT => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::TOKEN | Reason::TOKEN_EXPIRED => StatusCode::UNAUTHORIZED,
        Reason::RATE => StatusCode::TOO_MANY_REQUESTS,
        _ => match reason.advice() {
            Advice::Never => StatusCode::FORBIDDEN,
            Advice::Retry | Advice::Later => StatusCode::SERVICE_UNAVAILABLE,
        },
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}
