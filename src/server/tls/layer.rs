//! TLS between a connection and its socket, after the handshake.
//!
//! ```text
//! read    socket ──records──> rustls ──bytes──> connection
//! write   slices of a flush ──> rustls: one record for up to 16 KiB ──> socket, in one send
//!                                  └── what the socket does not take waits here, at most a record of ours
//! ```
//!
//! A write says how much rustls has taken, which is at most [`BUFFER`] bytes ahead of the socket; whoever has
//! written flushes until nothing waits. A read that is pending has taken all there was: no bytes are left in
//! rustls without an event to come for them.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that rustls takes before the socket has taken them. 16 KiB: the largest record, so that a batch
/// costs few sends, and a peer that takes nothing little memory.
const BUFFER: usize = 16 * 1024;

/// Reads of the socket in one read of ours that bring nothing but alerts, tickets and updates of keys. 8:
/// then it is another connection's turn.
const FRUITLESS: usize = 8;

/// The TLS of one connection.
#[derive(Debug)]
pub(in crate::server) struct Layer {
    tls: ServerConnection,
    closed: bool,
}

impl Layer {
    /// After the handshake.
    pub(super) fn new(mut tls: ServerConnection) -> Box<Self> {
        tls.set_buffer_limit(Some(BUFFER));
        Box::new(Self { tls, closed: false })
    }

    /// Reads what the peer has sent. An end without its close_notify is an error, and so is what is no TLS.
    pub(in crate::server) fn poll_read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        for _ in 0..FRUITLESS {
            match self.tls.reader().read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(blocks(self.tls.read_tls(&mut Blocking { socket, cx })))?;
            let processed = self.tls.process_new_packets();
            // An alert, or the answer to an update of keys. What does not leave now does so with the next
            // flush, and an error of the socket shows there.
            if self.tls.wants_write() {
                let _ = self.poll_flush(socket, cx);
            }
            if let Err(error) = processed {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what fits into a record or two, and sends what the socket takes of it. Pending while what was
    /// taken before is still here.
    pub(in crate::server) fn poll_write<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(socket, cx))?;
        let taken = match slices {
            [all] => self.tls.writer().write(all),
            _ => self.tls.writer().write_vectored(slices),
        }?;
        match self.poll_flush(socket, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    /// Sends what was taken, and what rustls has to say itself.
    pub(in crate::server) fn poll_flush<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            if ready!(blocks(self.tls.write_tls(&mut Blocking { socket, cx })))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends close_notify, behind all that was taken.
    pub(in crate::server) fn poll_close<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.closed, true) {
            self.tls.send_close_notify();
        }
        self.poll_flush(socket, cx)
    }
}

/// A socket as rustls sees it: what is pending would block.
struct Blocking<'a, 'b, S> {
    socket: &'a mut S,
    cx: &'a mut Context<'b>,
}

impl<S: AsyncRead + Unpin> Read for Blocking<'_, '_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.socket).poll_read(self.cx, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write_vectored(self.cx, slices) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pending where the socket would block.
fn blocks<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}
