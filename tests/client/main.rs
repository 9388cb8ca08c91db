//! The crate's own client against real servers: the scenarios of clients/conformance, links, and pools.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_types, reason = "what is left to play is shared by threads")]

mod conformance;
mod link;
mod pool;
mod support;
