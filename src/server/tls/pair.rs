//! A certificate and its key, read and found to fit.
//!
//! ```text
//! PEM ──> chain ─┐
//! PEM ──> key ───┴──> do they fit? ──> one configuration for each port
//! ```

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};

use super::TlsError;
use crate::tls::{Fingerprint, provider};
use crate::wire::ALPN;

/// Where a pair comes from.
pub(super) enum Source {
    /// Files in PEM.
    Files { certificate: PathBuf, key: PathBuf },
    /// PEM.
    Pem { certificate: Vec<u8>, key: Vec<u8> },
    /// One of our own.
    Der { certificate: CertificateDer<'static>, key: PrivatePkcs8KeyDer<'static> },
}

/// What a handshake needs.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) http: Arc<ServerConfig>,
    pub(super) tcp: Arc<ServerConfig>,
    pub(super) fingerprint: Fingerprint,
}

impl Source {
    /// Reads and checks it. Blocks where it is files.
    pub(super) fn read(&self) -> Result<Pair, TlsError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| TlsError::Read(path.clone(), error));
        match self {
            Self::Files { certificate, key } => from_pem(&read(certificate)?, &read(key)?),
            Self::Pem { certificate, key } => from_pem(certificate, key),
            Self::Der { certificate, key } => Pair::new(vec![certificate.clone()], key.clone_key().into()),
        }
        .map_err(|error| error.in_files(self))
    }
}

fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Pair, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::NoCertificate(None))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_: pem::Error| TlsError::NoKey(None))?;
    Pair::new(chain, key)
}

impl Pair {
    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let first = chain.first().ok_or(TlsError::NoCertificate(None))?;
        let fingerprint = Fingerprint::of(first);
        let provider = provider();
        let key = provider.key_provider.load_private_key(key).map_err(|_| TlsError::NoKey(None))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // Unknown is what cannot be compared: keys that are not in memory, which ours are.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(TlsError::Mismatch(None)),
            Err(_) => return Err(TlsError::NoCertificate(None)),
        }
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(certified));
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
        let mut config = builder.map_err(TlsError::Rustls)?.with_no_client_auth().with_cert_resolver(resolver);
        // Who comes back proves itself with a ticket, which the server does not keep: a storm of returning
        // clients costs no signatures, and no memory.
        config.ticketer = Ticketer::new().map_err(TlsError::Rustls)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A connection that breaks comes back once.
        config.send_tls13_tickets = 1;
        // PROTOCOL 4.4: the server's order decides; nothing agreed on is HTTP, on the port that has it.
        config.alpn_protocols = vec![ALPN.into()];
        let tcp = config.clone();
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(Self { http: Arc::new(config), tcp: Arc::new(tcp), fingerprint })
    }
}

/// A certificate of our own for these names and addresses.
pub(super) fn self_signed(
    names: Vec<String>,
) -> Result<(CertificateDer<'static>, PrivatePkcs8KeyDer<'static>), TlsError> {
    let mut params = CertificateParams::new(names).map_err(|_| TlsError::Name)?;
    // Some systems take none that is valid for more than 825 days.
    let year = this_year();
    params.not_before = date_time_ymd(year, 1, 1);
    params.not_after = date_time_ymd(year.saturating_add(2), 1, 1);
    let key = KeyPair::generate().map_err(|_| TlsError::Name)?;
    let certificate = params.self_signed(&key).map_err(|_| TlsError::Name)?;
    Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der())))
}

/// The year by this machine's clock.
fn this_year() -> i32 {
    /// Of a Gregorian year, on average.
    const SECONDS: u64 = 31_556_952;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Beyond, dates have no four digits.
    i32::try_from((1970 + now / SECONDS).min(9990)).unwrap_or(9990)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { certificate, .. } => write!(f, "{}", certificate.display()),
            Self::Pem { .. } | Self::Der { .. } => f.write_str("no file"),
        }
    }
}

/// Without the key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// A pair in PEM.
#[cfg(test)]
pub(super) fn self_signed_pem() -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
}
