//! Whose word is taken for the certificate of a server of keys.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

/// What a handshake needs: these roots, in PEM, or the public ones. `None` where one of them is none.
pub(super) fn client_config(pem: Option<&[u8]>) -> Option<Arc<ClientConfig>> {
    let roots = match pem {
        Some(pem) => read(pem)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let builder = ClientConfig::builder_with_provider(crate::tls::provider());
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

/// Reads roots; `None` where there is none, or one that cannot be read.
pub(super) fn read(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}
