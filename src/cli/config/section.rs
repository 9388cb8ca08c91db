//! Tables of a TOML file, read so that every error names its line, its key, and what to do.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::units;

/// A table of the file.
pub(super) struct Section<'a> {
    file: &'a str,
    text: &'a str,
    /// As an operator writes it, with its brackets; empty for the root.
    name: String,
    table: &'a DeTable<'a>,
    starts: usize,
}

impl<'a> Section<'a> {
    pub(super) const fn root(file: &'a str, text: &'a str, table: &'a DeTable<'a>) -> Self {
        Self { file, text, name: String::new(), table, starts: 0 }
    }

    /// Refuses keys that are none of `known`, and suggests the nearest.
    pub(super) fn check_keys(&self, known: &[&str]) -> Result<(), String> {
        let unknown = self.table.keys().find(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown else { return Ok(()) };
        let place = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        let advice = match nearest(key.get_ref(), known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are: {}", known.join(", ")),
        };
        let shown = crate::cli::output::escaped(key.get_ref().as_bytes());
        Err(self.error_at(&key.span(), &format!("unknown key `{shown}`{place}; {advice}")))
    }

    /// The value of a key, read.
    pub(super) fn get<T>(
        &self,
        key: &str,
        read: impl FnOnce(Value<'a>) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        read(Value(value.get_ref())).map(Some).map_err(|what| self.error_at(&value.span(), &format!("{key}: {what}")))
    }

    /// The table of that name.
    pub(super) fn section(&self, name: &str) -> Result<Option<Self>, String> {
        let Some(value) = self.table.get(name) else { return Ok(None) };
        let wrong = || self.error_at(&value.span(), &format!("{name}: this must be a table: write [{name}]"));
        self.inner(format!("[{name}]"), value).map(Some).ok_or_else(wrong)
    }

    /// The tables of that name, in the file's order.
    pub(super) fn sections(&self, name: &str) -> Result<Vec<Self>, String> {
        let Some(value) = self.table.get(name) else { return Ok(Vec::new()) };
        let inner = |value| self.inner(format!("[[{name}]]"), value);
        let sections = value.get_ref().as_array().and_then(|array| array.iter().map(inner).collect());
        sections.ok_or_else(|| self.error_at(&value.span(), &format!("{name}: this must be tables: write [[{name}]]")))
    }

    /// An error about the whole section.
    pub(super) fn error(&self, what: &str) -> String {
        self.error_at(&(self.starts..self.starts), what)
    }

    fn inner(&self, name: String, value: &'a Spanned<DeValue<'a>>) -> Option<Self> {
        let table = value.get_ref().as_table()?;
        Some(Self { file: self.file, text: self.text, name, table, starts: value.span().start })
    }

    fn error_at(&self, span: &Range<usize>, what: &str) -> String {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}: {what}", self.file)
    }
}

/// A value of the file.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(&'a DeValue<'a>);

impl<'a> Value<'a> {
    pub(super) fn text(self) -> Result<&'a str, String> {
        self.0.as_str().ok_or_else(|| "write a string, such as \"...\"".into())
    }

    /// A list of strings.
    pub(super) fn texts(self) -> Result<Vec<&'a str>, String> {
        let texts = self.0.as_array().and_then(|array| array.iter().map(|text| text.get_ref().as_str()).collect());
        texts.ok_or_else(|| "write a list of strings, such as [\"...\", \"...\"]".into())
    }

    pub(super) fn bool(self) -> Result<bool, String> {
        self.0.as_bool().ok_or_else(|| "write true or false".into())
    }

    pub(super) fn duration(self) -> Result<Duration, String> {
        match (self.0.as_str(), self.0.as_integer()) {
            (Some(text), _) => units::duration(text),
            (_, Some(zero)) if zero.as_str() == "0" => Ok(Duration::ZERO),
            _ => Err("write a duration with its unit, such as \"33ms\" or \"5s\"".into()),
        }
    }

    /// A size in bytes, or a count.
    pub(super) fn size(self) -> Result<usize, String> {
        match (self.0.as_str(), self.0.as_integer()) {
            (Some(text), _) => units::size(text),
            (_, Some(number)) if number.as_str().starts_with('-') => Err("this must not be negative".into()),
            (_, Some(number)) => usize::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| "this number is too large".to_owned()),
            _ => Err("write a number, or a size such as \"16KiB\"".into()),
        }
    }
}

/// The known key that was probably meant.
fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|key| (distance(wrong, key), *key)).min()?;
    // A third of the letters may differ: beyond, a suggestion is a guess.
    (near.0 <= near.1.len().div_ceil(3)).then_some(near.1)
}

/// How many letters to insert, delete or replace to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("tick", "tick"), 0);
        assert_eq!(distance("tik", "tick"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("lisen", &["listen", "tick"]), Some("listen"));
        assert_eq!(nearest("port", &["listen", "tick"]), None);
    }
}
