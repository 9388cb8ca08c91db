//! JSON Web Tokens: who a client is, and what it may do (PROTOCOL 15.1).
//!
//! ```text
//! token ──> header, claims ──iss──> issuer ──kid──> key ──signature──> claims in order? ──> identity
//!                                      └─unknown kid──> keys fetched anew, once a minute ──^
//!                                                          └─cannot be fetched──> later
//! ```
//!
//! Which algorithm a key has is decided by whoever configured it, never by a token. Nothing is read
//! from a network or a disk because of what a token says, but the key set of its issuer, from where the
//! operator said, and that at most once a minute.

mod algorithm;
mod claims;
mod fetch;
mod key;
mod key_set;
mod rejected;
#[cfg(feature = "tls")]
mod roots;
mod source;
mod verifier;

pub use self::algorithm::Algorithm;
pub use self::claims::Claims;
pub use self::key::{BadKey, Key, SigningKey};
pub use self::key_set::KeySet;
pub use self::rejected::Rejected;
pub use self::source::{BadSource, Source};
pub use self::verifier::{BadIssuer, Inspected, Issuer, Verifier, inspect};

#[cfg(test)]
mod tests;
