//! Bytes that nobody else may see.

use std::fmt;

use bytes::Bytes;

/// A token: who has it may act for its owner. It is never shown by `Debug` (PROTOCOL 15).
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Bytes);

impl Token {
    /// Takes the bytes. A server takes 4000 of them by default (PROTOCOL 13).
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", Token::new(&b"secret"[..])), "Token(6 bytes)");
    }
}
