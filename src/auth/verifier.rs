//! Verifies tokens: from bytes to an identity, or to the reason why not.
//!
//! ```text
//! length ─> header ─> claims ─> issuer ─> key by kid ─> algorithm ─> signature ─> exp, nbf, iss, aud, sub
//! ```
//!
//! What comes before the signature is only looked at to choose a key.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::claims::Wanted;
use super::source::Cache;
use super::{Claims, Key, KeySet, Rejected, Source};
use crate::grants::Grants;
use crate::identity::Identity;
use crate::server::identify::{Identified, Identify, Identifying};

/// Somebody whose tokens are taken.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Issuer {
    /// What its tokens say in `iss`; `None` where that is not looked at, which only an only issuer may be.
    pub name: Option<String>,
    /// What its tokens must say in `aud`; `None` where they must say nothing.
    pub audience: Option<String>,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Where more of its keys are.
    pub source: Option<Source>,
}

/// Verifies tokens. Give it to [`Builder::identify`](crate::server::Builder::identify).
#[derive(Clone, Debug)]
pub struct Verifier(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    issuers: Vec<Known>,
    leeway: Duration,
    anonymous: Option<Arc<Identity>>,
    max_token: usize,
}

/// An issuer with its keys.
#[derive(Clone, Debug)]
struct Known {
    name: Option<String>,
    audience: Option<String>,
    keys: KeySet,
    /// Where they are fetched, unless from a file.
    url: Option<Source>,
    cache: Option<Cache>,
}

/// Why there is no verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadIssuer {
    /// There is none.
    None,
    /// Of several, one has no name, or two have the same.
    Name,
    /// Two keys of one issuer have the same id, or none.
    KeyId,
    /// It has no keys, and there is nowhere to get any.
    NoKeys,
    /// The file with its keys cannot be read, or holds none.
    File(PathBuf),
}

impl std::fmt::Display for BadIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("tokens need an issuer with keys"),
            Self::Name => f.write_str("of several issuers, each needs a name of its own"),
            Self::KeyId => f.write_str("of several keys of an issuer, each needs a kid of its own"),
            Self::NoKeys => f.write_str("an issuer needs a key, a jwks_file or a jwks_url"),
            Self::File(path) => write!(f, "{} is not a key set with keys that are taken", path.display()),
        }
    }
}

impl std::error::Error for BadIssuer {}

impl Verifier {
    /// How far the clocks of those who make tokens may be off, by default. 5 s: machines that set their clocks.
    pub const LEEWAY: Duration = Duration::from_secs(5);

    /// Takes the tokens of these issuers. Clients without a token are refused; see
    /// [`with_anonymous`](Self::with_anonymous). To be called within a runtime, where an issuer has a source.
    ///
    /// # Errors
    /// Where the issuers do not fit together, or a file cannot be read.
    pub fn new(issuers: Vec<Issuer>, leeway: Duration) -> Result<Self, BadIssuer> {
        if issuers.is_empty() {
            return Err(BadIssuer::None);
        }
        let several = issuers.len() > 1;
        let mut known: Vec<Known> = Vec::new();
        for Issuer { name, audience, keys, source } in issuers {
            if several && (name.is_none() || known.iter().any(|other| other.name == name)) {
                return Err(BadIssuer::Name);
            }
            let keys = KeySet::new(keys).ok_or(BadIssuer::KeyId)?;
            if keys.is_empty() && source.is_none() {
                return Err(BadIssuer::NoKeys);
            }
            let url = source.clone().filter(|source| !matches!(source, Source::File(_)));
            let cache = source.map(start).transpose()?;
            known.push(Known { name, audience, keys, url, cache });
        }
        let max_token = crate::limits::Limits::default().max_token;
        Ok(Self(Arc::new(Inner { issuers: known, leeway, anonymous: None, max_token })))
    }

    /// Lets clients in that have no token, with these grants.
    #[must_use]
    pub fn with_anonymous(mut self, grants: Grants) -> Self {
        // Where somebody has a clone, what that says stays as it is.
        Arc::make_mut(&mut self.0).anonymous =
            Some(Arc::new(Identity { grants: grants.into(), ..Identity::default() }));
        self
    }

