//! A socket of the bench: bytes as they are, or under TLS, and nothing waits.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use rustls::ClientConnection;
use tickwire::client::ByteStream;
use tokio::net::TcpStream;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: TcpStream,
    tls: Option<Box<RefCell<ClientConnection>>>,
}

impl Pipe {
    pub(super) fn new(stream: ByteStream) -> Self {
        match stream {
            ByteStream::Plain(stream) => Self { stream, tls: None },
            ByteStream::Tls(stream) => {
                let (stream, mut tls) = stream.into_inner();
                tls.set_buffer_limit(None);
                Self { stream, tls: Some(Box::new(RefCell::new(tls))) }
            }
        }
    }

    /// Waits until [`try_read`](Self::try_read) may find something. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Reads what is here, as much as fits: at the end nothing.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.stream.try_read(into) };
        let mut tls = tls.borrow_mut();
        let mut read = 0;
        loop {
            match tls.reader().read(into.get_mut(read..).unwrap_or_default()) {
                Ok(0) => return Ok(read),
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match tls.read_tls(&mut Socket(&self.stream)) {
                        // An end without a word, which the reader tells.
                        Ok(_) => {
                            let processed = tls.process_new_packets();
                            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock && read > 0 => return Ok(read),
                        Err(error) => return Err(error),
                    }
                }
                Err(_) if read > 0 => return Ok(read),
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what the socket takes, or TLS for it: what is left of that goes with the next.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.stream.try_write(bytes) };
        let mut tls = tls.borrow_mut();
        while tls.wants_write() {
            tls.write_tls(&mut Socket(&self.stream))?;
        }
        let taken = tls.writer().write(bytes)?;
        while tls.wants_write() {
            match tls.write_tls(&mut Socket(&self.stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Writes what TLS has taken: whether nothing is left.
    pub(super) fn try_flush(&self) -> bool {
        let Some(tls) = &self.tls else { return true };
        let mut tls = tls.borrow_mut();
        while tls.wants_write() {
            // The reading side tells of an end.
            match tls.write_tls(&mut Socket(&self.stream)) {
                Ok(_) => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// The socket, as TLS sees it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
