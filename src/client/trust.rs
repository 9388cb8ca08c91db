//! Whom a client believes over TLS.
//!
//! ```text
//! certificates in PEM ──┐
//! public roots ─────────┼──> Trust ──> a configuration for WebSocket, and one for TCP
//! a fingerprint ────────┘
//! ```

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Scheme;
use crate::tls::{Fingerprint, provider};
use crate::wire::ALPN;

/// Whose certificates a client takes. Clones share what was learnt of servers, so that who comes back shakes
/// hands at less cost.
#[derive(Clone, Debug)]
pub struct Trust {
    websocket: Arc<ClientConfig>,
    tcp: Arc<ClientConfig>,
}

impl Trust {
    /// The public authorities that Mozilla's programs trust, as of when this library was built. Where a
    /// client is told nothing, it trusts these.
    #[must_use]
    pub fn public() -> Self {
        static PUBLIC: OnceLock<Trust> = OnceLock::new();
        let roots = || RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        PUBLIC.get_or_init(|| Self::in_roots(roots())).clone()
    }

    /// The authorities whose certificates are here, in PEM, and no others.
    ///
    /// # Errors
    /// Where there is no certificate, or one that cannot be read.
    pub fn roots(pem: &[u8]) -> Result<Self, NoRoots> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|_| NoRoots)?).map_err(|_| NoRoots)?;
        }
        if roots.is_empty() { Err(NoRoots) } else { Ok(Self::in_roots(roots)) }
    }

    /// The one certificate that has this fingerprint, whatever name it is for, who signed it, and how long
    /// it is valid.
    #[must_use]
    pub fn fingerprint(fingerprint: Fingerprint) -> Self {
        let provider = provider();
        let pinned = Pinned { fingerprint, provider: Arc::clone(&provider) };
        let builder = builder(provider).dangerous().with_custom_certificate_verifier(Arc::new(pinned));
        Self::new(builder.with_no_client_auth())
    }

    fn in_roots(roots: RootCertStore) -> Self {
        Self::new(builder(provider()).with_root_certificates(roots).with_no_client_auth())
    }

    fn new(mut config: ClientConfig) -> Self {
        let mut tcp = config.clone();
        // PROTOCOL 4.4.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        tcp.alpn_protocols = vec![ALPN.into()];
        Self { websocket: Arc::new(config), tcp: Arc::new(tcp) }
    }

    /// What a handshake needs.
    pub(super) fn config(&self, scheme: Scheme) -> Arc<ClientConfig> {
        Arc::clone(match scheme {
            Scheme::WebSocket => &self.websocket,
            Scheme::Tcp => &self.tcp,
        })
    }
}

fn builder(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
    builder.expect("the provider has suites of both versions")
}

/// There is no certificate of an authority in what should be some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoots;

impl fmt::Display for NoRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no certificate of an authority here: they must be in PEM")
    }
}

impl std::error::Error for NoRoots {}

/// Takes one certificate. That the server has its key is still proved by the handshake.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Fingerprint::of(certificate) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
