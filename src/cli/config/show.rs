//! A configuration as text: the file that says the same, the one that says the defaults, JSON, and the reference.
//!
//! ```text
//! Config ──> entries: path, value as TOML, origin ──┬──> TOML with origins ──read──> the same Config
//!                                                   └──> JSON, and what a reload changes
//! tables of keys ──> the commented file, the reference of docs/configuration.md
//! ```

use std::fmt::Write;

use serde_json::json;

use super::api::API_KEY;
use super::auth::{ISSUER, ISSUER_KEY};
use super::class::{CLASS, PATTERN};
use super::environment::variable;
use super::key::{Key, Takes, quoted};
use super::table::TABLES;
use super::{Config, Origin};
use tickwire::class::RoomClass;

/// A value that a configuration has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Entry {
    /// The line of brackets above it; empty at the top.
    heading: String,
    /// Where a table begins that may come several times.
    begins: bool,
    /// `limits.max_message`, `class.0.tick`.
    pub(super) path: String,
    /// The same, with what an operator knows a table by: `class "game/*": tick`.
    pub(super) label: String,
    name: &'static str,
    /// As TOML.
    pub(super) value: String,
    pub(super) is_secret: bool,
    pub(super) takes: Takes,
    origin: Origin,
}

/// Whether secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Secrets {
    Hidden,
    /// What is written so reads back as it was. Nothing on the command line asks for it.
    #[allow(dead_code, reason = "tests and the fuzz target ask")]
    Shown,
}

impl Config {
    /// Every value, in an order that a file may have.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for table in TABLES {
            // A section without an issuer would be a mistake.
            if table.name == "auth" && self.issuers.is_empty() {
                continue;
            }
            let heading = if table.name.is_empty() { String::new() } else { format!("[{}]", table.name) };
            let dot = if table.name.is_empty() { "" } else { "." };
            let place = Place { heading, path: format!("{}{dot}", table.name), label: format!("{}{dot}", table.name) };
            self.add(&mut entries, table.keys, self, &place, true);
            if table.name == "auth" {
                self.add_issuers(&mut entries);
            }
            if table.name == "admin" {
                self.add_api_keys(&mut entries);
            }
        }
        for (index, (pattern, class)) in self.classes.iter().enumerate() {
            let pattern = quoted(pattern.as_str());
            let place = Place {
                heading: "[[class]]".into(),
                path: format!("class.{index}."),
                label: format!("class {pattern}: "),
            };
            let said = Key { name: "pattern", show: |_| String::new(), ..CLASS_PATTERN };
            entries.push(self.entry(&said, pattern, &place, true));
            self.add(&mut entries, CLASS, class, &place, true);
        }
        entries
    }

    fn add_issuers(&self, entries: &mut Vec<Entry>) {
        for (index, issuer) in self.issuers.iter().enumerate() {
            let name = issuer.name.as_deref().map_or_else(|| format!("{}", index + 1), quoted);
            let path = format!("auth.issuer.{index}.");
            let label = format!("auth.issuer {name}: ");
            let place = Place { heading: "[[auth.issuer]]".into(), path: path.clone(), label };
            let from = entries.len();
            self.add(entries, ISSUER, issuer, &place, false);
            begin(entries, from, &place);
            for (number, key) in issuer.keys.iter().enumerate() {
                let kid = key.kid.as_deref().map_or_else(|| format!("{}", number + 1), quoted);
                let place = Place {
                    heading: "[[auth.issuer.key]]".into(),
                    path: format!("{path}key.{number}."),
                    label: format!("auth.issuer {name}, key {kid}: "),
                };
                let from = entries.len();
                self.add(entries, ISSUER_KEY, key, &place, false);
                begin(entries, from, &place);
            }
        }
    }

    fn add_api_keys(&self, entries: &mut Vec<Entry>) {
        for (index, key) in self.api_keys.iter().enumerate() {
            let name = key.name.as_deref().map_or_else(|| format!("{}", index + 1), quoted);
            let path = format!("admin.keys.{index}.");
            let place = Place { heading: "[[admin.keys]]".into(), path, label: format!("admin key {name}: ") };
            let from = entries.len();
            self.add(entries, API_KEY, key, &place, false);
            begin(entries, from, &place);
        }
    }

    /// Adds what keys say; with `defaults` also what nobody has said.
    fn add<T>(&self, entries: &mut Vec<Entry>, keys: &[Key<T>], of: &T, place: &Place, defaults: bool) {
        for key in keys {
            let entry = self.entry(key, (key.show)(of), place, false);
            if !entry.value.is_empty() && (defaults || entry.origin != Origin::Default) {
                entries.push(entry);
            }
        }
    }

    fn entry<T>(&self, key: &Key<T>, value: String, place: &Place, begins: bool) -> Entry {
        let path = format!("{}{}", place.path, key.name);
        Entry {
            heading: place.heading.clone(),
            begins,
            origin: self.origin(&path).clone(),
            path,
            label: format!("{}{}", place.label, key.name),
            name: key.name,
            value,
            is_secret: key.is_secret,
            takes: key.takes,
        }
    }

    /// The file that says the same; with `origins` each line also says who has said it.
    pub(in crate::cli) fn to_toml(&self, secrets: Secrets, origins: bool) -> String {
        let mut text = String::new();
        let mut heading = String::new();
        for entry in self.entries() {
            if entry.begins || entry.heading != heading {
                heading.clone_from(&entry.heading);
                add(&mut text, format_args!("\n{heading}\n"));
            }
            if entry.name.is_empty() {
                continue;
            }
            let line = format!("{} = {}", entry.name, entry.shown(secrets));
            match origins {
                true => add(&mut text, format_args!("{line:<44} # {}\n", entry.origin)),
                false => add(&mut text, format_args!("{line}\n")),
            }
        }
        text
    }

    /// Every value with who has said it, as JSON.
    pub(in crate::cli) fn to_json(&self) -> serde_json::Value {
        let entries = self.entries().into_iter().filter(|entry| !entry.name.is_empty());
        let shown = entries.map(|entry| {
            let value = value(&entry.shown(Secrets::Hidden));
            json!({ "key": entry.path, "value": value, "from": entry.origin.to_string() })
        });
        json!({ "settings": shown.collect::<Vec<_>>() })
    }
}

