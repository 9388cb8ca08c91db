//! The token of a WebSocket request (PROTOCOL 4.2).
//!
//! ```text
//! Authorization: Bearer <token>
//! Sec-WebSocket-Protocol: tickwire.v1, tickwire.token.<token>
//! GET /ws?token=<token>                                        where that is wanted
//! ```

use bytes::Bytes;
use hyper::Uri;
use hyper::header::{self, HeaderMap};
use percent_encoding::percent_decode_str;

/// What stands before a token among the subprotocols.
const SUBPROTOCOL_TOKEN: &str = "tickwire.token.";

/// The first token that the request brings. The query is looked at only where `query` says so.
pub(super) fn find(headers: &HeaderMap, uri: &Uri, query: bool) -> Option<Bytes> {
    bearer(headers).or_else(|| subprotocol(headers)).or_else(|| query.then(|| in_query(uri.query()?)).flatten())
}

/// The token of an `Authorization` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Bytes> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Bytes::copy_from_slice(token.trim().as_bytes()))
}

fn subprotocol(headers: &HeaderMap) -> Option<Bytes> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut items = values.flat_map(|value| value.split(','));
    let token = items.find_map(|item| item.trim().strip_prefix(SUBPROTOCOL_TOKEN))?;
    Some(Bytes::copy_from_slice(token.as_bytes()))
}

fn in_query(query: &str) -> Option<Bytes> {
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    Some(percent_decode_str(token).collect::<Vec<u8>>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)], uri: &'static str, query: bool, expected: Option<&'static str>) {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        let found = find(&headers.collect(), &Uri::from_static(uri), query);
        assert_eq!(found, expected.map(Bytes::from), "{uri}");
    }

    #[test]
    fn a_token_is_found_where_it_may_be() {
        let (bearer, other) = (("authorization", "bEarer a.b.c"), ("authorization", "Basic YTpi"));
        let protocol = ("sec-websocket-protocol", "tickwire.v1, tickwire.token.d.e.f");
        check(&[bearer, protocol], "/ws?token=g.h.i", true, Some("a.b.c"));
        check(&[other, protocol], "/ws?token=g.h.i", true, Some("d.e.f"));
        check(&[other], "/ws?x=1&token=g.h%2Ei&token=x", true, Some("g.h.i"));
        check(&[other], "/ws?token=g.h.i", false, None);
        check(&[("sec-websocket-protocol", "tickwire.v1")], "/ws/token=x", true, None);
        check(&[("authorization", "Bearer ")], "/ws", true, Some(""));
    }
}
