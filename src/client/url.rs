//! Addresses of servers: `ws://host:port/path` and `tcp://host:port`, with TLS `wss://` and `tls://` (PROTOCOL 4).

use std::fmt;
use std::str::FromStr;

use crate::name::RoomName;

/// Where a server is, and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    secure: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// With its leading slash and its query; empty for TCP.
    path: String,
}

/// The transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// WebSocket.
    WebSocket,
    /// Frames on the stream itself.
    Tcp,
}

impl Url {
    /// The transport.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it is spoken under TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name or an address, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, or the default of the transport.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What to request over WebSocket, with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The room that the path names (PROTOCOL 4.2).
    pub(super) fn room(&self) -> Option<RoomName> {
        let path = self.path.split('?').next().unwrap_or_default();
        let mut encoded = path.strip_prefix("/ws/")?.bytes();
        let mut name = Vec::new();
        while let Some(byte) = encoded.next() {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            name.push(if byte == b'%' { digit(encoded.next())? * 16 + digit(encoded.next())? } else { byte });
        }
        RoomName::new(&name)
    }

    /// The same, where the path names no room.
    pub(super) fn without_room(&self) -> Self {
        let mut url = self.clone();
        if self.room().is_some() {
            let query = self.path.find('?').and_then(|at| self.path.get(at..)).unwrap_or_default();
            url.path = format!("/ws{query}");
        }
        url
    }

    /// The same on another host, with a port of its own or the same.
    pub(super) fn at(&self, authority: &str) -> Option<Self> {
        let (host, port) = split_authority(authority).ok()?;
        Some(Self { host: host.to_owned(), port: port.unwrap_or(self.port), ..self.clone() })
    }

    /// Host and port as they stand in a URL and in an HTTP request.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        // What follows becomes a line of an HTTP request: nothing in it may end that line.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let (scheme, secure) = match scheme.to_ascii_lowercase().as_str() {
            "ws" => (Scheme::WebSocket, false),
            "wss" => (Scheme::WebSocket, true),
            "tcp" => (Scheme::Tcp, false),
            "tls" => (Scheme::Tcp, true),
            _ => return Err(UrlError::UnknownScheme),
        };
        if secure && !cfg!(feature = "tls") {
            return Err(UrlError::Tls);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority)?;
        let (default_port, path) = match (scheme, path) {
            // PROTOCOL 4.2: the default port and path.
            (Scheme::WebSocket, "" | "/") => (7070, "/ws".to_owned()),
            (Scheme::WebSocket, query) if query.starts_with('?') => (7070, format!("/ws{query}")),
            (Scheme::WebSocket, path) => (7070, path.to_owned()),
            (Scheme::Tcp, "" | "/") => (7071, String::new()),
            (Scheme::Tcp, _) => return Err(UrlError::TcpPath),
        };
        Ok(Self { scheme, secure, host: host.to_owned(), port: port.unwrap_or(default_port), path })
    }
}

/// Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart.
fn split_authority(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
            if !host.contains(':') {
                return Err(UrlError::Host);
            }
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    if host.is_empty() || !host.bytes().all(valid) {
        return Err(UrlError::Host);
    }
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?)
        }
        Some(_) => return Err(UrlError::Port),
        None if port.is_empty() => None,
        None => return Err(UrlError::Host),
    };
    Ok((host, port))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.scheme, self.secure) {
            (Scheme::WebSocket, false) => "ws",
            (Scheme::WebSocket, true) => "wss",
            (Scheme::Tcp, false) => "tcp",
            (Scheme::Tcp, true) => "tls",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// Why a text is not the address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no `://`.
    NoScheme,
    /// The scheme is none of ours.
    UnknownScheme,
    /// The scheme asks for TLS, and this program was built without it.
    Tls,
    /// There is no host, or it has characters that no host has.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// TCP has no paths.
    TcpPath,
    /// There is a user name.
    UserInfo,
    /// There is a `#`.
    Fragment,
    /// There is a space, a control character, or one beyond ASCII.
    Character,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => "the address has no scheme: write ws://host:7070 or tcp://host:7071",
            Self::UnknownScheme => "the scheme is unknown: use ws:// or tcp://, with TLS wss:// or tls://",
            Self::Tls => "this program was built without TLS: use ws:// or tcp://",
            Self::Host => "the host is missing or malformed: write ws://host:7070, an IPv6 address in brackets",
            Self::Port => "the port is not a number from 1 to 65535",
            Self::TcpPath => "an address with tcp:// or tls:// has no path: rooms are joined by name",
            Self::UserInfo => "a user name in the address is not supported",
            Self::Fragment => "the address must not contain '#'",
            Self::Character => "the address has a character that must be percent-encoded",
        })
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let url: Url = text.parse().unwrap();
        assert_eq!(url.to_string(), expected);
        // What is shown reads as the same.
        assert_eq!(expected.parse::<Url>().unwrap(), url);
    }

    #[test]
    fn the_room_of_a_path_is_left_out() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Url>().unwrap().without_room().to_string(), expected);
        };
        check("ws://h:1/ws/arena", "ws://h:1/ws");
        check("ws://h:1/ws/a%2Fb?x=1", "ws://h:1/ws?x=1");
        check("ws://h:1/ws?x=1", "ws://h:1/ws?x=1");
        check("ws://h:1/other/arena", "ws://h:1/other/arena");
        check("tcp://h:1", "tcp://h:1");
    }

    #[test]
    fn defaults_are_filled_in() {
        check("ws://localhost", "ws://localhost:7070/ws");
        check("ws://localhost/", "ws://localhost:7070/ws");
        check("WS://127.0.0.1:80", "ws://127.0.0.1:80/ws");
        check("ws://h:1/ws/room?token=x", "ws://h:1/ws/room?token=x");
        check("ws://h?token=x", "ws://h:7070/ws?token=x");
        check("ws://[::1]:7/ws", "ws://[::1]:7/ws");
        check("ws://[::1]", "ws://[::1]:7070/ws");
        check("tcp://example.org", "tcp://example.org:7071");
        check("tcp://[fe80::1%25eth0]:9/", "tcp://[fe80::1%25eth0]:9");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn tls_has_the_same_defaults() {
        check("wss://localhost", "wss://localhost:7070/ws");
        check("TLS://example.org", "tls://example.org:7071");
        check("wss://h:443/ws/room", "wss://h:443/ws/room");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |text: &str, error: UrlError| assert_eq!(text.parse::<Url>(), Err(error), "{text}");
        check("localhost:7070", UrlError::NoScheme);
        check("", UrlError::NoScheme);
        check("http://localhost", UrlError::UnknownScheme);
        check("https://localhost", UrlError::UnknownScheme);
        check("tls://h/room", UrlError::TcpPath);
        check("ws://", UrlError::Host);
        check("ws:///ws", UrlError::Host);
        check("ws://:7070", UrlError::Host);
        check("ws://[::1", UrlError::Host);
        check("ws://[::1]x", UrlError::Host);
        check("ws://[localhost]:1", UrlError::Host);
        check("ws://a!b", UrlError::Host);
        check("ws://::1", UrlError::Host);
        check("ws://h:", UrlError::Port);
        check("ws://h:0", UrlError::Port);
        check("ws://h:65536", UrlError::Port);
        check("ws://h:+80", UrlError::Port);
        check("tcp://h/room", UrlError::TcpPath);
        check("ws://user@h", UrlError::UserInfo);
        check("ws://h/ws#x", UrlError::Fragment);
        check("ws://h/a b", UrlError::Character);
        check("ws://h/\r\nEvil: 1", UrlError::Character);
        check("ws://bücher", UrlError::Character);
    }
}
