//! Which web pages may connect: a browser says in `Origin` whose page asks, and nobody else has to.
//!
//! ```text
//! no Origin ───────────────────────────────> not a browser: passes
//! Origin ──> listed? ───────────────────yes─> passes
//!            no list: the same host,
//!            and on loopback loopback's ─yes─> passes
//!                                       └no─> 403
//! ```
//!
//! Browsers let any page open a WebSocket to any server, with the visitor's cookies and from inside the
//! visitor's network. Nothing but this check stops that.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Pages of one origin, or of all subdomains of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Every page, those without an origin of their own included.
    Any,
    /// Pages without an origin of their own: `null`, which files and sandboxed frames say.
    Null,
    /// `https://example.org`, `http://localhost:3000`: scheme, host and port.
    Exact(Box<str>),
    /// `https://*.example.org`: names of any depth below this one, and not itself.
    Below {
        /// With `://`.
        scheme: Box<str>,
        /// `.example.org`, the port included where it is not the scheme's.
        suffix: Box<str>,
    },
}

/// A text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnOrigin;

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin is \"https://example.org\", \"https://*.example.org\", \"http://localhost:3000\", \"null\" or \"*\"")
    }
}

impl std::error::Error for NotAnOrigin {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Null => f.write_str("null"),
            Self::Exact(exact) => f.write_str(exact),
            Self::Below { scheme, suffix } => write!(f, "{scheme}*{suffix}"),
        }
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = parts(&text).ok_or(NotAnOrigin)?;
        match authority.strip_prefix("*.") {
            None if is_authority(authority) => Ok(Self::Exact(usual(scheme, authority).into())),
            // A star for a whole top level would be a mistake.
            Some(name) if is_authority(name) && host(name).contains('.') && !name.starts_with('[') => {
                let (scheme, suffix) = (format!("{scheme}://"), format!(".{}", without_usual_port(scheme, name)));
                Ok(Self::Below { scheme: scheme.into(), suffix: suffix.into() })
            }
            _ => Err(NotAnOrigin),
        }
    }
}

impl Origin {
    /// Whether a page of this origin is meant. `origin` is as a browser says it.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == "null",
            Self::Exact(exact) => read(origin).is_some_and(|origin| origin == **exact),
            Self::Below { scheme, suffix } => read(origin).is_some_and(|origin| {
                let below = origin.strip_prefix(&**scheme).and_then(|name| name.strip_suffix(&**suffix));
                below.is_some_and(|below| !below.is_empty())
            }),
        }
    }
}

/// What is allowed where no origin is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Unlisted {
    /// Pages of this machine, whatever their port: where the server listens on loopback, and whoever
    /// develops a page serves that from another port.
    pub(in crate::server) loopback: bool,
    /// Pages of the host that the request names. Not on loopback: there a stranger's page can name any
    /// host whose address it has made ours (DNS rebinding), unless a listed proxy has passed it on.
    pub(in crate::server) same_host: bool,
}

impl Unlisted {
    pub(in crate::server) fn allows(self, origin: &str, host_header: &str) -> bool {
        let Some(origin) = read(origin) else { return false };
        let Some((scheme, authority)) = parts(&origin) else { return false };
        if self.loopback && is_loopback(host(authority)) {
            return true;
        }
        let asked = host_header.to_ascii_lowercase();
        self.same_host && is_authority(&asked) && authority == without_usual_port(scheme, &asked)
    }
}

/// An origin as it is compared: in small letters, without a port that its scheme implies. `None` where it
/// is none.
fn read(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = parts(&origin)?;
    is_authority(authority).then(|| usual(scheme, authority))
}

fn parts(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    let scheme_is_plain = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    scheme_is_plain.then_some((scheme, authority))
}

/// A host, and maybe a port: nothing of a user, a path or a space.
pub(in crate::server) fn is_authority(authority: &str) -> bool {
    let name = host(authority);
    let Some(behind) = authority.get(name.len()..) else { return false };
    let port_is_number = match behind.strip_prefix(':') {
        Some(port) => port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()),
        None => behind.is_empty(),
    };
    let host_is_plain = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
    };
    port_is_number && host_is_plain && authority.len() <= 255
}