    /// Takes tokens of at most so many bytes; as many as [`Limits::max_token`](crate::limits::Limits::max_token)
    /// says by default. A server that was told another number there needs it here too.
    #[must_use]
    pub fn with_max_token(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.0).max_token = bytes;
        self
    }

    /// Goes on with the keys that `before` has fetched, where an issuer's are at the same URL: a server of keys that
    /// does not answer just then does no harm.
    #[must_use]
    pub fn with_keys_of(mut self, before: &Self) -> Self {
        for known in &mut Arc::make_mut(&mut self.0).issuers {
            let same = |other: &&Known| other.name == known.name && other.url.is_some() && other.url == known.url;
            if let Some(other) = before.0.issuers.iter().find(same) {
                known.cache.clone_from(&other.cache);
            }
        }
        self
    }

    /// Verifies a token with the keys that are here, as of `now`.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify(&self, token: &[u8], now: SystemTime) -> Result<Identified, Rejected> {
        match &self.0.anonymous {
            Some(identity) if token.is_empty() => {
                Ok(Identified { identity: Arc::clone(identity), expires: None, issued: None })
            }
            None if token.is_empty() => Err(Rejected::Missing),
            _ => self.read(token).and_then(|(known, inspected)| self.judge(known, &inspected, token, now)),
        }
    }

    /// As [`verify`](Self::verify), but where the key is not known, the issuer's are fetched first, at most
    /// once a minute. Cancel safe.
    ///
    /// # Errors
    /// Why it does not count.
    pub async fn verify_fetching(&self, token: &[u8], now: SystemTime) -> Result<Identified, Rejected> {
        match self.verify(token, now) {
            Err(Rejected::UnknownKey | Rejected::KeysMissing) => self.fetch_and_verify(token, now).await,
            verified => verified,
        }
    }

    async fn fetch_and_verify(&self, token: &[u8], now: SystemTime) -> Result<Identified, Rejected> {
        let cache = self.read(token)?.0.cache.clone().ok_or(Rejected::UnknownKey)?;
        let mut cached = cache.cached.clone();
        let rounds = cached.borrow().rounds;
        if !cache.refresh() || cached.wait_for(|cached| cached.rounds != rounds).await.is_err() {
            // It may have come between the first look and this one.
            return self.verify(token, now);
        }
        self.verify(token, now)
    }

    /// Reads a token, and chooses its issuer.
    fn read(&self, token: &[u8]) -> Result<(&Known, Inspected), Rejected> {
        if token.len() > self.0.max_token {
            return Err(Rejected::TooLong);
        }
        let inspected = inspect(token)?;
        let known = match &self.0.issuers[..] {
            [only] => Some(only),
            several => several.iter().find(|known| known.name == inspected.claims.iss),
        };
        known.map(|known| (known, inspected)).ok_or(Rejected::Issuer)
    }

    fn judge(
        &self,
        known: &Known,
        inspected: &Inspected,
        token: &[u8],
        now: SystemTime,
    ) -> Result<Identified, Rejected> {
        let fetched = known.cache.as_ref().map(|cache| cache.cached.borrow());
        let id = inspected.key_id.as_deref();
        let sets = [Some(&known.keys), fetched.as_ref().map(|cached| &cached.keys)];
        let holding = sets.into_iter().flatten().filter(|set| !set.is_empty());
        let key = match id {
            Some(_) => holding.clone().find_map(|set| set.find(id)),
            // Without an id there must be one key in all.
            None => holding.clone().next().filter(|_| holding.count() == 1).and_then(|set| set.find(None)),
        };
        let is_stale = fetched.as_ref().is_some_and(|cached| cached.is_stale);
        let key = key.ok_or(if is_stale { Rejected::KeysMissing } else { Rejected::UnknownKey })?;
        if inspected.algorithm != key.algorithm.name() {
            return Err(Rejected::Algorithm);
        }
        let (message, signature) = split_signature(token).ok_or(Rejected::Malformed)?;
        if !key.has_signed(message, signature) {
            return Err(Rejected::Signature);
        }
        let (issuer, audience) = (known.name.as_deref(), known.audience.as_deref());
        inspected.claims.check(&Wanted { issuer, audience, leeway: self.0.leeway, now })
    }
}

/// Starts to keep the keys of a source. Those of a file must be there.
fn start(source: Source) -> Result<Cache, BadIssuer> {
    let keys = match &source {
        Source::File(path) => {
            let keys = std::fs::read(path).ok().and_then(|bytes| KeySet::read(&bytes));
            keys.filter(|keys| !keys.is_empty()).ok_or_else(|| BadIssuer::File(path.clone()))?
        }
        _ => KeySet::default(),
    };
    Ok(Cache::start(source, keys))
}

impl Identify for Verifier {
    fn identify(&self, token: &[u8]) -> Identifying {
        let now = SystemTime::now();
        match self.verify(token, now) {
            Err(Rejected::UnknownKey | Rejected::KeysMissing) => {
                let (verifier, token) = (self.clone(), token.to_vec());
                Identifying::Later(Box::pin(async move {
                    verifier.fetch_and_verify(&token, now).await.map_err(Rejected::reason)
                }))
            }
            verified => Identifying::Now(verified.map_err(Rejected::reason)),
        }
    }
}

/// What a token says of itself, which proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// The algorithm it names.
    pub algorithm: String,
    /// The key it names.
    pub key_id: Option<String>,
    /// What it claims.
    pub claims: Claims,
}

/// Reads a token without verifying it.
///
/// # Errors
/// Where it cannot be read.
pub fn inspect(token: &[u8]) -> Result<Inspected, Rejected> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Rejected::Malformed)?;
    if header.crit.is_some() {
        return Err(Rejected::Critical);
    }
    let claims = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Rejected::Claims)?;
    Ok(Inspected { algorithm: format!("{:?}", header.alg), key_id: header.kid, claims })
}

/// What is signed, and the signature.
fn split_signature(token: &[u8]) -> Option<(&[u8], &str)> {
    let (message, signature) = std::str::from_utf8(token).ok()?.rsplit_once('.')?;
    Some((message.as_bytes(), signature))
}
