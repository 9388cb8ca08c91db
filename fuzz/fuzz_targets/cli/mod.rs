//! The part of the command line that reads configurations, included from its own files: it belongs to the binary, which
//! no other crate can link, and a library has no use for it.

#![allow(dead_code, unreachable_pub, reason = "the binary uses more of it")]

#[path = "../../../src/cli/config/mod.rs"]
mod config;
#[path = "../../../src/cli/units.rs"]
mod units;

use config::show::Secrets;
use config::{Config, Sources, read};

/// A configuration that was accepted.
pub struct Accepted(Config);

/// The configuration of a file's text, under variables and flags that are not there.
pub fn parse(text: &str) -> Result<Accepted, Vec<String>> {
    read(Some(("fuzz.toml", text)), &Sources::default()).map(Accepted).map_err(|problems| problems.0)
}

/// The configuration that variables alone make.
pub fn of_variables(variables: &[(&str, &str)]) -> Result<Accepted, Vec<String>> {
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    read(None, &Sources { environment, ..Sources::default() }).map(Accepted).map_err(|problems| problems.0)
}

/// The file that says the same, secrets too.
pub fn show(Accepted(config): &Accepted) -> String {
    config.to_toml(Secrets::Shown, false)
}

/// As an operator is shown it.
pub fn show_hidden(Accepted(config): &Accepted) -> String {
    config.to_toml(Secrets::Hidden, true)
}

/// Whether a server would take the limits.
pub fn check(Accepted(config): &Accepted) {
    config.limits.check().expect("what is accepted fits together");
    config.access.check().expect("what is accepted fits together");
    let classes = config.room_classes();
    let all = classes.by_pattern.iter().map(|(_, class)| class).chain([&classes.default]);
    assert!(all.into_iter().all(|class| tickwire::class::RoomClass::is_valid_period(class.period)));
    let _warnings = config.warnings();
    let _json = config.to_json();
}
