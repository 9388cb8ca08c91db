//! The handshake of a connection, within bounds.
//!
//! ```text
//! TCP ──first byte──> a place of its address, and of all ──TLS──> ALPN ──> connection
//!  └──────────────────── handshake_timeout ─────────────────────┘
//! ```
//!
//! Who says nothing holds no place among the handshakes, and who waits for one is let in in turn; both
//! are among those who have not said hello, whose number is bounded, and both have the same time.

use std::io;
use std::net::IpAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{Layer, Tls};
use crate::server::Handle;
use crate::server::listener::Port;
use crate::server::stream::Stream;
use crate::wire::ALPN;

/// Shakes hands: the stream, and what is spoken on it. `None` where it came to nothing, which the peer was
/// told as far as TLS has words for it. Takes at most `Limits::handshake_timeout`. Not cancel safe: dropped,
/// it ends the connection. `address` is whose place among the handshakes it takes, where that has limits.
pub(in crate::server) async fn accept(
    tls: &Tls,
    stream: TcpStream,
    port: Port,
    address: Option<IpAddr>,
    server: &Handle,
) -> Option<(Stream<TcpStream>, Port)> {
    let surroundings = server.surroundings();
    let limits = &surroundings.facts.limits;
    match timeout(limits.handshake_timeout, shake_hands(tls, stream, port, address, server)).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => {
            debug!("a TLS handshake failed: {error}");
            None
        }
        Err(_) => {
            debug!("a TLS handshake did not end in time");
            None
        }
    }
}

async fn shake_hands(
    tls: &Tls,
    stream: TcpStream,
    port: Port,
    address: Option<IpAddr>,
    server: &Handle,
) -> io::Result<Option<(Stream<TcpStream>, Port)>> {
    stream.peek(&mut [0]).await?;
    let Some(_place) = server.registry.handshakes.begin(address).await else { return Ok(None) };
    // Waiting for a place, the certificate may have changed.
    let mut stream = TlsAcceptor::from(tls.config(port)).accept(stream).await?;
    // PROTOCOL 4.4: what was agreed on decides. Where nothing was, the port of HTTP speaks that.
    let spoken = match (stream.get_ref().1.alpn_protocol(), port) {
        (Some(protocol), _) if protocol == ALPN.as_bytes() => Port::Tcp,
        (_, Port::Http) => Port::Http,
        (_, Port::Tcp) => {
            debug!("a TLS client did not ask for {ALPN}");
            stream.shutdown().await?;
            return Ok(None);
        }
    };
    let (socket, tls) = stream.into_inner();
    Ok(Some((Stream::secure(socket, Layer::new(tls)), spoken)))
}
