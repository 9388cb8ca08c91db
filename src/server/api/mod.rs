//! What operators do with a server from outside: look at rooms, publish, remove, drain (`docs/http.md`).
//!
//! ```text
//! HTTP request ──key──> Handle::limited_to ─┐
//! application ──────────────────── Handle ──┴──question, by mail──> shard ──answer──> back
//! ```
//!
//! Everything is a method of [`Handle`](super::Handle); HTTP is a thin layer over these. A question is handled
//! by the shard that owns the room, in between two pieces of mail, so that nothing is shared or locked for it.

mod ask;
mod guesses;
#[cfg(feature = "api")]
pub(super) mod http;
mod keys;
mod look;
mod manage;
mod operators;
mod publish;

pub use self::ask::ApiError;
pub(super) use self::ask::{QUESTIONS, Question};
#[cfg(feature = "api")]
#[doc(hidden)]
pub use self::http::inspect;
pub(super) use self::keys::check as check_keys;
pub use self::keys::{ApiKey, BadKey, Scope};
pub use self::look::{History, MemberList, PastEvent, RoomList, ValueList};
#[cfg(feature = "api")]
pub(super) use self::operators::Denied;
pub(super) use self::operators::Operators;
pub use self::publish::{Publication, What};
pub use crate::dispatcher::operate::{
    AfterValue, MemberView, Published, RoomOrder, RoomQuery, RoomSummary, ValueView, Whom,
};
