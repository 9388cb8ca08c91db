//! What differs between two configurations, for an operator who has changed a file.
//!
//! ```text
//! before, after ──> limits.max_rooms: 128 -> 256 (for new connections)
//! ```

use std::collections::BTreeMap;
use std::fmt;

use super::Config;
use super::key::Takes;
use super::show::{Entry, Secrets};

/// A value that is another, is new, or is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Change {
    /// `limits.max_rooms`, `class "game/*": tick`.
    pub(in crate::cli) label: String,
    before: Option<String>,
    after: Option<String>,
    pub(in crate::cli) takes: Takes,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.label)?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before == after => f.write_str("changed")?,
            (Some(before), Some(after)) => write!(f, "{before} -> {after}")?,
            (None, Some(after)) => write!(f, "new, {after}")?,
            (before, None) => write!(f, "gone, was {}", before.as_deref().unwrap_or("nothing"))?,
        }
        write!(f, " ({})", self.takes.words())
    }
}

/// What changes from one to the other. Secrets are not shown.
pub(in crate::cli) fn changes(before: &Config, after: &Config) -> Vec<Change> {
    let (old, new) = (before.entries(), after.entries());
    let by_label = |entries: &[Entry]| -> BTreeMap<String, Entry> {
        entries.iter().map(|entry| (entry.label.clone(), entry.clone())).collect()
    };
    let (old_by, new_by) = (by_label(&old), by_label(&new));
    let shown = |entry: &Entry| entry.shown(Secrets::Hidden);
    let mut changes = Vec::new();
    for entry in &new {
        let was = old_by.get(&entry.label);
        if was.is_none_or(|was| was.value != entry.value) {
            let (label, after) = (entry.label.clone(), Some(shown(entry)));
            changes.push(Change { label, before: was.map(shown), after, takes: entry.takes });
        }
    }
    for entry in old.iter().filter(|entry| !new_by.contains_key(&entry.label)) {
        let (label, before) = (entry.label.clone(), Some(shown(entry)));
        changes.push(Change { label, before, after: None, takes: entry.takes });
    }
    let order = |config: &Config| config.classes.iter().map(|(pattern, _)| pattern.clone()).collect::<Vec<_>>();
    let (was, is) = (order(before), order(after));
    if was != is && was.len() == is.len() && was.iter().all(|pattern| is.contains(pattern)) {
        let shown = |order: &[tickwire::name::Pattern]| {
            Some(order.iter().map(tickwire::name::Pattern::as_str).collect::<Vec<_>>().join(" "))
        };
        let (before, after) = (shown(&was), shown(&is));
        changes.push(Change { label: "class: the order".into(), before, after, takes: Takes::NewRooms });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn check(before: &str, after: &str, expected: &[&str]) {
        let (before, after) = (parse("x.toml", before).unwrap(), parse("x.toml", after).unwrap());
        let shown: Vec<String> = changes(&before, &after).iter().map(Change::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_changes_is_told_key_by_key() {
        check("", "", &[]);
        check("listen = '127.0.0.1:7070'", "", &[]);
        check(
            "[limits]\nmax_rooms = 7\nmax_frame = '17KiB'\n[[class]]\npattern = 'a'\ntick = '1s'",
            "listen = false\n[[class]]\npattern = 'a'\n[[class]]\npattern = 'b'",
            &[
                "listen: \"127.0.0.1:7070\" -> false (at the next start)",
                "limits.max_frame: \"17KiB\" -> \"16KiB\" (at the next start)",
                "limits.max_rooms: 7 -> 128 (for new connections)",
                "class \"a\": tick: \"1s\" -> \"50ms\" (for new rooms)",
                "class \"b\": pattern: new, \"b\" (for new rooms)",
                "class \"b\": tick: new, \"50ms\" (for new rooms)",
                "class \"b\": presence: new, \"full\" (for new rooms)",
                "class \"b\": linger: new, \"1m\" (for new rooms)",
                "class \"b\": urgent: new, true (for new rooms)",
                "class \"b\": slow: new, \"skip\" (for new rooms)",
                "class \"b\": compress: new, true (for new rooms)",
                "class \"b\": history_batches: new, 1024 (for new rooms)",
                "class \"b\": history_bytes: new, \"256KiB\" (for new rooms)",
                "class \"b\": history_age: new, \"1m\" (for new rooms)",
            ],
        );
        let two = |first, second| format!("[[class]]\npattern = '{first}'\n[[class]]\npattern = '{second}'");
        check(&two("a", "b"), &two("b", "a"), &["class: the order: a b -> b a (for new rooms)"]);
    }

    #[test]
    fn secrets_are_not_told() {
        let with = |letter: &str| {
            let secret = letter.repeat(32);
            format!("[[auth.issuer]]\nkey = [{{ algorithm = 'HS256', secret = '{secret}' }}]")
        };
        let told = "auth.issuer 1, key 1: secret: changed (for tokens that come from then on)";
        check(&with("a"), &with("b"), &[told]);
    }
}
