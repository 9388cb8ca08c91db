//! The server over real sockets: what it promises to peers that behave, and to those that do not.
//!
//! ```text
//! support   a server on free ports, the pair that must not notice an attack, one check helper
//! peer      a connection over TCP or WebSocket that says exactly what it is told
//! say       frames of both layers as bytes, the wrong ones too
//! hear      what a server said, taken apart
//! ```
//!
//! Nothing here sleeps: a test waits for the next frame, or for the end, and gives up after
//! [`support::PATIENCE`]. That something does *not* come is proved by what comes instead.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod access;
#[cfg(feature = "api")]
mod api;
mod attach;
#[cfg(feature = "auth")]
mod auth;
#[cfg(all(feature = "console", feature = "client"))]
mod console;
mod drain;
mod flow;
mod framing;
mod garbage;
mod greeting;
pub mod hear;
mod http;
mod last_words;
mod limits;
mod logic;
mod observe;
#[cfg(feature = "client")]
mod own_client;
#[cfg(feature = "page")]
mod page;
pub mod peer;
mod reload;
mod resume;
mod returns;
mod rooms;
pub mod say;
pub mod support;
#[cfg(feature = "tls")]
pub mod tls;
mod values;
mod vectors;
mod websocket;
mod writes;
