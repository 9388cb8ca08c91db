//! The `[tls]` of a file: where the certificate and its key are.

use std::net::SocketAddr;
use std::path::PathBuf;

use tickwire::server::{Tls, TlsError};

use super::section::{Section, Value};
use crate::cli::serve::ServeArguments;

/// The certificate that an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Certificate {
    /// Files in PEM.
    Files { certificate: PathBuf, key: PathBuf },
    /// One of our own, for trying.
    SelfSigned,
}

/// What the section says.
pub(super) fn read(section: &Section<'_>) -> Result<Certificate, String> {
    section.check_keys(&["cert", "key"])?;
    let path = |key| section.get(key, |value: Value<'_>| value.text().map(PathBuf::from));
    match (path("cert")?, path("key")?) {
        (Some(certificate), Some(key)) => Ok(Certificate::Files { certificate, key }),
        _ => Err(section.error("write both, cert = \"chain.pem\" and key = \"key.pem\"")),
    }
}

impl Certificate {
    /// What the arguments say; they see to it that both files are there.
    pub(super) fn of(arguments: &ServeArguments) -> Option<Self> {
        match (&arguments.tls_cert, &arguments.tls_key) {
            (Some(certificate), Some(key)) => Some(Self::Files { certificate: certificate.clone(), key: key.clone() }),
            _ => arguments.tls_self_signed.then_some(Self::SelfSigned),
        }
    }

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
    fn a_certificate_needs_its_key() {
        let tls = |text: &str| parse("x.toml", text).map(|file| file.tls);
        let files = Certificate::Files { certificate: "a.pem".into(), key: "b.pem".into() };
        assert_eq!(tls("[tls]\ncert = 'a.pem'\nkey = 'b.pem'"), Ok(Some(files)));
        assert_eq!(tls(""), Ok(None));
        assert!(tls("\n[tls]\ncert = 'a.pem'").unwrap_err().contains("x.toml:2: write both"));
        assert!(tls("[tls]\ncrt = 'a.pem'").unwrap_err().contains("did you mean `cert`?"));
        assert!(tls("[tls]\ncert = 1").unwrap_err().contains("cert: write a string"));
    }
}
