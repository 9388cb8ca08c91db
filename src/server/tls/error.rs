//! What can be wrong with a certificate and its key.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::pair::Source;

/// Why a certificate and its key cannot be used. Paths are there where they came from files.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// What should be a chain of certificates in PEM is none, or the first of it cannot be read.
    NoCertificate(Option<PathBuf>),
    /// What should be a private key in PEM is none, is of a kind that cannot be used, or needs a password.
    NoKey(Option<PathBuf>),
    /// The key is of another certificate: that file, and the key's.
    Mismatch(Option<(PathBuf, PathBuf)>),
    /// A name for a certificate is neither a host's nor an address.
    Name,
    /// The system gives no random numbers.
    Rustls(rustls::Error),
}

impl TlsError {
    /// With the names of the files, where there are such.
    pub(super) fn in_files(self, source: &Source) -> Self {
        let Source::Files { certificate, key } = source else { return self };
        match self {
            Self::NoCertificate(_) => Self::NoCertificate(Some(certificate.clone())),
            Self::NoKey(_) => Self::NoKey(Some(key.clone())),
            Self::Mismatch(_) => Self::Mismatch(Some((certificate.clone(), key.clone()))),
            other => other,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Option<PathBuf>| path.as_deref().unwrap_or_else(|| Path::new("PEM")).display().to_string();
        match self {
            Self::Read(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::NoCertificate(path) => {
                write!(f, "{} has no certificate: it must be a chain in PEM, the server's own first", shown(path))
            }
            Self::NoKey(path) => {
                write!(f, "{} has no private key that can be used: it must be in PEM, without a password", shown(path))
            }
            Self::Mismatch(Some((certificate, key))) => {
                write!(f, "the key in {} is not that of the certificate in {}", key.display(), certificate.display())
            }
            Self::Mismatch(None) => f.write_str("the key is not that of the certificate"),
            Self::Name => f.write_str("a certificate is for names of hosts and for addresses"),
            Self::Rustls(error) => write!(f, "TLS cannot be used: {error}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(_, error) => Some(error),
            Self::Rustls(error) => Some(error),
            _ => None,
        }
    }
}
