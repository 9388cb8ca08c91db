//! Bytes to frames and back (PROTOCOL 3 to 9): the codec, which needs neither `std` nor memory.
//!
//! ```text
//! +----------+-------------------------+-----------+-----------------------+
//! | type: u8 | payload length: u16, BE | flags: u8 | payload, length bytes |
//! +----------+-------------------------+-----------+-----------------------+
//!   data 01:    client: handle, key, message        server: head, records
//!   control 02: command, request, arguments, extensions
//!   ping 03:    time, ...
//! ```
//!
//! [`split_frame`] takes a frame off a slice; [`ClientData`], [`ServerData`], [`Control`] and
//! [`Ping`] read its payload without copying. With `std`, `Decoder` does the first step on a
//! `BytesMut`. Encoders stand beside decoders and write to anything that is [`Put`].

#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod bytes;
pub mod control;
mod data;
#[cfg(feature = "std")]
mod decoder;
mod error;
pub mod extension;
mod frame;
pub mod header;
mod id;
mod ping;
mod presence;
mod reason;
mod varint;

pub use self::bytes::{Counter, Put, Reader, SliceWriter, put_string};
pub use control::Control;
pub use data::{ClientData, Head, Record, Records, ServerData, Target, encode_server_header};
#[cfg(feature = "std")]
pub use decoder::{Decoder, Frame};
pub use error::DecodeError;
pub use extension::{Extensions, put_extension};
pub use frame::{RawFrame, split_frame};
pub use header::{FrameType, Header, Kind, Sender};
pub use id::{Capabilities, Epoch, Handle, Key, MemberNumber, Position, RequestId, RoomId};
pub use ping::{Ping, PingBody};
pub use presence::Presence;
pub use reason::{Advice, Reason};
pub use varint::{VARINT_END, VARINT_MAX_LEN, put_varint, varint_len};

/// What a TCP client sends first: the magic, then the version it speaks (PROTOCOL 4.1).
pub const MAGIC: [u8; 3] = [0xd7, 0x54, 0x57];

/// The version this library speaks.
pub const VERSION: u8 = 1;

/// The WebSocket subprotocol of this version (PROTOCOL 4.2).
pub const SUBPROTOCOL: &str = "tickwire.v1";

/// The protocol of TLS (ALPN) under which frames are spoken on the stream itself (PROTOCOL 4.4).
pub const ALPN: &str = "tickwire/1";
