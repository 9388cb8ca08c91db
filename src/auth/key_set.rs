//! The keys of one issuer, by their ids; read from a JSON Web Key Set (RFC 7517) too.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};

use super::{Algorithm, Key};

/// Keys with different ids.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// Keys of a set that are taken. 64: an issuer has two while it replaces one.
    pub const MOST: usize = 64;

    /// Reads a JSON Web Key Set. Keys for other purposes and algorithms are left out, and so are secrets,
    /// which do not belong into such a set. `None` where it is none, or where two keys have one id.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let set: JwkSet = serde_json::from_slice(bytes).ok()?;
        let keys: Vec<Key> = set.keys.iter().filter_map(key).take(Self::MOST).collect();
        Self::new(keys)
    }

    /// Takes keys; `None` where two have one id, or none.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Option<Self> {
        let differs = |(index, key): (usize, &Key)| keys.iter().skip(index + 1).all(|other| other.id != key.id);
        keys.iter().enumerate().all(differs).then_some(Self(keys))
    }

    /// The key of that id; without one the only key there is.
    #[must_use]
    pub fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, &self.0[..]) {
            (Some(_), keys) => keys.iter().find(|key| key.id() == id),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key of a set, where it is one that verifies tokens.
fn key(jwk: &Jwk) -> Option<Key> {
    let own = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::Rs256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::Es256,
        AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => Algorithm::EdDsa,
        _ => return None,
    };
    let said = match jwk.common.key_algorithm {
        None => own,
        Some(KeyAlgorithm::RS256) => Algorithm::Rs256,
        Some(KeyAlgorithm::ES256) => Algorithm::Es256,
        Some(KeyAlgorithm::EdDSA) => Algorithm::EdDsa,
        Some(_) => return None,
    };
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let decoding = DecodingKey::from_jwk(jwk).ok().filter(|_| signs && said == own)?;
    Some(Key { id: jwk.common.key_id.clone(), algorithm: own, decoding })
}
