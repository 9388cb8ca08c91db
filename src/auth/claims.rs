//! What a token says, read strictly: each claim once, each of its type (PROTOCOL 15.1).
//!
//! ```text
//! {"sub": "ann", "exp": 1900000000, "rooms": {"game/*": ["join", "publish", "receive"]}}
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Rejected;
use crate::grants::{Grants, Verbs};
use crate::identity::Identity;
use crate::name::Pattern;
use crate::server::identify::Identified;

/// The claims that are looked at. That they can be read proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// The subject.
    pub sub: Option<String>,
    /// Not valid from this second on, since 1970.
    pub exp: Option<u64>,
    /// Not valid before this second.
    pub nbf: Option<u64>,
    /// Made in this second.
    pub iat: Option<u64>,
    /// Who made it.
    pub iss: Option<String>,
    /// For whom; empty for nobody in particular.
    pub aud: Vec<String>,
    /// The token's name.
    pub jti: Option<String>,
    /// What is shown of the subject.
    pub info: Option<String>,
    /// What it may do in rooms.
    pub grants: Grants,
    /// What is wrong with the rooms, where something is.
    bad_grants: bool,
}

/// The last second that counts: in the year 9999. Sums with it stay in range.
const LAST: u64 = 253_402_300_799;

/// What an issuer's tokens have to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) issuer: Option<&'a str>,
    pub(super) audience: Option<&'a str>,
    pub(super) leeway: Duration,
    pub(super) now: SystemTime,
}

impl Claims {
    /// Whose token it is, if everything is in order. The signature is somebody else's.
    pub(super) fn check(&self, wanted: &Wanted<'_>) -> Result<Identified, Rejected> {
        if self.bad_grants {
            return Err(Rejected::Grants);
        }
        if wanted.issuer.is_some_and(|issuer| self.iss.as_deref() != Some(issuer)) {
            return Err(Rejected::Issuer);
        }
        // RFC 7519 4.1.3: a token for somebody is not for one who does not know to be meant.
        let meant = match wanted.audience {
            Some(audience) => self.aud.iter().any(|aud| aud == audience),
            None => self.aud.is_empty(),
        };
        if !meant {
            return Err(Rejected::Audience);
        }
        let until = moment(self.exp.ok_or(Rejected::NoExpiry)?)? + wanted.leeway;
        if wanted.now >= until {
            return Err(Rejected::Expired);
        }
        if let Some(nbf) = self.nbf
            && wanted.now + wanted.leeway < moment(nbf)?
        {
            return Err(Rejected::NotYet);
        }
        let name = |name: &Option<String>| name.clone().map(Bytes::from).unwrap_or_default();
        let (subject, token) = (name(&self.sub), name(&self.jti));
        if subject.is_empty() || subject.len() > Identity::MAX_NAME {
            return Err(Rejected::Subject);
        }
        if token.len() > Identity::MAX_NAME || self.info.as_ref().is_some_and(|info| info.len() > MAX_INFO) {
            return Err(Rejected::Claims);
        }
        let identity = Identity { subject, token, info: name(&self.info), grants: self.grants.clone().into() };
        // Where the issuer's clock is ahead, the token is older than it says.
        let issued = self.iat.map(moment).transpose()?.map(|iat| iat.checked_sub(wanted.leeway).unwrap_or(UNIX_EPOCH));
        Ok(Identified { identity: identity.into(), expires: Some(until), issued })
    }
}

/// Bytes of what is shown. 256: it is presence data.
const MAX_INFO: usize = 256;

fn moment(secs: u64) -> Result<SystemTime, Rejected> {
    UNIX_EPOCH.checked_add(Duration::from_secs(secs)).ok_or(Rejected::Claims)
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadClaims)
    }
}

struct ReadClaims;

impl<'de> Visitor<'de> for ReadClaims {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let (mut claims, mut seen) = (Claims::default(), BTreeSet::new());
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "sub" => claims.sub = Some(map.next_value()?),
                "exp" => claims.exp = Some(map.next_value::<Seconds>()?.0),
                "nbf" => claims.nbf = Some(map.next_value::<Seconds>()?.0),
                "iat" => claims.iat = Some(map.next_value::<Seconds>()?.0),
                "iss" => claims.iss = Some(map.next_value()?),
                "aud" => claims.aud = map.next_value::<Audience>()?.0,
                "jti" => claims.jti = Some(map.next_value()?),
                "info" => claims.info = Some(map.next_value()?),
                "rooms" => match map.next_value::<Rooms>()?.0 {
                    Some(grants) => claims.grants = grants,
                    None => claims.bad_grants = true,
                },
                _ => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
            // Which of two claims of one name counts is what readers disagree on.
            if !seen.insert(name) {
                return Err(A::Error::custom("a claim comes twice"));
            }
        }
        Ok(claims)
    }
}

/// A point in time: a number, also with a fraction, never a text.
struct Seconds(u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadSeconds)
    }
}

struct ReadSeconds;

impl Visitor<'_> for ReadSeconds {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970, as a number")
    }

    fn visit_u64<E: Error>(self, secs: u64) -> Result<Seconds, E> {
        Ok(Seconds(secs.min(LAST)))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    fn visit_f64<E: Error>(self, secs: f64) -> Result<Seconds, E> {
        if secs.is_finite() && secs >= 0.0 {
            Ok(Seconds(secs.min(LAST as f64) as u64))
        } else {
            Err(E::custom("a time before 1970"))
        }
    }
}

/// One text, or a list of them.
struct Audience(Vec<String>);

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadAudience)
    }
}

struct ReadAudience;

impl<'de> Visitor<'de> for ReadAudience {
    type Value = Audience;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, audience: &str) -> Result<Audience, E> {
        Ok(Audience(vec![audience.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audience, A::Error> {
        let mut audience = Vec::new();
        while let Some(one) = list.next_element()? {
            audience.push(one);
        }
        Ok(Audience(audience))
    }
}

/// Patterns with verbs; `None` where one of them is none, or where there are too many.
struct Rooms(Option<Grants>);

impl<'de> Deserialize<'de> for Rooms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadRooms)
    }
}

struct ReadRooms;

impl<'de> Visitor<'de> for ReadRooms {
    type Value = Rooms;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of patterns with lists of verbs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rooms, A::Error> {
        let (mut grants, mut good, mut seen) = (Vec::new(), true, BTreeSet::new());
        while let Some((pattern, verbs)) = map.next_entry::<String, Vec<String>>()? {
            let known =
                verbs.iter().map(|verb| Verbs::named(verb)).try_fold(Verbs::NONE, |all, verb| Some(all.with(verb?)));
            match (Pattern::new(&pattern), known) {
                (Some(pattern), Some(verbs)) if grants.len() <= Grants::MOST => grants.push((pattern, verbs)),
                _ => good = false,
            }
            good &= seen.insert(pattern);
        }
        Ok(Rooms(Grants::new(grants).filter(|_| good)))
    }
}