/// The host of an authority, an IPv6 address with its brackets.
fn host(authority: &str) -> &str {
    let end = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => Some(bracket + 1),
        _ => authority.find(':'),
    };
    end.and_then(|end| authority.get(..end)).unwrap_or(authority)
}

fn usual(scheme: &str, authority: &str) -> String {
    format!("{scheme}://{}", without_usual_port(scheme, authority))
}

fn without_usual_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => return authority,
    };
    let name = host(authority);
    if authority.get(name.len()..) == Some(port) { name } else { authority }
}

fn is_loopback(host: &str) -> bool {
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost"
        || host.ends_with(".localhost")
        || plain.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_origin_is_compared_as_browsers_write_it() {
        let cases = [
            ("https://example.org", "https://example.org", true),
            ("https://Example.org:443", "https://example.org", true),
            ("https://example.org", "HTTPS://EXAMPLE.ORG", true),
            ("https://example.org", "http://example.org", false),
            ("https://example.org", "https://example.org:444", false),
            ("https://example.org", "https://example.org.evil.com", false),
            ("https://example.org", "https://evil.com/https://example.org", false),
            ("https://example.org", "https://user@example.org", false),
            ("https://example.org", "https://example.org/", false),
            ("https://example.org", "null", false),
            ("https://example.org", "", false),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("https://*.example.org", "https://a.example.org", true),
            ("https://*.example.org", "https://a.b.example.org", true),
            ("https://*.example.org", "https://example.org", false),
            ("https://*.example.org", "https://.example.org", false),
            ("https://*.example.org", "https://evilexample.org", false),
            ("https://*.example.org", "https://a.example.org.evil.com", false),
            ("https://*.example.org", "https://a.example.org:8443", false),
            ("https://*.example.org", "http://a.example.org", false),
            ("https://*.example.org", "https://evil.com#.example.org", false),
            ("https://*.example.org:8443", "https://a.example.org:8443", true),
            ("null", "null", true),
            ("null", "https://example.org", false),
            ("*", "https://evil.com", true),
            ("*", "null", true),
        ];
        for (listed, origin, expected) in cases {
            let listed: Origin = listed.parse().unwrap();
            assert_eq!(listed.allows(origin), expected, "{listed:?} and {origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        let wrong = [
            "",
            "example.org",
            "https://",
            "https://example.org/",
            "https://a b",
            "https://*",
            "https://*.org",
            "https://a.*.org",
            "https://*.",
            "https://u@example.org",
            "://example.org",
            "https://[::1",
            "https://a:b",
            "https://example.org:123456",
            "1s://example.org",
            "https://*.[::1]",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin), "{text}");
        }
    }

    #[test]
    fn without_a_list_the_page_must_be_ours() {
        let public = Unlisted { loopback: false, same_host: true };
        let local = Unlisted { loopback: true, same_host: false };
        let cases = [
            (public, "https://example.org", "example.org", true),
            (public, "https://example.org", "Example.org:443", true),
            (public, "http://example.org:7070", "example.org:7070", true),
            (public, "https://example.org", "example.org:7070", false),
            (public, "https://example.org", "www.example.org", false),
            (public, "http://localhost:3000", "example.org", false),
            (public, "http://localhost:7070", "localhost:7070", true),
            (public, "null", "null", false),
            (public, "https://example.org", "", false),
            (public, "https://evil.com", "example.org", false),
            (local, "http://localhost:5173", "127.0.0.1:7070", true),
            (local, "http://127.0.0.1:7070", "127.0.0.1:7070", true),
            (local, "http://127.8.0.1", "x", true),
            (local, "http://[::1]:1", "x", true),
            (local, "http://[::ffff:127.0.0.1]:1", "x", true),
            (local, "http://app.localhost", "x", true),
            (local, "http://notlocalhost", "x", false),
            (local, "http://localhost.evil.com", "x", false),
            (local, "http://127.0.0.1.evil.com", "x", false),
            // A page that has made its own name an address of this machine.
            (local, "http://evil.com:7070", "evil.com:7070", false),
            (local, "null", "localhost", false),
        ];
        for (rule, origin, host, expected) in cases {
            assert_eq!(rule.allows(origin, host), expected, "{origin} at {host} by {rule:?}");
        }
    }
}
