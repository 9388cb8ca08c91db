//! What both ends of TLS share: the cryptography, and a certificate's fingerprint.
//!
//! ```text
//! certificate, DER ──SHA-256──> 32 bytes ──> "9f86d081...", 64 digits
//! ```

use std::fmt;
use std::str::FromStr;

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite;

/// The SHA-256 of a certificate. A client that was told it trusts that one certificate, whatever its names
/// and its issuer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let SupportedCipherSuite::Tls13(suite) = cipher_suite::TLS13_AES_128_GCM_SHA256 else {
            unreachable!("a suite of TLS 1.3 is one");
        };
        let hash = suite.common.hash_provider.hash(certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_ref());
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Reads 64 hexadecimal digits; the colons that other programs put between them may be there.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let mut digits = text.chars().filter(|letter| *letter != ':');
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            for _ in 0..2 {
                let digit = digits.next().and_then(|letter| letter.to_digit(16)).ok_or(NoFingerprint)?;
                *byte = (*byte << 4) | u8::try_from(digit).map_err(|_| NoFingerprint)?;
            }
        }
        digits.next().map_or(Ok(Self(bytes)), |_| Err(NoFingerprint))
    }
}

/// A text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoFingerprint;

impl fmt::Display for NoFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits")
    }
}

impl std::error::Error for NoFingerprint {}

/// The cryptography. Named wherever it is used: a library must not set what the whole process uses.
#[cfg(any(feature = "server", feature = "client"))]
pub(crate) fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_sha_256_and_reads_as_it_is_shown() {
        let fingerprint = Fingerprint::of(b"abc");
        let shown = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint.to_string(), shown);
        assert_eq!(shown.parse(), Ok(fingerprint));
        let pairs: Vec<&str> = (0..32).map(|index| &shown[2 * index..2 * index + 2]).collect();
        assert_eq!(pairs.join(":").to_uppercase().parse(), Ok(fingerprint));
        for wrong in ["", "ba", &shown[1..], &format!("{shown}0"), &shown.replace('b', "g"), &shown.replace('b', "é")]
        {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong}");
        }
    }
}
