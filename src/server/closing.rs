//! The end of a connection (PROTOCOL 4.3): say why, stop sending, discard, close.
//!
//! ```text
//! drop what is queued ──> CLOSE ──> shut down sending ──> read and discard ──> close
//!                                                         <= 2 s, <= 64 KiB
//! ```
//!
//! A socket that is closed with unread bytes is reset, and a reset can eat the reason on its way.

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::inbound::Stopped;
use super::writer::{Framing, Writer, close_frame};
use crate::limits::Limits;
use crate::session::Ending;
use crate::wire::control::{Close, Command};
use crate::wire::extension::kind;
use crate::wire::{Control, Extensions, Reason, VERSION, put_extension, put_varint};

/// Ends a connection. Takes at most [`Limits::discard_timeout`].
pub(super) async fn run<T: AsyncRead + AsyncWrite + Unpin>(
    io: &mut T,
    mut writer: Writer,
    stopped: Stopped,
    framing: Framing,
    limits: &Limits,
) {
    let told = |ending: Ending, code| (Some(ending), close_frame(Some(code), ending.reason.sentence()));
    let (ending, close) = match stopped {
        Stopped::Ending(ending) => told(ending, ending.reason.close_code()),
        Stopped::WebSocket(ending, code) => told(ending, code),
        Stopped::Left(code) => (None, close_frame(code, "")),
        Stopped::Deaf | Stopped::Gone => (None, Vec::new()),
    };
    let end = async {
        if let Some(ending) = ending {
            writer.push_last(close_bytes(&ending).into());
        }
        // A peer that is gone cannot be told; there is nothing to do about it.
        if poll_fn(|cx| writer.poll_write(io, cx)).await.is_err() {
            return;
        }
        // Nothing may follow a close frame, so it comes when everything else has left.
        if framing == Framing::WebSocket {
            writer.push_raw(&close);
        }
        if poll_fn(|cx| writer.poll_write(io, cx)).await.is_err() || io.shutdown().await.is_err() {
            return;
        }
        discard(io, limits.discard_bytes).await;
    };
    // Over the time, the connection is closed as it stands.
    let _over = timeout(limits.discard_timeout.max(Duration::from_millis(1)), end).await;
}

/// Says something before the connection has a session, or instead of one.
pub(super) async fn say<T: AsyncRead + AsyncWrite + Unpin>(io: &mut T, words: &[u8], limits: &Limits) {
    // A peer that is gone cannot be told.
    if io.write_all(words).await.is_ok() && io.shutdown().await.is_ok() {
        discard(io, limits.discard_bytes).await;
    }
}

async fn discard<T: AsyncRead + Unpin>(io: &mut T, most: usize) {
    let mut scrap = [0; 256];
    let mut discarded = 0;
    while discarded < most {
        match io.read(&mut scrap).await {
            Ok(0) | Err(_) => return,
            Ok(len) => discarded += len,
        }
    }
}

/// The CLOSE frame of an ending (PROTOCOL 6.8).
pub(super) fn close_bytes(ending: &Ending) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(after) = ending.reconnect {
        let mut content = Vec::new();
        put_varint(after, &mut content);
        put_extension(kind::AFTER, &content, &mut extensions);
    }
    if ending.reason == Reason::VERSION {
        // PROTOCOL 4.1: those versions that are spoken here.
        put_extension(kind::VERSIONS, &[VERSION, VERSION], &mut extensions);
    }
    let extensions = Extensions::from_encoded(&extensions).unwrap_or_default();
    let close = Close { reason: ending.reason, extensions };
    let mut bytes = Vec::new();
    Control::new(ending.request, Command::Close(close)).encode(&mut bytes);
    bytes
}
