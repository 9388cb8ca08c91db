//! Tables of a TOML file under the layers above it, read so that every error names its place, its key, and what to do.
//!
//! ```text
//! key ──> flag? ──> variable? ──> line of the file? ──> Value ──> read, or a problem
//! ```

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::Key;
use super::layers::{Layers, Origin};
use super::table::TABLES;
use crate::cli::units;

/// A table of the file, and what stands above it.
pub(super) struct Section<'a> {
    pub(super) layers: &'a Layers<'a>,
    /// As an operator writes it, `auth.issuer`; empty for the root.
    name: String,
    /// Whether it may come several times.
    is_one_of_several: bool,
    /// What stands before a key's name in its path: `limits.`, `class.2.`.
    pub(super) path: String,
    /// `None` where only the layers above say something.
    table: Option<&'a DeTable<'a>>,
    starts: usize,
}

impl<'a> Section<'a> {
    pub(super) fn root(layers: &'a Layers<'a>) -> Self {
        let table = layers.file.as_ref().map(|file| &file.table);
        Self { layers, name: String::new(), is_one_of_several: false, path: String::new(), table, starts: 0 }
    }

    /// Reads these keys into `target`. Others are problems, but for the tables in `inner`. Whether there were no others.
    pub(super) fn read<T>(&self, keys: &[Key<T>], inner: &[&str], target: &mut T) -> bool {
        let known: Vec<&str> = keys.iter().map(|key| key.name).chain(inner.iter().copied()).collect();
        for key in keys {
            self.get(key.name, |value| (key.read)(target, value));
        }
        self.check_keys(&known)
    }

    /// Says of keys that are none of `known` which was probably meant. Whether there were none.
    pub(super) fn check_keys(&self, known: &[&str]) -> bool {
        /// Keys that are listed. 15: beyond, nobody reads them.
        const FEW: usize = 15;
        let keys = self.table.into_iter().flat_map(DeTable::keys);
        let mut unknown = keys.filter(|key| !known.contains(&key.get_ref().as_ref())).peekable();
        let all_known = unknown.peek().is_none();
        for key in unknown {
            let name: &str = key.get_ref();
            let advice = match (nearest(name, known), home(name)) {
                (_, Some(home)) => format!("it belongs {home}"),
                (Some(near), None) => format!("did you mean `{near}`?"),
                (None, None) if known.len() <= FEW => format!("known are: {}", known.join(", ")),
                (None, None) => "`tickwire config default` lists all that are known".to_owned(),
            };
            let place = self.brackets().map(|name| format!(" in {name}")).unwrap_or_default();
            self.problem_at(&key.span(), &format!("unknown key `{name}`{place}; {advice}"));
        }
        all_known
    }

    /// Its name as it stands in a file; `None` for the root.
    fn brackets(&self) -> Option<String> {
        match (&*self.name, self.is_one_of_several) {
            ("", _) => None,
            (name, true) => Some(format!("[[{name}]]")),
            (name, false) => Some(format!("[{name}]")),
        }
    }

    /// What a table in it is called.
    fn inner_name(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) }
    }

    /// The value of a key, read; `None` where nobody says anything, or it is a problem.
    pub(super) fn get<T>(&self, key: &str, read: impl FnOnce(Value<'_>) -> Result<T, String>) -> Option<T> {
        let path = format!("{}{key}", self.path);
        let (value, origin) = match self.layers.above(&path) {
            Some((text, origin)) => (Value::Text(text), origin.clone()),
            None => {
                let value = self.table?.get(key)?;
                (Value::Toml(value.get_ref()), self.origin(value.span().start))
            }
        };
        let name = match &origin {
            Origin::Line { .. } => format!("{key}: "),
            _ => String::new(),
        };
        let read = read(value).map_err(|what| self.layers.problem(&origin, &format!("{name}{what}"))).ok();
        self.layers.came(path, origin);
        read
    }

    /// The table of that name, or one that only the layers above fill.
    pub(super) fn section(&self, name: &str) -> Self {
        let path = format!("{}{name}.", self.path);
        let inner = self.inner_name(name);
        let value = self.table.and_then(|table| table.get(name));
        let table = value.and_then(|value| value.get_ref().as_table());
        if let Some(value) = value.filter(|_| table.is_none()) {
            self.problem_at(&value.span(), &format!("{name}: this must be a table: write [{inner}]"));
        }
        let starts = value.map_or(0, |value| value.span().start);
        Self { layers: self.layers, name: inner, is_one_of_several: false, path, table, starts }
    }

    /// The tables of that name, in the file's order.
    pub(super) fn sections(&self, name: &str) -> Vec<Self> {
        let Some(value) = self.table.and_then(|table| table.get(name)) else { return Vec::new() };
        let inner = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            let (table, starts) = (Some(value.get_ref().as_table()?), value.span().start);
            let path = format!("{}{name}.{index}.", self.path);
            let name = self.inner_name(name);
            Some(Self { layers: self.layers, name, is_one_of_several: true, path, table, starts })
        };
        let sections = value.get_ref().as_array().and_then(|array| array.iter().enumerate().map(inner).collect());
        sections.unwrap_or_else(|| {
            self.problem_at(
                &value.span(),
                &format!("{name}: this must be a list of tables: write [[{}]]", self.inner_name(name)),
            );
            Vec::new()
        })
    }

    /// Whether anybody says anything of it.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some() || self.layers.above_any(&self.path).is_some()
    }

    /// A problem of the whole section, which is where one of the keys is that the sentence names.
    pub(super) fn problem(&self, what: &str) {
        let words = what.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let named = words.filter_map(|word| self.layers.origin(&format!("{}{word}", self.path))).next();
        let origin = named.unwrap_or_else(|| match self.table {
            Some(_) => self.origin(self.starts),
            None => self.layers.above_any(&self.path).unwrap_or_default(),
        });
        self.layers.problem(&origin, what);
    }

    /// Where it begins.
    pub(super) fn begins(&self) -> Origin {
        self.origin(self.starts)
    }

    fn problem_at(&self, span: &Range<usize>, what: &str) {
        self.layers.problem(&self.origin(span.start), what);
    }

    fn origin(&self, at: usize) -> Origin {
        self.layers.file.as_ref().map_or(Origin::Default, |file| file.origin(at))
    }
}

