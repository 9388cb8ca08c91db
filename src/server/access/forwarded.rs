//! Who is behind an HTTP proxy: `Forwarded` (RFC 7239) and `X-Forwarded-For`, read from the right.
//!
//! ```text
//! X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.0.0.2
//!                  └ anybody     └ the client  └ a listed proxy: go on to the left
//!                    wrote this
//! ```
//!
//! Each proxy appends whom it saw. So the rightmost address that is no listed proxy is the last one that
//! somebody we trust has seen, and everything left of it may be invented.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap};

use super::Network;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Whether a request says for whom it is passed on.
pub(super) fn is_said(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR)
}

/// The client of a request that `peer`, a listed proxy, has passed on. It is the proxy itself where the
/// headers name nobody, or name somebody in words that are no address.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let standard = headers.get_all(FORWARDED).iter().rev().map(|line| line.to_str().unwrap_or_default());
    let standard = standard.flat_map(elements_from_the_right).map(node_of_element);
    let usual = headers.get_all(X_FORWARDED_FOR).iter().rev().map(|line| line.to_str().unwrap_or_default());
    let usual = usual.flat_map(|line| line.rsplit(',')).map(|word| read_node(word.trim()));
    let client = match (headers.contains_key(FORWARDED), headers.contains_key(X_FORWARDED_FOR)) {
        (true, false) => last_seen(peer, standard, trusted),
        (false, _) => last_seen(peer, usual, trusted),
        (true, true) => {
            // A proxy writes one of them, and may pass the other on as a client has invented it. Only where
            // they say the same it does not matter which.
            let (standard, usual) = (last_seen(peer, standard, trusted), last_seen(peer, usual, trusted));
            if standard.to_canonical() == usual.to_canonical() { standard } else { peer }
        }
    };
    client.to_canonical()
}

/// The last of these nodes, from the right, that somebody we trust has seen.
fn last_seen(peer: IpAddr, nodes: impl Iterator<Item = Option<IpAddr>>, trusted: &[Network]) -> IpAddr {
    let mut last = peer;
    for node in nodes {
        // Who cannot be read was seen by the proxy before: that is as far as we know the way.
        let Some(node) = node else { break };
        last = node;
        if !trusted.iter().any(|network| network.contains(node)) {
            break;
        }
    }
    last
}

/// The elements of a line, the last one first. A comma in quotes does not part them.
fn elements_from_the_right(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.rsplit(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

/// The address in `for=` of an element.
fn node_of_element(element: &str) -> Option<IpAddr> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    let plain = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    read_node(plain)
}

/// An address, with a port or without, an IPv6 one in brackets or without.
fn read_node(node: &str) -> Option<IpAddr> {
    let bracketed = || node.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || node.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    node.parse().ok().or_else(bracketed).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: &str) {
        let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|network| network.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let found = client("10.0.0.1".parse().unwrap(), &map, &trusted);
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{headers:?}");
    }

    #[test]
    fn the_rightmost_address_that_is_no_listed_proxy_is_the_client() {
        const XFF: &str = X_FORWARDED_FOR;
        check(&[], "10.0.0.1");
        check(&[(XFF, "192.0.2.1")], "192.0.2.1");
        check(&[(XFF, "192.0.2.1:1234")], "192.0.2.1");
        check(&[(XFF, "127.0.0.1, 192.0.2.1, 10.9.9.9,10.0.0.7")], "192.0.2.1");
        check(&[(XFF, "127.0.0.1"), (XFF, "192.0.2.1, 10.0.0.7")], "192.0.2.1");
        check(&[(XFF, "192.0.2.1"), (XFF, "10.0.0.7")], "192.0.2.1");
        // All are proxies: the first of them is where it began.
        check(&[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3");
        check(&[(XFF, "2001:db8::7")], "2001:db8::7");
        check(&[(XFF, "[2001:db8::7]:443")], "2001:db8::7");
        check(&[(XFF, "::ffff:192.0.2.1")], "192.0.2.1");
        check(&[(XFF, "192.0.2.1, 2001:db8:ffff::2")], "192.0.2.1");
        // What cannot be read ends the way at the proxy that saw it.
        check(&[(XFF, "192.0.2.1, unknown, 10.0.0.2")], "10.0.0.2");
        check(&[(XFF, "192.0.2.1, ")], "10.0.0.1");
        check(&[(XFF, "localhost")], "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_and_two_that_differ_name_nobody() {
        check(&[("forwarded", "for=192.0.2.1")], "192.0.2.1");
        // A client may write the one that its proxy does not.
        check(&[("forwarded", "for=127.0.0.1"), ("x-forwarded-for", "192.0.2.1")], "10.0.0.1");
        check(&[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "203.0.113.1, 192.0.2.1")], "192.0.2.1");
        check(&[("forwarded", "for=203.0.113.1, For=192.0.2.1;proto=https, by=x;for=10.0.0.2")], "192.0.2.1");
        check(&[("forwarded", "for=\"[2001:db8::7]:4711\"")], "2001:db8::7");
        check(&[("forwarded", "for=\"192.0.2.1:80\";host=\"a,b\"")], "192.0.2.1");
        check(&[("forwarded", "for=192.0.2.1"), ("forwarded", "for=10.0.0.2")], "192.0.2.1");
        check(&[("forwarded", "for=192.0.2.1, for=unknown")], "10.0.0.1");
        check(&[("forwarded", "for=192.0.2.1, for=_hidden, for=10.0.0.9")], "10.0.0.9");
        check(&[("forwarded", "proto=https")], "10.0.0.1");
    }
}