impl Entry {
    /// The value, unless it is a secret.
    pub(super) fn shown(&self, secrets: Secrets) -> String {
        if self.is_secret && secrets == Secrets::Hidden { quoted("(hidden)") } else { self.value.clone() }
    }
}

/// A table that entries are in.
struct Place {
    heading: String,
    path: String,
    label: String,
}

/// Of a class. Its value is not in what the other keys fill.
const CLASS_PATTERN: Key<RoomClass> = Key {
    name: "pattern",
    kind: "pattern",
    doc: PATTERN,
    takes: Takes::NewRooms,
    is_secret: false,
    read: |_, _| Ok(()),
    show: |_| String::new(),
};

/// Marks where a table begins, which may be empty.
fn begin(entries: &mut Vec<Entry>, from: usize, place: &Place) {
    match entries.get_mut(from) {
        Some(entry) => entry.begins = true,
        None => entries.push(Entry {
            heading: place.heading.clone(),
            begins: true,
            path: place.path.clone(),
            label: place.label.clone(),
            name: "",
            value: String::new(),
            is_secret: false,
            takes: Takes::NewTokens,
            origin: Origin::Default,
        }),
    }
}

/// TOML as JSON.
fn value(shown: &str) -> serde_json::Value {
    let table: Option<toml::Table> = toml::from_str(&format!("value = {shown}")).ok();
    table.and_then(|table| serde_json::to_value(table.get("value")?).ok()).unwrap_or_default()
}

fn add(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(line);
}

/// A file with every key, its sentence, and its default behind a `#`.
pub(in crate::cli) fn default_file() -> String {
    let config = Config::default();
    let mut text = String::from(
        "# Tickwire's configuration. Each key stands here with its default: remove the # in front of a line, and of the\n\
         # [table] above it, to say something else. docs/configuration.md tells more. What is wrong with a file says\n\
         # `tickwire config check --config FILE`.\n",
    );
    for table in TABLES {
        // Alone, this table would be a mistake.
        let hash = if table.name == "auth" { "# " } else { "#" };
        add(&mut text, format_args!("\n# {}\n", table.doc));
        if !table.name.is_empty() {
            add(&mut text, format_args!("{hash}[{}]\n", table.name));
        }
        for key in table.keys {
            let (name, shown) = (key.name, (key.show)(&config));
            add(&mut text, format_args!("\n# {}\n{hash}{name} = {shown}\n", key.doc));
        }
        if table.name == "auth" {
            add(&mut text, format_args!("\n# Who signs tokens; as many as there are.\n# [[auth.issuer]]\n"));
            ISSUER.iter().for_each(|key| example(&mut text, key, "https://id.example"));
            add(&mut text, format_args!("\n# A key of that issuer; as many as there are.\n# [[auth.issuer.key]]\n"));
            ISSUER_KEY.iter().for_each(|key| example(&mut text, key, ""));
        }
        if table.name == "admin" {
            add(&mut text, format_args!("\n# A key of operators; as many as there are.\n# [[admin.keys]]\n"));
            API_KEY.iter().for_each(|key| example(&mut text, key, "ci"));
        }
    }
    add(
        &mut text,
        format_args!(
            "\n# How rooms behave whose names fit a pattern; as many as there are. What a class leaves out is\n"
        ),
    );
    add(&mut text, format_args!("# as for all rooms, which is what stands here.\n# [[class]]\n"));
    add(&mut text, format_args!("\n# {PATTERN}\n# pattern = \"lobby/**\"\n"));
    let class = RoomClass::default();
    for key in CLASS {
        add(&mut text, format_args!("\n# {}\n# {} = {}\n", key.doc, key.name, (key.show)(&class)));
    }
    text
}

