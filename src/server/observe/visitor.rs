//! Who asks on the operators' listener: for whom, which host it may name, and which web pages may.
//!
//! ```text
//! connected to      through             Host              Origin
//! this machine      nobody              this machine's    a page of this machine
//! this machine      a listed proxy      any               of the host that is asked
//! another address   whoever             any               of the host that is asked
//! ```
//!
//! `origins` in `[access]` are for the public address: they list pages of clients, and this is for operators.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;

use crate::server::access::Access;
#[cfg(feature = "console")]
use crate::server::access::Unlisted;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Visitor {
    /// Behind the listed proxies: whose wrong keys are counted.
    pub(in crate::server) from: IpAddr,
    /// Whether it has come to an address of this machine by itself.
    is_local: bool,
}

impl Visitor {
    /// Whoever asks by a connection from `peer` to `local`.
    pub(super) fn new(peer: IpAddr, local: Option<IpAddr>, headers: &HeaderMap, access: &Access) -> Self {
        // A listener for both families sees addresses of IPv4 as some of IPv6.
        let is_local = local.is_some_and(|local| local.to_canonical().is_loopback());
        let from = if access.trusts(peer) { access.client(peer, headers) } else { peer.to_canonical() };
        Self { from, is_local: is_local && !access.passes_on(peer, headers) }
    }

    /// Whether it means this server, as far as it says. A web page whose name somebody has pointed at a loopback
    /// address would say its own name, and read what only this machine's user may.
    pub(super) fn means_us(self, headers: &HeaderMap) -> bool {
        !self.is_local || headers.get_all(header::HOST).iter().all(names_this_machine)
    }

    /// Whether the page that asks may connect. Whoever sends no `Origin` is no browser.
    #[cfg(feature = "console")]
    pub(in crate::server) fn allows_origin(self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        // Two would be two opinions.
        origins.next().is_none() && Unlisted { loopback: self.is_local, same_host: !self.is_local }.allows(origin, host)
    }
}

fn names_this_machine(host: &HeaderValue) -> bool {
    let Some(authority) = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_here = |addr: IpAddr| addr.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_here)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;
    use crate::server::Server;
    use crate::server::access::AccessConfig;

    const PROXY: &str = "192.0.2.1";
    const PASSED: (&str, &str) = ("x-forwarded-for", "198.51.100.7");

    /// Who asks with these headers, by a server that lists a proxy and an origin for clients.
    fn visitor(peer: &str, local: &str, headers: &[(&'static str, &'static str)]) -> (Visitor, HeaderMap) {
        let access = AccessConfig {
            trusted_proxies: vec![PROXY.parse().unwrap()],
            origins: vec!["https://game.example".parse().unwrap()],
            ..AccessConfig::default()
        };
        let server = Server::builder().access(access).detached().unwrap().handle();
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let visitor = Visitor::new(peer.parse().unwrap(), local.parse().ok(), &headers, &server.access);
        (visitor, headers)
    }

    #[test]
    fn an_address_of_this_machine_is_asked_by_its_names() {
        let cases = [
            ("127.0.0.1", "localhost:7072", true),
            ("127.0.0.1", "[::1]:7072", true),
            ("127.0.0.1", "[::ffff:127.0.0.1]:7072", true),
            ("127.0.0.1", "evil.example:7072", false),
            ("::1", "evil.example", false),
            // As a listener on [::] sees it.
            ("::ffff:127.0.0.1", "evil.example", false),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("10.0.0.5", "ops.example", true),
            ("::ffff:10.0.0.5", "ops.example", true),
        ];
        for (local, host, expected) in cases {
            let (visitor, headers) = visitor("127.0.0.1", local, &[("host", host)]);
            assert_eq!(visitor.means_us(&headers), expected, "{host} at {local}");
        }
    }

    #[test]
    fn a_listed_proxy_names_any_host_and_its_client() {
        let asks = |peer, headers: &[(&'static str, &'static str)]| {
            let (visitor, headers) = visitor(peer, "127.0.0.1", headers);
            (visitor.means_us(&headers), visitor.from.to_string())
        };
        let host = ("host", "ops.example");
        assert_eq!(asks(PROXY, &[host, PASSED]), (true, PASSED.1.into()));
        assert_eq!(asks(PROXY, &[host, ("forwarded", "for=198.51.100.8")]), (true, "198.51.100.8".into()));
        assert_eq!(asks(PROXY, &[host]), (false, PROXY.into()), "it asks for itself");
        assert_eq!(asks("::ffff:192.0.2.1", &[host, PASSED]), (true, PASSED.1.into()));
        assert_eq!(asks("127.0.0.1", &[host, PASSED]), (false, "127.0.0.1".into()), "anybody can write that");
    }

    #[cfg(feature = "console")]
    #[test]
    fn a_page_must_be_of_the_operators_own_listener() {
        let check = |local: &str, peer: &str, headers: &[(&'static str, &'static str)], expected: bool| {
            let (visitor, headers) = visitor(peer, local, headers);
            assert_eq!(visitor.allows_origin(&headers), expected, "{headers:?} from {peer} at {local}");
        };
        let local = |origin, expected| {
            for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                check(local, "127.0.0.1", &[("host", "localhost:7072"), ("origin", origin)], expected);
            }
        };
        local("http://localhost:7072", true);
        local("http://127.0.0.1:3000", true);
        local("https://game.example", false);
        local("null", false);
        // The public address does not matter, nor what it lists.
        let here = ("host", "10.0.0.5:7072");
        check("10.0.0.5", "10.0.0.9", &[here, ("origin", "http://10.0.0.5:7072")], true);
        check("10.0.0.5", "10.0.0.9", &[here, ("origin", "http://10.0.0.6:7072")], false);
        check("10.0.0.5", "10.0.0.9", &[here, ("origin", "http://localhost:7072")], false);
        check("10.0.0.5", "10.0.0.9", &[here, ("origin", "https://game.example")], false);
        let host = ("host", "ops.example");
        check("127.0.0.1", PROXY, &[host, PASSED, ("origin", "https://ops.example")], true);
        check("127.0.0.1", PROXY, &[host, PASSED, ("origin", "https://evil.example")], false);
        check("127.0.0.1", PROXY, &[host, PASSED, ("origin", "http://localhost")], false);
        check("127.0.0.1", PROXY, &[host, PASSED], true);
        let twice = [host, PASSED, ("origin", "https://ops.example"), ("origin", "https://ops.example")];
        check("127.0.0.1", PROXY, &twice, false);
    }
}