/// A value of the file, or of a layer above it.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Toml(&'a DeValue<'a>),
    Text(&'a str),
}

impl<'a> Value<'a> {
    pub(super) fn text(self) -> Result<&'a str, String> {
        match self {
            Self::Toml(value) => value.as_str().ok_or_else(|| "write a string, such as \"...\"".into()),
            Self::Text(text) => Ok(text),
        }
    }

    /// A list; in the layers above its items are parted by spaces.
    pub(super) fn texts(self) -> Result<Vec<&'a str>, String> {
        match self {
            Self::Toml(value) => {
                let list =
                    value.as_array().and_then(|list| list.iter().map(|value| value.get_ref().as_str()).collect());
                list.ok_or_else(|| "write a list of strings, such as [\"...\"]".into())
            }
            Self::Text("[]") => Ok(Vec::new()),
            Self::Text(text) => Ok(text.split_whitespace().map(|item| item.trim_end_matches(',')).collect()),
        }
    }

    pub(super) fn bool(self) -> Result<bool, String> {
        let value = match self {
            Self::Toml(value) => value.as_bool(),
            Self::Text(text) => text.parse().ok(),
        };
        value.ok_or_else(|| "write true or false".into())
    }

    pub(super) fn duration(self) -> Result<Duration, String> {
        let value = match self {
            Self::Toml(value) => value,
            Self::Text(text) => return units::duration(text),
        };
        match (value.as_str(), value.as_integer()) {
            (Some(text), _) => units::duration(text),
            (_, Some(zero)) if zero.as_str() == "0" => Ok(Duration::ZERO),
            (_, Some(number)) => {
                Err(format!("write a duration with its unit, such as \"{0}ms\" or \"{0}s\"", number.as_str()))
            }
            _ => Err("write a duration with its unit, such as \"33ms\" or \"5s\"".into()),
        }
    }

    /// A number of things.
    pub(super) fn count(self) -> Result<usize, String> {
        self.number(|text| {
            let wrong = || format!("'{text}' is not a number: write a whole one, such as 128");
            units::size(text).map_err(|_| wrong())
        })?
        .ok_or_else(|| "write a whole number, such as 128".into())
    }

    /// A size in bytes.
    pub(super) fn size(self) -> Result<usize, String> {
        self.number(units::size)?.ok_or_else(|| "write a number, or a size such as \"16KiB\"".into())
    }

    /// A number as TOML has them, or a text of one; `None` where it is something else.
    fn number(self, read: impl Fn(&str) -> Result<usize, String>) -> Result<Option<usize>, String> {
        let value = match self {
            Self::Toml(value) => value,
            Self::Text(text) => return read(text).map(Some),
        };
        match (value.as_str(), value.as_integer()) {
            (Some(text), _) => read(text).map(Some),
            (_, Some(number)) if number.as_str().starts_with('-') => Err("this must not be negative".into()),
            (_, Some(number)) => usize::from_str_radix(number.as_str(), number.radix())
                .map(Some)
                .map_err(|_| "this number is too large".to_owned()),
            _ => Ok(None),
        }
    }
}

/// Where a key belongs that has come to another table, or what does what its name says.
fn home(name: &str) -> Option<String> {
    if ["port", "bind", "host", "addr", "address"].contains(&name) {
        return Some("to an address: listen, tcp, or listen in [admin], such as \"127.0.0.1:7070\"".into());
    }
    let table = TABLES.iter().find(|table| table.keys.iter().any(|key| key.name == name))?;
    Some(if table.name.is_empty() { "to the top of the file".into() } else { format!("into [{}]", table.name) })
}

/// The known word that was probably meant.
pub(super) fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    // A longer word is none of ours, and would take long to compare.
    if wrong.len() > 100 {
        return None;
    }
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

    #[test]
    fn lists_above_the_file_are_parted_by_spaces() {
        assert_eq!(Value::Text("a:join,receive  b,\tc").texts().unwrap(), ["a:join,receive", "b", "c"]);
        assert_eq!(Value::Text("[]").texts().unwrap(), [""; 0]);
    }
}
