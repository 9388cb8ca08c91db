//! What an application adds to the WebSocket request (PROTOCOL 4.2).
//!
//! ```text
//! GET /ws HTTP/1.1
//! host, upgrade, sec-websocket-...     the handshake's own
//! x-tenant: blue                       what stands here
//! ```

use std::fmt;

use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};

/// Headers for the WebSocket request, checked and bounded; over TCP there is no request. `Debug` shows names only: a
/// value may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// The most headers. 32: a server takes few more in all.
    pub const MAX: usize = 32;

    /// The most bytes that names and values have together. 8192: half of what servers take of a request.
    pub const MAX_BYTES: usize = 8192;

    /// Adds one; the same name may come several times.
    ///
    /// # Errors
    /// Where name or value cannot stand in a request, the handshake sets that header itself, or there are too many.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name)?;
        if OWN.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-") {
            return Err(HeaderError::Own);
        }
        let mut value = HeaderValue::from_bytes(value).map_err(|_| HeaderError::Value)?;
        let bytes: usize = self.0.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if self.0.len() >= Self::MAX || bytes + name.as_str().len() + value.len() > Self::MAX_BYTES {
            return Err(HeaderError::TooMany);
        }
        value.set_sensitive(true);
        self.0.push((name, value));
        Ok(())
    }

    /// Puts them into a request.
    pub(super) fn write(&self, request: &mut HeaderMap) {
        for (name, value) in &self.0 {
            request.append(name, value.clone());
        }
    }
}

/// What the handshake sets itself, and what would change how the request is read.
const OWN: [&str; 6] = ["host", "connection", "upgrade", "content-length", "transfer-encoding", "te"];

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name.as_str())).finish()
    }
}

/// Why a header was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is none.
    Name,
    /// The value has a character that cannot stand in a request.
    Value,
    /// The handshake sets that header itself.
    Own,
    /// There are more headers, or more bytes of them, than there may be.
    TooMany,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "this is no name of a header",
            Self::Value => "the value of a header has a character that cannot stand in a request",
            Self::Own => "the WebSocket handshake sets this header itself",
            Self::TooMany => "a request takes 32 more headers of 8192 bytes together",
        })
    }
}

impl std::error::Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked_and_bounded() {
        let mut headers = Headers::default();
        let mut check = |name: &str, value: &[u8], expected| assert_eq!(headers.add(name, value), expected, "{name}");
        check("X-Tenant", b"blue", Ok(()));
        check("cookie", "gr\u{fc}n".as_bytes(), Ok(()));
        check("", b"", Err(HeaderError::Name));
        check("a b", b"", Err(HeaderError::Name));
        check("a", b"b\r\nEvil: 1", Err(HeaderError::Value));
        check("Host", b"other", Err(HeaderError::Own));
        check("Sec-WebSocket-Protocol", b"other", Err(HeaderError::Own));
        check("a", &[b'x'; 8192], Err(HeaderError::TooMany));
        check("a", &[b'x'; 4000], Ok(()));
        check("a", &[b'x'; 4500], Err(HeaderError::TooMany));
        for _ in 3..Headers::MAX {
            headers.add("b", b"").unwrap();
        }
        assert_eq!(headers.add("b", b""), Err(HeaderError::TooMany));
        assert!(format!("{headers:?}").starts_with("[\"x-tenant\", \"cookie\", \"a\""), "no values: {headers:?}");
        let mut request = HeaderMap::new();
        headers.write(&mut request);
        assert_eq!((request.len(), request["x-tenant"].as_bytes()), (Headers::MAX, &b"blue"[..]));
    }
}
