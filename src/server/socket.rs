//! A TCP socket of a worker: tokio's traits over one that mio watches.
//!
//! ```text
//! epoll ──event──> readable, writable ──> poll_read, poll_write ──would block──> not any more
//! ```
//!
//! It wakes nobody: its worker sees the event and gives the connection a turn. So the context of a
//! poll is not used here, and what is known to block costs no system call.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are copied into one piece rather than written from several. 4 KiB: a copy that stays in
/// the first cache is cheaper than what a vectored write costs the kernel.
const GATHERED: usize = 4 * 1024;

thread_local! {
    static GATHER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED));
}

/// A socket that one worker reads and writes.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    readable: bool,
    writable: bool,
    /// The peer sends no more: an end follows what is left to read, without another event.
    ended: bool,
}

impl Socket {
    /// Has `registry` watch a socket, which does not block.
    pub(super) fn watch(stream: std::net::TcpStream, registry: &Registry, key: usize) -> io::Result<Self> {
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, Token(key), Interest::READABLE | Interest::WRITABLE)?;
        // What came before this is an event of its own.
        Ok(Self { stream, readable: false, writable: true, ended: false })
    }

    /// Gives the socket back.
    pub(super) fn release(mut self, registry: &Registry) -> io::Result<std::net::TcpStream> {
        registry.deregister(&mut self.stream)?;
        Ok(self.stream.into())
    }

    /// Something happened. True where what waited to be written can go on.
    pub(super) fn handle_event(&mut self, event: &Event) -> bool {
        let failed = event.is_error();
        self.ended |= failed || event.is_read_closed();
        self.readable |= event.is_readable() || self.ended;
        let unblocked = !self.writable && (event.is_writable() || failed);
        self.writable |= unblocked;
        unblocked
    }

    fn poll_sent(&mut self, wanted: usize, sent: io::Result<usize>) -> Poll<io::Result<usize>> {
        match sent {
            Ok(sent) => {
                // The next one would find no room: there will be an event.
                self.writable &= sent == wanted;
                Poll::Ready(Ok(sent))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Poll::Pending
            }
            Err(error) => {
                // It has no other end, and what came before it can still be read, though nobody may have said so yet.
                self.ended = true;
                self.readable = true;
                Poll::Ready(Err(error))
            }
        }
    }
}

/// Calls again where a signal has come between: that is no answer of the socket.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.readable {
            return Poll::Pending;
        }
        let wanted = buffer.remaining();
        match uninterrupted(|| self.stream.read(buffer.initialize_unfilled())) {
            Ok(read) => {
                buffer.advance(read);
                // A short read has taken everything, and more is another event; an end is none.
                self.readable = read == wanted || self.ended;
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.writable {
            return Poll::Pending;
        }
        let sent = uninterrupted(|| self.stream.write(bytes));
        self.poll_sent(bytes.len(), sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.writable {
            return Poll::Pending;
        }
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        let sent = match slices {
            [all] => uninterrupted(|| self.stream.write(all)),
            _ if wanted <= GATHERED => GATHER.with_borrow_mut(|gather| {
                gather.clear();
                slices.iter().for_each(|slice| gather.extend_from_slice(slice));
                uninterrupted(|| self.stream.write(gather))
            }),
            _ => uninterrupted(|| self.stream.write_vectored(slices)),
        };
        self.poll_sent(wanted, sent)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_no_answer() {
        let mut answers = vec![Ok(7), Err(io::ErrorKind::Interrupted.into()), Err(io::ErrorKind::Interrupted.into())];
        assert_eq!(uninterrupted(|| answers.pop().unwrap()).unwrap(), 7);
        let mut answers = vec![Ok(7), Err(io::ErrorKind::BrokenPipe.into())];
        assert_eq!(uninterrupted(|| answers.pop().unwrap()).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
