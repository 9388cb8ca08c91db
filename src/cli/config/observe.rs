//! What an operator wants to see of a server: where metrics are, and what is told of who leaves.

use std::net::SocketAddr;

use super::Config;
use super::layers::Origin;

/// What an operator wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observe {
    /// Where metrics are served.
    pub(crate) admin: Option<SocketAddr>,
    /// Nobody asked for that address: without it the server starts too.
    pub(crate) admin_is_default: bool,
    /// One of so many connection ends is told.
    pub(crate) access: u64,
}

impl Config {
    /// What to observe.
    pub(in crate::cli) fn observe(&self) -> Observe {
        let admin_is_default = self.origin("admin.listen") == &Origin::Default;
        Observe { admin: self.admin, admin_is_default, access: self.access_log as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn an_address_is_asked_for_or_a_default() {
        let check = |text: &str, expected: (Option<u16>, bool)| {
            let observe = parse("x.toml", text).unwrap().observe();
            assert_eq!((observe.admin.map(|addr| addr.port()), observe.admin_is_default), expected, "{text}");
        };
        check("", (Some(7072), true));
        check("[admin]\nlisten = '127.0.0.1:9000'", (Some(9000), false));
        check("[admin]\nlisten = '127.0.0.1:7072'", (Some(7072), false));
        check("[admin]\nlisten = false", (None, false));
    }
}
