//! The environment: `TICKWIRE_` and a key's path in capitals, its dots as underscores.
//!
//! ```text
//! limits.max_message <── TICKWIRE_LIMITS_MAX_MESSAGE=8KiB
//! access.origins     <── TICKWIRE_ACCESS_ORIGINS="https://a.example https://b.example"
//! ```

use std::ffi::OsString;

use super::layers::{Layers, Origin};
use super::section::nearest;
use super::table::TABLES;

/// What all of our variables begin with.
const PREFIX: &str = "TICKWIRE_";

/// The file to read, where `--config` names none.
pub(in crate::cli) const FILE: &str = "TICKWIRE_CONFIG";

/// Variables that are no keys: the first two are the server's, two are for commands that are clients, and the rest
/// are for tests and benches.
const OTHERS: &[&str] = &[
    FILE,
    "TICKWIRE_LOG",
    "TICKWIRE_TOKEN",
    "TICKWIRE_API_KEY",
    "TICKWIRE_EXHAUSTIVE",
    "TICKWIRE_SEEDS",
    "TICKWIRE_SATURATED",
    "TICKWIRE_VALUES",
];

/// The variable of a key.
pub(in crate::cli) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_ascii_uppercase())
}

/// Every key that a variable can set.
pub(in crate::cli) fn paths() -> impl Iterator<Item = String> {
    TABLES.iter().flat_map(|table| {
        let dot = if table.name.is_empty() { "" } else { "." };
        table.keys.iter().map(move |key| format!("{}{dot}{}", table.name, key.name))
    })
}

/// Puts what the variables say over the file. An empty variable says nothing.
pub(super) fn read(environment: &[(OsString, OsString)], layers: &mut Layers<'_>) {
    let known: Vec<(String, String)> = paths().map(|path| (variable(&path), path)).collect();
    let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).chain(OTHERS.iter().copied()).collect();
    let ours = |name: &&OsString| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    for (name, value) in environment.iter().filter(|(name, value)| ours(&name) && !value.is_empty()) {
        let name = name.to_string_lossy();
        let origin = Origin::Variable(name.to_string());
        let path = known.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone());
        match (path, value.to_str()) {
            (Some(path), Some(value)) => layers.put(path, value.trim().to_owned(), origin),
            (Some(_), None) => layers.problem(&origin, "this is not UTF-8"),
            (None, value) if OTHERS.contains(&&*name) || is_of_a_service(&name, value.unwrap_or_default()) => {}
            (None, _) => {
                layers.problem(&origin, &format!("there is no such variable; {}", advice(&name, &names)));
            }
        }
    }
}

/// What was probably meant.
fn advice(name: &str, known: &[&str]) -> String {
    if name.starts_with("TICKWIRE_LOG_") {
        return "how much is logged says TICKWIRE_LOG, such as TICKWIRE_LOG=tickwire=debug,warn".into();
    }
    if ["TICKWIRE_PORT", "TICKWIRE_HOST", "TICKWIRE_BIND", "TICKWIRE_ADDRESS"].contains(&name) {
        return "addresses are TICKWIRE_LISTEN, TICKWIRE_TCP and TICKWIRE_ADMIN_LISTEN, such as 127.0.0.1:7070".into();
    }
    // What all begin with alike must not make them near to each other.
    let rest = |name: &'_ str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let rests: Vec<String> = known.iter().map(|name| rest(name)).collect();
    let short: Vec<&str> = rests.iter().map(String::as_str).collect();
    let wrong = rest(name);
    let ending = known.iter().find(|known| known.ends_with(&format!("_{wrong}")));
    match (ending, nearest(&wrong, &short)) {
        (Some(known), _) => format!("did you mean {known}?"),
        (None, Some(near)) => format!("did you mean {PREFIX}{near}?"),
        (None, None) => "a variable is TICKWIRE_ and a key of `tickwire config default`, its table in front".into(),
    }
}

/// Whether Kubernetes, or a linked container, says so where the address of a service is that is called tickwire, or
/// begins so. Nobody has written these.
fn is_of_a_service(name: &str, value: &str) -> bool {
    let is_port = name.contains("_PORT") && ["tcp://", "udp://"].iter().any(|scheme| value.starts_with(scheme));
    let part = |rest: &str| {
        let (port, rest) = rest.split_once('_').unwrap_or((rest, ""));
        let known = ["TCP", "UDP"].iter().any(|protocol| rest.starts_with(protocol));
        port.parse::<u16>().is_ok() && known
    };
    let is_part = name.split("_PORT_").skip(1).any(part);
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || is_port || is_part
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_has_a_variable_of_its_own() {
        let names: Vec<String> = paths().map(|path| variable(&path)).collect();
        let different: BTreeSet<&str> = names.iter().map(String::as_str).chain(OTHERS.iter().copied()).collect();
        assert_eq!(different.len(), names.len() + OTHERS.len());
        for name in ["TICKWIRE_LISTEN", "TICKWIRE_LIMITS_MAX_MESSAGE", "TICKWIRE_ADMIN_LISTEN"] {
            assert!(different.contains(name), "{name}");
        }
        assert!(!names.iter().any(|name| is_of_a_service(name, "")), "no key looks like a service's");
    }

    #[test]
    fn variables_of_services_are_nobodys() {
        let theirs = [
            ("TICKWIRE_SERVICE_HOST", "10.0.0.1"),
            ("TICKWIRE_SERVICE_PORT_WS", "7070"),
            ("TICKWIRE_PORT", "tcp://10.0.0.1:7070"),
            ("TICKWIRE_PORT_7070_TCP", "tcp://10.0.0.1:7070"),
            ("TICKWIRE_PORT_7070_TCP_PROTO", "tcp"),
            ("TICKWIRE_ADMIN_PORT_7072_TCP_ADDR", "10.0.0.1"),
        ];
        for (name, value) in theirs {
            assert!(is_of_a_service(name, value), "{name}");
        }
        for (name, value) in [("TICKWIRE_PORT", "7070"), ("TICKWIRE_LISTEN", "tcp://a"), ("TICKWIRE_PORT_X_TCP", "")] {
            assert!(!is_of_a_service(name, value), "{name}");
        }
    }
}
