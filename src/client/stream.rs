//! The bytes below frames and WebSocket: a socket, plain or under TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{ClientConfig, Error};
#[cfg(feature = "tls")]
use super::{Scheme, Trust};

/// A byte stream to a server.
#[derive(Debug)]
pub enum ByteStream {
    /// As it is.
    Plain(TcpStream),
    /// Under TLS. Boxed: its buffers are large.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

impl ByteStream {
    /// Connects, and shakes hands where the address wants TLS. Cancel safe: dropped, there is no
    /// connection.
    ///
    /// # Errors
    /// Where there is nobody, or somebody who is not trusted.
    pub async fn connect(config: &ClientConfig) -> Result<Self, Error> {
        let url = &config.url;
        let stream = TcpStream::connect((url.host(), url.port())).await.map_err(Error::Connect)?;
        // Small messages must not wait for each other's acknowledgements.
        stream.set_nodelay(true).map_err(Error::Connect)?;
        #[cfg(feature = "tls")]
        if url.is_secure() {
            return shake_hands(stream, config).await.map_err(Error::Connect);
        }
        Ok(Self::Plain(stream))
    }
}

#[cfg(feature = "tls")]
async fn shake_hands(stream: TcpStream, config: &ClientConfig) -> io::Result<ByteStream> {
    use rustls::pki_types::ServerName;

    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let url = &config.url;
    let name = ServerName::try_from(url.host().to_owned());
    let name = name.map_err(|_| invalid("a certificate cannot be for this name of a host"))?;
    let trust = config.trust.clone().unwrap_or_else(Trust::public);
    let stream = TlsConnector::from(trust.config(url.scheme())).connect(name, stream).await?;
    // PROTOCOL 4.4: who does not agree speaks something else.
    if url.scheme() == Scheme::Tcp && stream.get_ref().1.alpn_protocol().is_none() {
        return Err(invalid("the server does not agree to speak tickwire/1"));
    }
    Ok(ByteStream::Tls(Box::new(stream)))
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, buffer) {
                // An end without a word is an end: frames say themselves whether they are whole.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => read,
            },
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
