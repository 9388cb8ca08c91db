//! The `[access]` of a file: who may connect, and who is believed to speak for others.
//!
//! ```toml
//! [access]
//! origins = ["https://game.example.org", "https://*.example.org"]
//! trusted_proxies = ["10.0.0.0/8"]
//! proxy_protocol = true         # listed proxies begin so on the port of HTTP
//! proxy_protocol_tcp = true     # and so on that of TCP
//! exempt = ["127.0.0.0/8", "10.1.0.7"]
//! ```

use std::fmt::Display;
use std::str::FromStr;

use tickwire::server::access::AccessConfig;

use super::section::{Section, Value};

/// What the section says, over the defaults.
pub(super) fn read(section: &Section<'_>) -> Result<AccessConfig, String> {
    section.check_keys(&["origins", "trusted_proxies", "proxy_protocol", "proxy_protocol_tcp", "exempt"])?;
    let mut access = AccessConfig::default();
    set(section.get("origins", read_list)?, &mut access.origins);
    set(section.get("trusted_proxies", read_list)?, &mut access.trusted_proxies);
    set(section.get("exempt", read_list)?, &mut access.exempt);
    set(section.get("proxy_protocol", Value::bool)?, &mut access.proxy_protocol.websocket);
    set(section.get("proxy_protocol_tcp", Value::bool)?, &mut access.proxy_protocol.tcp);
    access.check().map_err(|what| section.error(what))?;
    Ok(access)
}

fn set<T>(value: Option<T>, place: &mut T) {
    if let Some(value) = value {
        *place = value;
    }
}

fn read_list<T: FromStr<Err: Display>>(value: Value<'_>) -> Result<Vec<T>, String> {
    let texts = value.texts()?;
    let read = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
    texts.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn a_file_says_who_may_connect() {
        let text = "
            [access]
            origins = ['https://example.org', '*']
            trusted_proxies = ['10.0.0.0/8', '::1']
            proxy_protocol = true
            exempt = []
        ";
        let access = parse("x.toml", text).unwrap().access;
        assert_eq!((access.origins.len(), access.trusted_proxies.len(), access.exempt.len()), (2, 2, 0));
        assert!(access.proxy_protocol.websocket && !access.proxy_protocol.tcp);
        assert_eq!(parse("x.toml", "[access]\n").unwrap().access, Default::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, expected: &str| {
            let error = parse("x.toml", text).unwrap_err();
            assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        };
        check("[access]\norigin = '*'", "x.toml:2: unknown key `origin` in [access]; did you mean `origins`?");
        check("[access]\norigins = '*'", "x.toml:2: origins: write a list of strings");
        check("[access]\norigins = ['*', 7]", "write a list of strings");
        check("[access]\norigins = ['example.org']", "\"example.org\": an origin is \"https://example.org\"");
        check("[access]\ntrusted_proxies = ['10.1.0.0/8']", "\"10.1.0.0/8\": a network is an address");
        check("[access]\nproxy_protocol = 1", "write true or false");
        check("\n[access]\nproxy_protocol_tcp = true", "x.toml:2: proxy_protocol needs trusted_proxies");
    }
}