/// A key without a default; `name` is of what the table is about.
fn example<T>(text: &mut String, key: &Key<T>, name: &str) {
    let name = quoted(name);
    let value = match key.name {
        "name" => &*name,
        "audience" => "\"game\"",
        "jwks_file" => "\"/etc/tickwire/jwks.json\"",
        "jwks_url" => "\"http://127.0.0.1:8080/jwks.json\"",
        "kid" => "\"k1\"",
        "algorithm" => "\"HS256\"",
        "secret" | "key" => "\"...\"",
        "may" => "[\"read\", \"publish\"]",
        "rooms" => "[\"game/**\"]",
        "file" => "\"/etc/tickwire/key.pem\"",
        _ => "\"\"",
    };
    add(text, format_args!("\n# {}\n# {} = {value}\n", key.doc, key.name));
}

/// The reference of `docs/configuration.md`.
pub(in crate::cli) fn reference() -> String {
    let (mut text, config, class) = (String::new(), Config::default(), RoomClass::default());
    let none = || "none".to_owned();
    for table in TABLES {
        let (title, dot) = match table.name {
            "" => ("The top of the file".to_owned(), ""),
            name => (format!("`[{name}]`"), "."),
        };
        let mut rows = Rows::default();
        for key in table.keys {
            let variable = variable(&format!("{}{dot}{}", table.name, key.name));
            rows.add(key, &format!("`{}`", (key.show)(&config)), &format!("`{variable}`"));
        }
        rows.write(&mut text, &title, table.doc);
    }
    let mut rows = Rows::default();
    ISSUER.iter().for_each(|key| rows.add(key, &none(), &none()));
    rows.write(&mut text, "`[[auth.issuer]]`", "Who signs tokens; as many as there are.");
    let mut rows = Rows::default();
    ISSUER_KEY.iter().for_each(|key| rows.add(key, &none(), &none()));
    let doc = "A key of the issuer above; as many as there are. It has a `secret` or a `file`.";
    rows.write(&mut text, "`[[auth.issuer.key]]`", doc);
    let mut rows = Rows::default();
    API_KEY.iter().for_each(|key| rows.add(key, &none(), &none()));
    rows.write(
        &mut text,
        "`[[admin.keys]]`",
        "Who may use the HTTP API and the operators' page; as many as there are.",
    );
    let mut rows = Rows::default();
    rows.add(&CLASS_PATTERN, "needed", &none());
    for key in CLASS {
        let default = if key.name == "tick" { "that of the top".into() } else { format!("`{}`", (key.show)(&class)) };
        rows.add(key, &default, &none());
    }
    rows.write(&mut text, "`[[class]]`", "How rooms behave whose names fit a pattern; as many as there are.");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A table of the reference, and the sentences below it.
#[derive(Default)]
struct Rows {
    rows: String,
    sentences: String,
}

impl Rows {
    fn add<T>(&mut self, key: &Key<T>, default: &str, variable: &str) {
        let (name, kind, takes) = (key.name, key.kind, key.takes.words());
        add(&mut self.rows, format_args!("| `{name}` | {kind} | {default} | {takes} | {variable} |\n"));
        add(&mut self.sentences, format_args!("- `{name}`: {}\n", key.doc.replace('*', "\\*")));
    }

    fn write(self, text: &mut String, title: &str, doc: &str) {
        let Self { rows, sentences } = self;
        let head = "| key | takes | default | a change takes effect | variable |\n|---|---|---|---|---|";
        add(text, format_args!("### {title}\n\n{doc}\n\n{head}\n{rows}\n{sentences}\n"));
    }
}
