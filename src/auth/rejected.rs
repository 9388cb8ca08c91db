//! Why a token does not count.

use std::fmt;

use crate::wire::Reason;

/// Why a token does not count. Its client is told no more than expired, not valid, or to come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// There is none, and clients without one are not taken.
    Missing,
    /// It is not three parts of base64, or its header cannot be read.
    Malformed,
    /// It has more bytes than are taken.
    TooLong,
    /// Its header has parameters that must be understood, and are not.
    Critical,
    /// A claim has another type than it must have, comes twice, or is out of range.
    Claims,
    /// It is for rooms with more patterns than are taken, or with verbs or patterns that are none.
    Grants,
    /// It has no subject.
    Subject,
    /// Its issuer is not one of the configured.
    Issuer,
    /// It is not for this server.
    Audience,
    /// No key has its key id.
    UnknownKey,
    /// No key has its key id, and its issuer's keys could not be fetched when that was last tried.
    KeysMissing,
    /// Its algorithm is not its key's.
    Algorithm,
    /// Its signature is wrong.
    Signature,
    /// It has no time of expiry.
    NoExpiry,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYet,
}

impl Rejected {
    /// What the client is told (PROTOCOL 14).
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Expired => Reason::TOKEN_EXPIRED,
            // The token may be as good as any.
            Self::KeysMissing => Reason::KEYS_MISSING,
            _ => Reason::TOKEN,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no token, and clients without one are not taken",
            Self::Malformed => "this is not a token: it is not three parts of base64url, or its header cannot be read",
            Self::TooLong => "the token is longer than is taken",
            Self::Critical => "the header has `crit`, which is not understood",
            Self::Claims => "a claim has the wrong type, comes twice, or is out of range",
            Self::Grants => "`rooms` must be an object of at most 64 patterns, each with a list of verbs",
            Self::Subject => "`sub` must be there, with 1 to 256 bytes",
            Self::Issuer => "`iss` is not a configured issuer",
            Self::Audience => "`aud` is not the configured audience, or there is none configured and the token has one",
            Self::UnknownKey => "no key has this key id, or there are several keys and the token names none",
            Self::KeysMissing => "no key has this key id, and the keys of the issuer cannot be fetched",
            Self::Algorithm => "the algorithm is not the key's",
            Self::Signature => "the signature is wrong",
            Self::NoExpiry => "`exp` is missing",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet (`nbf`)",
        })
    }
}

impl std::error::Error for Rejected {}
