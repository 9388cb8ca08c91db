//! The operators' page: figures of a running server and the inside of its rooms, live, over the server's
//! own protocol.
//!
//! ```text
//! shards ──scrape, once a second──> sampler ──> feed ──values of a room──> page, `tickwire top`
//!                                      ^          └──somebody watches──┐
//!                                      └───────────────────────────────┘
//! ```
//!
//! The figures are the values of [`FEED`], a room like any other but for its name, which only operators may
//! join ([`RoomName::is_reserved`](crate::name::RoomName::is_reserved)). So who looks on is a member, and
//! what holds for members holds for it: snapshots, the ladder of slow receivers, resuming. While nobody is
//! in that room nothing is computed.
//!
//! | key | value, JSON |
//! |---|---|
//! | [`ABOUT`] | what does not change: version, limits, how often there are figures |
//! | [`NOW`] | everything: totals, rates, ticks, outboxes, shards |
//! | [`ROOMS`] | the rooms with most members, messages or bytes |
//! | [`POINTS`] and up | a point of the charts each, [`KEPT`] of them in a ring: the key is `POINTS + n % KEPT` |
//!
//! The past of the charts is in the room's values and not in its history: a snapshot is all that a page
//! needs to begin with, and values are bounded by their keys. They stay for as long as the room lingers.
//!
//! An application without the operators' listener serves [`asset`]s by itself, and hands over the
//! connections of operators whose keys it has looked at with
//! [`Handle::attach_operator`](crate::server::Handle::attach_operator).

mod assets;
mod feed;
pub(super) mod http;
mod operator;
mod rooms;
mod sampler;

use std::time::Duration;

pub use self::assets::{Asset, POLICY, asset};
pub(super) use self::feed::Feed;
pub(super) use self::sampler::start;

/// The room of the figures.
pub const FEED: &str = "@tickwire/console";

/// The key of what does not change.
pub const ABOUT: u64 = 0;

/// The key of the figures.
pub const NOW: u64 = 1;

/// The key of the top rooms.
pub const ROOMS: u64 = 2;

/// The first key of the charts' points. 16: keys below 64 take a byte, and some are left for what comes.
pub const POINTS: u64 = 16;

/// How many points there are. 300: five minutes.
pub const KEPT: u64 = 300;

/// Between two looks at the server. 1 s: a scrape asks every shard, and people see no more.
pub const EVERY: Duration = Duration::from_secs(1);
