//! The `[[admin.keys]]` of a file: who may use the HTTP API and the operators' page.
//!
//! ```toml
//! [admin]
//! keys = [{ name = "ci", key = "...", may = ["read", "publish", "manage"], rooms = ["game/**"] }]
//! ```

use tickwire::name::Pattern;
use tickwire::server::api::{ApiKey, Scope};

use super::Config;
use super::auth::Secret;
use super::key::{Key, key};
use super::section::Section;

/// One of the keys, as it is written.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct KeyEntry {
    pub(in crate::cli) name: Option<String>,
    key: Option<Secret>,
    may: Option<Vec<Scope>>,
    rooms: Option<Vec<Pattern>>,
}

/// What a key says.
pub(in crate::cli) const API_KEY: &[Key<KeyEntry>] = &[
    key!(KeyEntry: Text "name" name, AtOnce, "What the log calls it."),
    key!(KeyEntry: Hidden "key" key, AtOnce, "What whoever has it says; at least 16 characters."),
    key!(KeyEntry: Scopes "may" may, AtOnce, "What it is for: read looks, publish sends, manage removes, closes, revokes and drains."),
    key!(KeyEntry: RoomPatterns "rooms" rooms, AtOnce, "Rooms that it is for. Nothing listed: all, and the server itself."),
];

/// Reads the keys.
pub(super) fn read(admin: &Section<'_>, config: &mut Config) {
    for section in admin.sections("keys") {
        let mut entry = KeyEntry::default();
        if !section.read(API_KEY, &[], &mut entry) {
            continue;
        }
        let said = |name: &str| section.layers.origin(&format!("{}{name}", section.path)).is_some();
        let wanted = [
            (entry.name.is_some(), "name", "a key needs a name, such as name = \"ci\""),
            (entry.key.is_some(), "key", "a key needs the key itself, such as key = \"...\""),
            (entry.may.is_some(), "may", "say what the key may: may = [\"read\", \"publish\", \"manage\"]"),
        ];
        // What was said and could not be read is a problem already.
        for (_, _, what) in wanted.iter().filter(|(is_there, name, _)| !is_there && !said(name)) {
            section.problem(what);
        }
        let unread = said("rooms") && entry.rooms.is_none();
        if unread || wanted.iter().any(|(is_there, ..)| !is_there) {
            continue;
        }
        match entry.key() {
            Ok(_) => config.api_keys.push(entry),
            Err(what) => section.problem(&what),
        }
    }
    let keys = config.api_keys();
    if let Some(twice) = keys
        .iter()
        .enumerate()
        .find_map(|(index, key)| keys.iter().take(index).any(|other| other.name() == key.name()).then(|| key.name()))
    {
        admin.problem(&format!("keys: there are two with the name {twice:?}"));
    }
    if keys.len() > ApiKey::MOST {
        admin.problem(&format!("keys: there are at most {}", ApiKey::MOST));
    }
}

impl KeyEntry {
    fn key(&self) -> Result<ApiKey, String> {
        let (name, secret) = (self.name.as_deref().unwrap_or_default(), self.key.as_ref().map_or("", |key| &key.0));
        let key =
            ApiKey::new(name, secret, self.may.as_deref().unwrap_or_default()).map_err(|what| what.to_string())?;
        match &self.rooms {
            None => Ok(key),
            Some(rooms) => key.in_rooms(rooms.clone()).map_err(|what| what.to_string()),
        }
    }
}

impl Config {
    /// The keys of operators. All could be read.
    pub(in crate::cli) fn api_keys(&self) -> Vec<ApiKey> {
        self.api_keys.iter().filter_map(|entry| entry.key().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const KEY: &str = "0123456789abcdef";

    fn keys(text: &str) -> Vec<ApiKey> {
        parse("x.toml", text).unwrap().api_keys()
    }

    #[test]
    fn keys_are_read() {
        let text = format!(
            "[admin]\nkeys = [{{ name = 'ci', key = '{KEY}', may = ['publish'] }},\n\
             {{ name = 'ops', key = '{KEY}x', may = ['read', 'manage'], rooms = ['game/**'] }}]"
        );
        let [ci, ops] = keys(&text).try_into().unwrap();
        assert_eq!((ci.name(), ci.has(Scope::Publish), ci.has(Scope::Read)), ("ci", true, false));
        assert_eq!((ops.name(), ops.has(Scope::Manage), ops.is_limited()), ("ops", true, true));
        assert!(!ci.is_limited() && keys("[admin]").is_empty());
        let tables = format!("[[admin.keys]]\nname = 'ci'\nkey = '{KEY}'\nmay = ['read']");
        assert_eq!(keys(&tables).len(), 1);
        let config = parse("x.toml", &text).unwrap();
        assert!(!format!("{config:?}").contains(KEY), "keys are not shown");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_shown() {
        let one = |rest: &str| format!("[admin]\nkeys = [{{ {rest} }}]");
        let twice =
            format!("name = 'ci', key = '{KEY}', may = ['read'] }}, {{ name = 'ci', key = '{KEY}y', may = ['read']");
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
            (format!("name = 'ci', key = '{KEY}', may = ['read'], romes = ['a']"), "did you mean `rooms`?"),
            (twice, "two with the name"),
        ] {
            let error = parse("x.toml", &one(&rest)).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains(KEY), "{error}");
        }
        let error = parse("x.toml", "[admin]\nkeys = 'x'").unwrap_err().to_string();
        assert!(error.contains("keys: this must be a list of tables"), "{error}");
    }
}
