//! The `[admin]` and `[log]` of a file: where operators look, and what is told of who leaves.

use std::net::SocketAddr;

use tickwire::server::Server;

use super::section::{Section, Value};
use super::{ServeArguments, read_address};

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// Outside: whether the file says anything; inside: where, or nowhere.
    admin: Option<Option<SocketAddr>>,
    access: u64,
}

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

impl Read {
    pub(super) fn new(root: &Section<'_>) -> Result<Self, String> {
        let mut read = Self::default();
        if let Some(section) = root.section("admin")? {
            section.check_keys(&["listen", "keys"])?;
            read.admin = section.get("listen", read_listen)?;
        }
        if let Some(section) = root.section("log")? {
            section.check_keys(&["access"])?;
            read.access = section.get("access", Value::size)?.unwrap_or_default() as u64;
        }
        Ok(read)
    }

    /// The arguments over the file over the defaults.
    pub(super) fn under(self, arguments: &ServeArguments) -> Observe {
        let said = match arguments.admin {
            _ if arguments.no_admin => Some(None),
            Some(addr) => Some(Some(addr)),
            None => self.admin,
        };
        let default = SocketAddr::from(([127, 0, 0, 1], Server::ADMIN_PORT));
        Observe { admin: said.unwrap_or(Some(default)), admin_is_default: said.is_none(), access: self.access }
    }
}

fn read_listen(value: Value<'_>) -> Result<Option<SocketAddr>, String> {
    match value.bool() {
        Ok(false) => Ok(None),
        Ok(true) => Err("write an address, such as \"127.0.0.1:7072\", or false".into()),
        Err(_) => read_address(value).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn observe(text: &str, arguments: &ServeArguments) -> Observe {
        parse("x.toml", text).unwrap().observe.under(arguments)
    }

    #[test]
    fn an_address_is_asked_for_or_a_default() {
        let port = |observe: Observe| (observe.admin.map(|addr| addr.port()), observe.admin_is_default);
        let nothing = ServeArguments::default();
        assert_eq!(port(observe("", &nothing)), (Some(7072), true));
        assert_eq!(port(observe("[admin]\nlisten = '127.0.0.1:9000'", &nothing)), (Some(9000), false));
        assert_eq!(port(observe("[admin]\nlisten = false", &nothing)), (None, false));
        let flag =
            ServeArguments { admin: Some(SocketAddr::from(([127, 0, 0, 1], 9001))), ..ServeArguments::default() };
        assert_eq!(port(observe("[admin]\nlisten = '127.0.0.1:9000'", &flag)), (Some(9001), false));
        let none = ServeArguments { no_admin: true, ..ServeArguments::default() };
        assert_eq!(port(observe("[admin]\nlisten = '127.0.0.1:9000'", &none)), (None, false));
    }

    #[test]
    fn ends_are_told_one_in_so_many_or_none() {
        let access = |text: &str| observe(text, &ServeArguments::default()).access;
        assert_eq!((access(""), access("[log]\naccess = 100"), access("[log]\naccess = 0")), (0, 100, 0));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("[admin]\nlisten = true", "x.toml:2: listen: write an address"),
            ("[admin]\nlisten = 'x'", "x.toml:2: listen: write an IP address and a port"),
            ("[admin]\nlsten = 'x'", "unknown key `lsten` in [admin]; did you mean `listen`?"),
            ("[log]\nacess = 1", "unknown key `acess` in [log]; did you mean `access`?"),
            ("[log]\naccess = -1", "must not be negative"),
        ] {
            let error = parse("x.toml", text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
