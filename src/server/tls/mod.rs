//! TLS for a server's ports: a certificate that can be changed while it runs.
//!
//! ```text
//! files ──read, checked──> Pair ──swap──> watch ──at each handshake──> accept ──> Layer ──> connection
//!   ^                        └── of no use: said, and the old one stays
//!   └── looked at every 2 s
//! ```
//!
//! TLS 1.2 and 1.3. Which protocol is spoken inside is agreed on by ALPN (PROTOCOL 4.4): `tickwire/1` on
//! both ports, `http/1.1` or nothing on the one of HTTP. There is no early data, and tickets of the old
//! certificate end with it.

mod accept;
mod error;
mod layer;
mod pair;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch::Sender;
use tracing::{error, info};

pub(super) use self::accept::accept;
pub use self::error::TlsError;
pub(super) use self::layer::Layer;
use self::pair::{Pair, Source};
pub(super) use self::watch::watch;
use super::listener::Port;
use crate::tls::Fingerprint;

/// A certificate with its key, for [`Builder::tls`](super::Builder::tls). Clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    /// Of the files, before they were first read.
    stamp: Option<watch::Stamp>,
    current: Sender<Pair>,
}

impl Tls {
    /// From two files in PEM: a chain of certificates, the server's own first, and its private key without
    /// a password. While a server runs it looks at them every 2 seconds, and takes them when they have
    /// changed and stayed so; see also [`reload`](Self::reload).
    ///
    /// Reads the files, and blocks for that.
    ///
    /// # Errors
    /// Where a file cannot be read or holds something else, and where the key is of another certificate.
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        Self::new(Source::Files { certificate: certificate.into(), key: key.into() })
    }

    /// From PEM that is here. It stays as it is.
    ///
    /// # Errors
    /// As for [`from_files`](Self::from_files).
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::new(Source::Pem { certificate: certificate.into(), key: key.into() })
    }

    /// A certificate for these names and addresses that nobody has signed, for trying things: a client
    /// trusts it by its [`fingerprint`](Self::fingerprint). Valid for less than two years.
    ///
    /// # Errors
    /// Where a name is none.
    pub fn self_signed<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self, TlsError> {
        let (certificate, key) = pair::self_signed(names.into_iter().map(N::into).collect())?;
        Self::new(Source::Der { certificate, key })
    }

    fn new(source: Source) -> Result<Self, TlsError> {
        let stamp = watch::stamp(&source);
        let pair = source.read()?;
        Ok(Self { shared: Arc::new(Shared { source, stamp, current: Sender::new(pair) }) })
    }

    /// Of the certificate that is used now.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.shared.current.borrow().fingerprint
    }

    /// Reads the files again. New connections get the new certificate; those that are open stay as they
    /// are. Logs what came of it.
    ///
    /// Reads the files, and blocks for that.
    ///
    /// # Errors
    /// As for [`from_files`](Self::from_files): then the old certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        match self.shared.source.read() {
            Ok(pair) => {
                info!("the certificate is read again: {}, SHA-256 {}", self.shared.source, pair.fingerprint);
                self.shared.current.send_replace(pair);
                Ok(())
            }
            Err(error) => {
                error!("the certificate is not changed, the one before stays: {error}");
                Err(error)
            }
        }
    }

    fn config(&self, port: Port) -> Arc<ServerConfig> {
        let pair = self.shared.current.borrow();
        Arc::clone(match port {
            Port::Http => &pair.http,
            Port::Tcp => &pair.tcp,
        })
    }
}
