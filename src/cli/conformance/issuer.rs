//! Who makes the tokens of clients, and the server's way to verify them (PROTOCOL 15.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tickwire::auth::{Algorithm, Issuer as Trusted, Key, Rejected, SigningKey, Verifier};
use tickwire::grants::Verbs;

use super::order::Claims;
use crate::cli::Failure;

/// Makes tokens with a secret of this run.
#[derive(Debug)]
pub(super) struct Issuer {
    signing: SigningKey,
    verifier: Verifier,
    /// When each token since the reset expires.
    expiries: Vec<SystemTime>,
}

/// Tokens that are remembered. 10,000: a scenario makes two.
const MOST: usize = 10_000;

impl Issuer {
    /// One with a new secret.
    pub(super) fn new() -> Result<Self, Failure> {
        let mut secret = [0; Key::MIN_SECRET];
        getrandom::fill(&mut secret).map_err(|error| Failure::Runtime(format!("there is no randomness: {error}")))?;
        let bad = |error: &dyn std::error::Error| Failure::Runtime(error.to_string());
        let signing = SigningKey::new(None, Algorithm::Hs256, &secret).map_err(|error| bad(&error))?;
        let key = Key::new(None, Algorithm::Hs256, &secret).map_err(|error| bad(&error))?;
        let mut trusted = Trusted::default();
        trusted.keys.push(key);
        // A token has expired when it says so: scenarios do not wait longer than they must.
        let verifier = Verifier::new(vec![trusted], Duration::ZERO).map_err(|error| bad(&error))?;
        Ok(Self { signing, verifier, expiries: Vec::new() })
    }

    /// Takes its tokens.
    pub(super) fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// Forgets the tokens that were made. They are valid all the same.
    pub(super) fn reset(&mut self) {
        self.expiries.clear();
    }

    /// Makes a token; `None` where it cannot be.
    pub(super) fn make(&mut self, claims: &Claims, now: SystemTime) -> Option<String> {
        let since = now.duration_since(UNIX_EPOCH).ok()?;
        // Rounded up: a token lives as long as was asked for, and up to a second longer.
        let issued = since.as_secs();
        let expires = issued.checked_add(1)?.checked_add_signed(claims.expires_in)?;
        let rooms = claims.rooms.clone().unwrap_or_else(everything);
        let said = json!({ "sub": claims.subject, "iat": issued, "exp": expires, "rooms": rooms });
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(expires))?;
        let token = self.signing.sign(&said).ok()?;
        // One that no server reads would be a mistake of the runner's that looks like the client's.
        if matches!(self.verifier.verify(token.as_bytes(), now), Err(Rejected::Claims)) {
            return None;
        }
        (self.expiries.len() < MOST).then(|| self.expiries.push(expires))?;
        Some(token)
    }

    /// Whether the first so many tokens have expired, and been so for `more`. `None` where there are fewer.
    pub(super) fn have_expired(&self, tokens: usize, more: Duration, now: SystemTime) -> Option<bool> {
        let ended = |expires: &SystemTime| expires.checked_add(more).is_some_and(|end| end <= now);
        Some(self.expiries.get(..tokens)?.iter().all(ended))
    }
}

/// Every verb in every room.
fn everything() -> Map<String, Value> {
    Map::from_iter([("**".to_owned(), Verbs::ALL.names().collect())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(expires_in: i64) -> Claims {
        Claims { subject: "ann".into(), expires_in, rooms: None }
    }

    #[test]
    fn tokens_live_as_long_as_was_asked_and_a_second_more() {
        let mut issuer = Issuer::new().unwrap();
        let now = SystemTime::now();
        let after = |seconds: u64| now + Duration::from_secs(seconds);
        let token = issuer.make(&claims(4), now).unwrap();
        let verified = |at| issuer.verifier().verify(token.as_bytes(), at).is_ok();
        assert!(verified(now) && verified(after(4) - Duration::from_millis(1)) && !verified(after(5)));
        assert_eq!(issuer.have_expired(1, TOKEN_GRACE, after(5)), Some(false));
        assert_eq!(issuer.have_expired(1, TOKEN_GRACE, after(6)), Some(true));
        assert_eq!(issuer.have_expired(2, TOKEN_GRACE, after(6)), None, "there is one");
        let expired = issuer.make(&claims(-60), now).unwrap();
        assert!(issuer.verifier().verify(expired.as_bytes(), now).is_err());
    }

    #[test]
    fn what_no_server_reads_is_not_made() {
        let mut issuer = Issuer::new().unwrap();
        let mut wrong = claims(60);
        wrong.rooms = Some(Map::from_iter([("r".to_owned(), json!(["join", 7]))]));
        assert_eq!(issuer.make(&wrong, SystemTime::now()), None);
        wrong.rooms = None;
        wrong.expires_in = i64::MIN;
        assert_eq!(issuer.make(&wrong, SystemTime::now()), None);
    }

    const TOKEN_GRACE: Duration = Duration::from_secs(1);
}
