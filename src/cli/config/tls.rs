//! The `[tls]` of a file: where the certificate and its key are.

use std::net::SocketAddr;
use std::path::PathBuf;

use tickwire::server::{Tls, TlsError};

use super::Config;
use super::section::Section;

/// What the section says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct TlsFile {
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) self_signed: bool,
}

/// The certificate that an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Certificate {
    /// Files in PEM.
    Files { certificate: PathBuf, key: PathBuf },
    /// One of our own, for trying.
    SelfSigned,
}

/// Checks what was read.
pub(super) fn check(section: &Section<'_>, tls: &TlsFile) {
    if tls.cert.is_some() != tls.key.is_some() {
        section.problem("a certificate needs its key: write both, cert = \"chain.pem\" and key = \"key.pem\"");
    } else if tls.self_signed && tls.cert.is_some() {
        section.problem("self_signed makes a certificate, and cert names another: write one of them");
    }
}

impl Config {
    /// What was asked for.
    pub(in crate::cli) fn certificate(&self) -> Option<Certificate> {
        match (&self.tls.cert, &self.tls.key) {
            (Some(certificate), Some(key)) => {
                Some(Certificate::Files { certificate: certificate.clone(), key: key.clone() })
            }
            _ => self.tls.self_signed.then_some(Certificate::SelfSigned),
        }
    }
}

impl Certificate {
    /// Reads the files, or makes one that is good for these addresses.
    pub(in crate::cli) fn load(&self, addresses: &[SocketAddr]) -> Result<Tls, TlsError> {
        match self {
            Self::Files { certificate, key } => Tls::from_files(certificate, key),
            Self::SelfSigned => {
                let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
                let ips = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified() && !ip.is_loopback());
                names.extend(ips.map(|ip| ip.to_string()));
                Tls::self_signed(names)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_certificate_is_two_files_or_one_of_our_own() {
        let certificate = |text: &str| parse("x.toml", text).unwrap().certificate();
        let files = Certificate::Files { certificate: "a.pem".into(), key: "b.pem".into() };
        assert_eq!(certificate("[tls]\ncert = 'a.pem'\nkey = 'b.pem'"), Some(files));
        assert_eq!(certificate("[tls]\nself_signed = true"), Some(Certificate::SelfSigned));
        assert_eq!(certificate(""), None);
        assert_eq!(certificate("[tls]\ncert = ''\nkey = ''"), None);
    }
}
