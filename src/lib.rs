//! Tickwire: rooms over a compact binary protocol, batched on a tick.
//!
//! Clients join rooms and exchange small messages over WebSocket or TCP. A room gathers what a tick
//! brought, encodes it once, and hands every member the same bytes. The wire is `PROTOCOL.md`.
//!
//! # A byte's journey
//!
//! ```text
//! socket -> transport -> decoder -> session -> mailbox -> dispatcher -> room --tick--> outbox -> transport -> socket
//!           server/      wire/      session    server/    dispatcher    room           server/   server/
//!           tcp, ws      decoder    (command)  shard                                   outbox    tcp, ws
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `wire` | bytes to frames and back, without `std` |
//! | `device` | a client without `std`, sockets or memory of its own |
//! | `deflate` | records of a frame made smaller, and whole again within a bound |
//! | `limits`, `class`, `name` | every bound a peer can meet; what an operator decides by room name |
//! | `rights` | what a member may be told, and may say |
//! | `grants`, `identity` | what a token allows, and whose it is |
//! | `rejections` | what was turned away, counted by why |
//! | `session` | one peer's protocol state: frames in, commands and answers out |
//! | `command` | what a session asks of the rooms |
//! | `dispatcher` | the rooms of one shard: commands in, shared frames out |
//! | `logic` | rules of an application inside a room, and a harness to test them |
//! | `room` | one room: its members, its values, and what this tick has gathered |
//! | `tls` | what server and client share of TLS |
//! | `server` | sockets, threads and time around the core |
//! | `auth` | JSON Web Tokens: bytes to an identity |
//! | `client` | an asynchronous client: one connection, one that comes back (`link`), and a pool of them |
//! | `recording` | what a room sent, in a file |
//!
//! # Invariants
//!
//! 1. The core (`wire`, `session`, `room`, `dispatcher`) never awaits, never reads a clock, never
//!    sees a socket. `now` is an argument.
//! 2. No input from a peer can panic the process: there is a frame, a wait, a refusal, or a close.
//! 3. Whatever a peer can make grow has a bound in `limits`.
//! 4. The dispatcher never waits for a peer.
//! 5. Between two sockets an event's payload is copied twice, whatever the number of members: into
//!    its room's segment, and with that into a buffer of the segment's size, so that what a queue
//!    or the history holds pins little else. A value's is copied into the latest values first.
//! 6. Session ids are never used again.
//! 7. A panic in an application's logic closes its room, and nothing else.
//! 8. `PROTOCOL.md` is the authority, and its examples run as tests.
//!
//! # Features
//!
//! Without features, only `wire` and `device` are there, without `std` and without allocating. `std` adds the
//! core, `server` the server, `auth` tokens, `api` the operators' HTTP API, `console` their page, `page` the first
//! page, `client` a small client, `cli` (the default) the command line; `tls` adds TLS to whichever of them there is.

#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations)]

pub mod wire;

pub mod device;

#[cfg(feature = "std")]
pub mod deflate;

#[cfg(feature = "std")]
pub mod limits;

#[cfg(feature = "std")]
pub mod time;

#[cfg(feature = "std")]
pub mod name;

#[cfg(feature = "std")]
mod places;

#[cfg(feature = "std")]
mod bucket;

#[cfg(feature = "std")]
pub mod rejections;

#[cfg(feature = "std")]
pub mod class;

#[cfg(feature = "std")]
pub mod rights;

#[cfg(feature = "std")]
pub mod grants;

#[cfg(feature = "std")]
pub mod identity;

#[cfg(feature = "std")]
pub mod command;

#[cfg(feature = "std")]
pub mod logic;

#[cfg(feature = "std")]
pub mod session;

#[cfg(feature = "std")]
mod room;

#[cfg(feature = "std")]
pub mod dispatcher;

#[cfg(feature = "tls")]
pub mod tls;

#[cfg(feature = "server")]
pub mod server;

#[cfg(feature = "auth")]
pub mod auth;

#[cfg(feature = "client")]
pub mod client;

#[cfg(feature = "cli")]
pub mod recording;

/// The README's code is compiled.
#[cfg(all(doctest, feature = "server", feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
