//! Where values come from: flags over the environment over a file over defaults.
//!
//! ```text
//! flags ─────────┐
//! environment ───┴──> above: path ──> text ──┐
//! file ──TOML──> table ──────────────────────┴──> Section ──> Config, or problems
//! ```
//!
//! A value above the file is a text that the same code reads as a value of the file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use toml::de::DeTable;

/// Everything that was said, by whom, and what is wrong with it.
#[derive(Default)]
pub(super) struct Layers<'a> {
    pub(super) file: Option<File<'a>>,
    above: BTreeMap<String, (String, Origin)>,
    origins: RefCell<BTreeMap<String, Origin>>,
    problems: RefCell<Vec<(Origin, String)>>,
}

/// A file that is TOML.
pub(super) struct File<'a> {
    name: &'a str,
    text: &'a str,
    pub(super) table: DeTable<'a>,
}

/// Who has said a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    /// Nobody.
    #[default]
    Default,
    /// A line of the file.
    Line { file: String, line: usize },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl<'a> Layers<'a> {
    /// Adds a file; `name` is for errors.
    pub(super) fn add_file(&mut self, name: &'a str, text: &'a str) {
        match DeTable::parse(text) {
            Ok(table) => self.file = Some(File { name, text, table: table.into_inner() }),
            // Not the error's own picture of the line: there may be a secret in it.
            Err(error) => {
                let line = line(text, error.span().map_or(0, |span| span.start));
                let bare = ["invalid", "string values"].iter().any(|start| error.message().starts_with(start));
                let hint = if bare { "; is it a text? Then it needs quotes, such as \"33ms\"" } else { "" };
                let what = format!("this is not TOML: {}{hint}", error.message());
                self.problem(&Origin::Line { file: name.to_owned(), line }, &what);
            }
        }
    }

    /// Puts a value over those that are there.
    pub(super) fn put(&mut self, path: String, text: String, origin: Origin) {
        self.above.insert(path, (text, origin));
    }

    /// What the layers above the file say.
    pub(super) fn above(&self, path: &str) -> Option<(&str, &Origin)> {
        self.above.get(path).map(|(text, origin)| (text.as_str(), origin))
    }

    /// Who has said something above the file of what begins so.
    pub(super) fn above_any(&self, prefix: &str) -> Option<Origin> {
        self.above.iter().find(|(path, _)| path.starts_with(prefix)).map(|(_, (_, origin))| origin.clone())
    }

    /// A value was taken from there.
    pub(super) fn came(&self, path: String, origin: Origin) {
        self.origins.borrow_mut().insert(path, origin);
    }

    /// Where a value came from that somebody has said.
    pub(super) fn origin(&self, path: &str) -> Option<Origin> {
        self.origins.borrow().get(path).cloned()
    }

    /// Something is wrong there.
    pub(super) fn problem(&self, origin: &Origin, what: &str) {
        let place = match origin {
            Origin::Default => String::new(),
            origin => format!("{origin}: "),
        };
        // A file, and a variable, may hold anything.
        let shown = format!("{place}{what}").chars().fold(String::new(), |mut shown, letter| {
            match letter {
                _ if letter.is_control() => shown.extend(letter.escape_default()),
                _ => shown.push(letter),
            }
            shown
        });
        self.problems.borrow_mut().push((origin.clone(), shown));
    }

    /// What was wrong, in the order of the file's lines, and where all values came from.
    pub(super) fn into_parts(self) -> (Vec<String>, BTreeMap<String, Origin>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(origin, _)| match origin {
            Origin::Line { line, .. } => *line,
            _ => usize::MAX,
        });
        (problems.into_iter().map(|(_, problem)| problem).collect(), self.origins.into_inner())
    }
}

impl File<'_> {
    /// The line of that byte.
    pub(super) fn origin(&self, at: usize) -> Origin {
        Origin::Line { file: self.name.to_owned(), line: line(self.text, at) }
    }
}

fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
