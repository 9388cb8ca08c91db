//! The evidence: the protocol's document, its vectors, and what each layer promises.
//!
//! One binary, so that it links once. The modules here need the feature `std` only.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    clippy::field_reassign_with_default,
    reason = "limits and classes are non-exhaustive, so tests cannot name all fields"
)]

#[cfg(feature = "cli")]
mod conformance;
mod dispatcher;
mod exhaustive;
#[cfg(all(feature = "server", feature = "tls"))]
mod hostile;
mod logic;
mod model;
mod recode;
mod rooms_agree;
#[cfg(feature = "server")]
mod server;
mod session;
#[cfg(all(feature = "cli", unix))]
mod signals;
#[cfg(feature = "server")]
mod simulation;
mod spec;
mod support;
mod vectors;
mod wire;
