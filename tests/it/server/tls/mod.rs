//! The server's ports under TLS.
//!
//! ```text
//! handshake   who is let in, and who is not
//! talk        sessions: many bytes, keys that change, ends
//! reload      certificates that change
//! own_client  the client of this library
//! ```

mod handshake;
#[cfg(feature = "client")]
mod own_client;
mod reload;
mod talk;

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tickwire::limits::Limits;
use tickwire::server::{Server, Tls};
use tickwire::wire::ALPN;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::peer::Peer;
use super::support::{TestServer, Transport, soon};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A certificate for localhost, and its key, in PEM.
pub struct Pem {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Pem {
    pub fn new() -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { certificate: cert.pem(), key: signing_key.serialize_pem(), der: cert.der().clone() }
    }

    pub fn tls(&self) -> Tls {
        Tls::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// A client that trusts this certificate alone, and offers these protocols.
    pub fn client(&self, version: &'static SupportedProtocolVersion, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// As [`client`](Self::client), with the protocol that this transport wants.
    pub fn client_over(&self, version: &'static SupportedProtocolVersion, transport: Transport) -> Arc<ClientConfig> {
        self.client(version, &[alpn(transport)])
    }
}

const fn alpn(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => ALPN,
        Transport::WebSocket => "http/1.1",
    }
}

async fn start(limits: Limits) -> (TestServer, Pem) {
    let pem = Pem::new();
    let server = TestServer::build(Server::builder().limits(limits).tls(pem.tls())).await;
    (server, pem)
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Shakes hands on a socket.
pub async fn shake(stream: TcpStream, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true).unwrap();
    soon(TlsConnector::from(config).connect(localhost(), stream), "the handshake").await
}

async fn connect(
    server: &TestServer,
    transport: Transport,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    shake(TcpStream::connect(server.addr(transport)).await.unwrap(), config).await
}

/// With hello said and WELCOME heard.
pub async fn greeted(stream: TlsStream<TcpStream>, transport: Transport) -> Peer {
    let mut peer = Peer::new(stream, transport);
    peer.open("/ws").await;
    peer.greet().await;
    peer
}
