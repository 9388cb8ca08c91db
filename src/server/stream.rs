//! A byte stream of a peer: plain, or under TLS.
//!
//! ```text
//! connection ──bytes──> socket
//! connection ──bytes──> layer ──records──> socket
//! ```
//!
//! The socket is tokio's while hands are shaken and HTTP is spoken, a worker's while the session lives, and
//! tokio's again for its end. The layer goes along.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(feature = "tls")]
use super::tls::Layer;

/// What a connection reads from and writes to.
#[derive(Debug)]
pub(super) struct Stream<S> {
    socket: S,
    /// Boxed: a plain connection pays a pointer.
    #[cfg(feature = "tls")]
    layer: Option<Box<Layer>>,
}

impl<S> Stream<S> {
    /// Bytes as they are.
    pub(super) const fn plain(socket: S) -> Self {
        Self {
            socket,
            #[cfg(feature = "tls")]
            layer: None,
        }
    }

    /// Bytes under TLS, after the handshake.
    #[cfg(feature = "tls")]
    pub(super) const fn secure(socket: S, layer: Box<Layer>) -> Self {
        Self { socket, layer: Some(layer) }
    }

    /// The same over what its socket is made into.
    pub(super) fn try_map<U>(self, map: impl FnOnce(S) -> io::Result<U>) -> io::Result<Stream<U>> {
        Ok(Stream {
            socket: map(self.socket)?,
            #[cfg(feature = "tls")]
            layer: self.layer,
        })
    }

    /// The socket, where nothing is above it.
    pub(super) fn into_plain(self) -> Option<S> {
        #[cfg(feature = "tls")]
        if self.layer.is_some() {
            return None;
        }
        Some(self.socket)
    }

    /// The socket below.
    pub(super) const fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Says that nothing follows, as far as that can be said at once. A plain stream says it by its end.
    pub(super) fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        #[cfg(feature = "tls")]
        if let Some(layer) = &mut self.layer {
            // Who cannot take it now sees an end without it.
            let _ = layer.poll_close(&mut self.socket, cx);
        }
        #[cfg(not(feature = "tls"))]
        let _ = cx;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        #[cfg(feature = "tls")]
        if let Some(layer) = &mut this.layer {
            return layer.poll_read(&mut this.socket, cx, buffer);
        }
        Pin::new(&mut this.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        #[cfg(feature = "tls")]
        if let Some(layer) = &mut this.layer {
            return layer.poll_write(&mut this.socket, cx, &[IoSlice::new(bytes)]);
        }
        Pin::new(&mut this.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        #[cfg(feature = "tls")]
        if let Some(layer) = &mut this.layer {
            return layer.poll_write(&mut this.socket, cx, slices);
        }
        Pin::new(&mut this.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        #[cfg(feature = "tls")]
        if let Some(layer) = &mut this.layer {
            return layer.poll_flush(&mut this.socket, cx);
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        #[cfg(feature = "tls")]
        if let Some(layer) = &mut this.layer
            && layer.poll_close(&mut this.socket, cx)?.is_pending()
        {
            return Poll::Pending;
        }
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
