//! Keys: what verifies tokens, and what signs them.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey, Header};

use super::Algorithm;

/// A key that verifies tokens, with the one algorithm it is for. Its bytes are never shown.
#[derive(Clone, Debug)]
pub struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// A key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// A secret has less than 32 bytes, which can be guessed from a token.
    ShortSecret,
    /// It is not a key for this algorithm in PEM format.
    Pem(Algorithm),
}

impl Key {
    /// Bytes of the shortest secret. 32: as many as the hash has (RFC 7518 3.2).
    pub const MIN_SECRET: usize = 32;

    /// A key of that id: for HS256 a secret, otherwise a public key in PEM format.
    ///
    /// # Errors
    /// Where it cannot be read, or is too short.
    pub fn new(id: Option<&str>, algorithm: Algorithm, material: &[u8]) -> Result<Self, BadKey> {
        let read = match algorithm {
            Algorithm::Hs256 => check_secret(material).map(|()| DecodingKey::from_secret(material))?,
            Algorithm::Rs256 => DecodingKey::from_rsa_pem(material).map_err(|_| BadKey::Pem(algorithm))?,
            Algorithm::Es256 => DecodingKey::from_ec_pem(material).map_err(|_| BadKey::Pem(algorithm))?,
            Algorithm::EdDsa => DecodingKey::from_ed_pem(material).map_err(|_| BadKey::Pem(algorithm))?,
        };
        Ok(Self { id: id.map(str::to_owned), algorithm, decoding: read })
    }

    /// Its id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The algorithm it is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this key has signed a message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let verified = jsonwebtoken::crypto::verify(signature, message, &self.decoding, self.algorithm.of_token());
        verified.unwrap_or(false)
    }
}

/// A key that signs tokens. Its bytes are never shown.
pub struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    encoding: EncodingKey,
}

impl SigningKey {
    /// A key of that id: for HS256 a secret, otherwise a private key in PEM format (PKCS #8).
    ///
    /// # Errors
    /// As for [`Key::new`].
    pub fn new(id: Option<&str>, algorithm: Algorithm, material: &[u8]) -> Result<Self, BadKey> {
        let read = match algorithm {
            Algorithm::Hs256 => check_secret(material).map(|()| EncodingKey::from_secret(material))?,
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(material).map_err(|_| BadKey::Pem(algorithm))?,
            Algorithm::Es256 => EncodingKey::from_ec_pem(material).map_err(|_| BadKey::Pem(algorithm))?,
            Algorithm::EdDsa => EncodingKey::from_ed_pem(material).map_err(|_| BadKey::Pem(algorithm))?,
        };
        Ok(Self { id: id.map(str::to_owned), algorithm, encoding: read })
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// Where the key turns out to be none.
    pub fn sign(&self, claims: &serde_json::Value) -> Result<String, BadKey> {
        let mut header = Header::new(self.algorithm.of_token());
        header.kid.clone_from(&self.id);
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(|_| BadKey::Pem(self.algorithm))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, algorithm, .. } = self;
        f.debug_struct("SigningKey").field("id", id).field("algorithm", algorithm).finish_non_exhaustive()
    }
}

const fn check_secret(secret: &[u8]) -> Result<(), BadKey> {
    if secret.len() < Key::MIN_SECRET { Err(BadKey::ShortSecret) } else { Ok(()) }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortSecret => write!(f, "a secret has at least {} bytes", Key::MIN_SECRET),
            Self::Pem(algorithm) => write!(f, "this is not a key for {algorithm} in PEM format"),
        }
    }
}

impl std::error::Error for BadKey {}
