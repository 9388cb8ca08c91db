//! The `keys` of `[admin]`: who may use the HTTP API.
//!
//! ```toml
//! [admin]
//! keys = [{ name = "ci", key = "…", may = ["read", "publish", "manage"], rooms = ["game/**"] }]
//! ```

use tickwire::name::Pattern;
use tickwire::server::api::{ApiKey, Scope};

use super::section::{Section, Value};

/// The keys of a file. They are shown, and compared, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(pub(crate) Vec<ApiKey>);

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(ApiKey::name).eq(other.0.iter().map(ApiKey::name))
    }
}

impl Eq for Keys {}

/// Reads the keys of `[admin]`.
pub(super) fn read(root: &Section<'_>) -> Result<Keys, String> {
    let Some(admin) = root.section("admin")? else { return Ok(Keys::default()) };
    admin.sections("keys")?.iter().map(read_key).collect::<Result<_, _>>().map(Keys)
}

fn read_key(section: &Section<'_>) -> Result<ApiKey, String> {
    section.check_keys(&["name", "key", "may", "rooms"])?;
    let text = |key, missing| {
        let value = section.get(key, |value| value.text().map(str::to_owned))?;
        value.ok_or_else(|| section.error(missing))
    };
    let name = text("name", "a key needs a name, such as name = \"ci\"")?;
    let secret = text("key", "a key needs the key itself, such as key = \"...\"")?;
    let scopes = section.get("may", read_scopes)?;
    let scopes =
        scopes.ok_or_else(|| section.error("say what the key may: may = [\"read\", \"publish\", \"manage\"]"))?;
    let key = ApiKey::new(&name, &secret, &scopes).map_err(|what| section.error(&what.to_string()))?;
    match section.get("rooms", read_rooms)? {
        None => Ok(key),
        Some(rooms) => key.in_rooms(rooms).map_err(|what| section.error(&what.to_string())),
    }
}

fn read_scopes(value: Value<'_>) -> Result<Vec<Scope>, String> {
    let scopes = value.texts()?.into_iter().map(Scope::named).collect::<Option<_>>();
    scopes.ok_or_else(|| "write some of \"read\", \"publish\" and \"manage\"".into())
}

fn read_rooms(value: Value<'_>) -> Result<Vec<Pattern>, String> {
    let patterns = value.texts()?.into_iter().map(Pattern::new).collect::<Option<_>>();
    patterns.ok_or_else(|| "write patterns of room names, such as \"game/**\"".into())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const KEY: &str = "0123456789abcdef";

    fn keys(text: &str) -> Result<Vec<ApiKey>, String> {
        parse("x.toml", text).map(|file| file.api_keys.0)
    }

    #[test]
    fn keys_are_read() {
        let text = format!(
            "[admin]\nkeys = [{{ name = 'ci', key = '{KEY}', may = ['publish'] }},\n\
             {{ name = 'ops', key = '{KEY}x', may = ['read', 'manage'], rooms = ['game/**'] }}]"
        );
        let [ci, ops] = keys(&text).unwrap().try_into().unwrap();
        assert_eq!((ci.name(), ci.has(Scope::Publish), ci.has(Scope::Read)), ("ci", true, false));
        assert_eq!((ops.name(), ops.has(Scope::Manage), ops.is_limited()), ("ops", true, true));
        assert!(!ci.is_limited() && keys("[admin]").unwrap().is_empty());
        let tables = format!("[[admin.keys]]\nname = 'ci'\nkey = '{KEY}'\nmay = ['read']");
        assert_eq!(keys(&tables).unwrap().len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_shown() {
        let with = |rest: &str| format!("[admin]\nkeys = [{{ {rest} }}]");
        for (rest, expected) in [
            (format!("key = '{KEY}', may = ['read']"), "x.toml:2: a key needs a name"),
            ("name = 'ci', may = ['read']".into(), "x.toml:2: a key needs the key itself"),
            (format!("name = 'ci', key = '{KEY}'"), "x.toml:2: say what the key may"),
            (format!("name = 'ci', key = '{KEY}', may = []"), "a key may something"),
            (format!("name = 'ci', key = '{KEY}', may = ['write']"), "write some of \"read\""),
            ("name = 'ci', key = 'short', may = ['read']".into(), "at least 16 characters"),
            (format!("name = 'c i', key = '{KEY}', may = ['read']"), "a key's name is"),
            (format!("name = 'ci', key = '{KEY}', may = ['read'], rooms = ['a b']"), "patterns of room names"),
            (format!("name = 'ci', key = '{KEY}', may = ['read'], rooms = []"), "1 to 64 patterns"),
            (format!("name = 'ci', key = '{KEY}', room = ['a']"), "did you mean `rooms`?"),
        ] {
            let error = keys(&with(&rest)).unwrap_err();
            assert!(error.contains(expected) && !error.contains(KEY), "{error}");
        }
        assert!(keys("[admin]\nkeys = 'x'").unwrap_err().contains("keys: this must be tables"));
    }
}
