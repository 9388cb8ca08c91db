//! A key: its name, its kind, how it is read and shown, what it means, and when a change of it takes effect.
//!
//! ```text
//! Key<Config> { limits.max_message, Bytes, "Payload of a message." } ──read──> Config ──show──> "15KiB"
//! ```

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tickwire::auth::{Algorithm, Source};
use tickwire::class::{PresenceMode, RoomClass, SlowPolicy};
use tickwire::grants::Grants;
use tickwire::limits::Over;
use tickwire::name::Pattern;
use tickwire::server::access::{Network, Origin};
use tickwire::server::api::Scope;

use super::PageMode;
use super::auth::{self, Secret};
use super::section::Value;

/// A key of a file that fills a part of `T`.
pub(in crate::cli) struct Key<T: 'static> {
    pub(in crate::cli) name: &'static str,
    /// What may be written, in words.
    pub(in crate::cli) kind: &'static str,
    /// One sentence, or two.
    pub(in crate::cli) doc: &'static str,
    pub(in crate::cli) takes: Takes,
    /// Never shown.
    pub(in crate::cli) is_secret: bool,
    pub(super) read: fn(&mut T, Value<'_>) -> Result<(), String>,
    /// As TOML; empty where there is no value, and none can be written.
    pub(super) show: fn(&T) -> String,
}

/// When a changed value takes effect after SIGHUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Takes {
    AtOnce,
    NewConnections,
    NewRooms,
    NewTokens,
    NextStart,
}

impl Takes {
    pub(in crate::cli) const fn words(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::NewConnections => "for new connections",
            Self::NewRooms => "for new rooms",
            Self::NewTokens => "for tokens that come from then on",
            Self::NextStart => "at the next start",
        }
    }
}

/// How values of a kind are read and written.
pub(super) trait Kind {
    type Of;
    const NAME: &'static str;
    const IS_SECRET: bool = false;
    fn read(value: Value<'_>) -> Result<Self::Of, String>;
    fn show(of: &Self::Of) -> String;
}

/// A key of the kind `$kind` whose value is at `$place` of a `$target`.
macro_rules! key {
    ($target:ty: $kind:ident $name:literal $($place:ident).+, $takes:ident, $doc:literal) => {
        $crate::cli::config::key::Key::<$target> {
            name: $name,
            kind: <$crate::cli::config::key::$kind as $crate::cli::config::key::Kind>::NAME,
            doc: $doc,
            takes: $crate::cli::config::key::Takes::$takes,
            is_secret: <$crate::cli::config::key::$kind as $crate::cli::config::key::Kind>::IS_SECRET,
            read: |target, value| {
                target.$($place).+ = <$crate::cli::config::key::$kind as $crate::cli::config::key::Kind>::read(value)?;
                Ok(())
            },
            show: |target| {
                <$crate::cli::config::key::$kind as $crate::cli::config::key::Kind>::show(&target.$($place).+)
            },
        }
    };
}
pub(super) use key;

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

fn read_list<T: FromStr<Err: Display>>(value: Value<'_>) -> Result<Vec<T>, String> {
    let read = |text: &str| {
        let hint =
            if matches!(value, Value::Text(_)) && text.contains(',') { "; items are parted by spaces" } else { "" };
        text.parse().map_err(|error| format!("{text:?}: {error}{hint}"))
    };
    value.texts()?.into_iter().map(read).collect()
}

/// Bytes.
pub(super) struct Bytes;

impl Kind for Bytes {
    type Of = usize;
    const NAME: &'static str = "size";

    fn read(value: Value<'_>) -> Result<usize, String> {
        value.size()
    }

    fn show(of: &usize) -> String {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, unit)| *of > 0 && of.is_multiple_of(*unit)) {
            Some((name, unit)) => format!("\"{}{name}\"", of / unit),
            None => Count::show(of),
        }
    }
}

/// A number of things.
pub(super) struct Count;

impl Kind for Count {
    type Of = usize;
    const NAME: &'static str = "number";

    fn read(value: Value<'_>) -> Result<usize, String> {
        value.count()
    }

    fn show(of: &usize) -> String {
        // TOML has 63 bits for a number.
        if i64::try_from(*of).is_ok() { of.to_string() } else { format!("\"{of}\"") }
    }
}

/// A number of things that is small.
pub(super) struct Small;

impl Kind for Small {
    type Of = u32;
    const NAME: &'static str = "number";

    fn read(value: Value<'_>) -> Result<u32, String> {
        value.count().and_then(|count| u32::try_from(count).map_err(|_| format!("this is at most {}", u32::MAX)))
    }

    fn show(of: &u32) -> String {
        of.to_string()
    }
}

/// How many shards; 0 for one per core.
pub(super) struct Shards;

impl Kind for Shards {
    type Of = usize;
    const NAME: &'static str = "number";

    fn read(value: Value<'_>) -> Result<usize, String> {
        let most = "there are 1 to 1024 shards; 0 makes one per core";
        value.count().and_then(|shards| if shards <= 1024 { Ok(shards) } else { Err(most.into()) })
    }

    fn show(of: &usize) -> String {
        of.to_string()
    }
}

/// A time.
pub(super) struct Time;

impl Kind for Time {
    type Of = Duration;
    const NAME: &'static str = "duration";

    fn read(value: Value<'_>) -> Result<Duration, String> {
        value.duration()
    }

    fn show(of: &Duration) -> String {
        let micros = of.as_micros();
        let units = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1)];
        let whole = units.iter().find(|(_, unit)| micros > 0 && micros.is_multiple_of(*unit));
        whole.map_or_else(|| "\"0s\"".into(), |(name, unit)| format!("\"{}{name}\"", micros / unit))
    }
}

/// The time between flushes.
pub(super) struct Tick;

impl Kind for Tick {
    type Of = Duration;
    const NAME: &'static str = "duration";

    fn read(value: Value<'_>) -> Result<Duration, String> {
        let period = value.duration()?;
        let valid = RoomClass::is_valid_period(period);
        if valid { Ok(period) } else { Err("a tick is 0, or from 1ms to 60s".into()) }
    }

    fn show(of: &Duration) -> String {
        Time::show(of)
    }
}

/// How far clocks may be off.
pub(super) struct Leeway;

impl Kind for Leeway {
    type Of = Duration;
    const NAME: &'static str = "duration";

    fn read(value: Value<'_>) -> Result<Duration, String> {
        match value.duration()? {
            leeway if leeway <= auth::MAX_LEEWAY => Ok(leeway),
            _ => Err("at most 5m: set the clocks that are further off".into()),
        }
    }

    fn show(of: &Duration) -> String {
        Time::show(of)
    }
}

/// Yes or no.
pub(super) struct Switch;

impl Kind for Switch {
    type Of = bool;
    const NAME: &'static str = "true or false";

    fn read(value: Value<'_>) -> Result<bool, String> {
        value.bool()
    }

    fn show(of: &bool) -> String {
        of.to_string()
    }
}

/// Where something is served, or nowhere.
pub(super) struct Address;

impl Kind for Address {
    type Of = Option<SocketAddr>;
    const NAME: &'static str = "address, or false";

    fn read(value: Value<'_>) -> Result<Option<SocketAddr>, String> {
        if value.bool() == Ok(false) {
            return Ok(None);
        }
        let wrong = "write an IP address and a port, such as \"127.0.0.1:7070\", or \"0.0.0.0:7070\" for every interface; or false";
        let text = value.text().map_err(|_| wrong)?;
        text.parse().map(Some).map_err(|_| match text.rsplit_once(':') {
            Some(("localhost", port)) => format!("names are not looked up: write \"127.0.0.1:{port}\""),
            Some((name, _)) if name.contains(|letter: char| letter.is_ascii_alphabetic()) && !name.contains(':') => {
                format!("names are not looked up: {wrong}")
            }
            _ => wrong.into(),
        })
    }

    fn show(of: &Option<SocketAddr>) -> String {
        of.map_or_else(|| "false".into(), |addr| quoted(&addr.to_string()))
    }
}

/// A file.
pub(super) struct File;

impl Kind for File {
    type Of = Option<PathBuf>;
    const NAME: &'static str = "path";

    fn read(value: Value<'_>) -> Result<Option<PathBuf>, String> {
        value.text().map(|path| if path.is_empty() { None } else { Some(path.into()) })
    }

    fn show(of: &Option<PathBuf>) -> String {
        quoted(&of.as_deref().unwrap_or_else(|| "".as_ref()).to_string_lossy())
    }
}

/// A text that may be left out, and may be empty.
pub(super) struct Text;

impl Kind for Text {
    type Of = Option<String>;
    const NAME: &'static str = "text";

    fn read(value: Value<'_>) -> Result<Option<String>, String> {
        value.text().map(|text| Some(text.to_owned()))
    }

    fn show(of: &Option<String>) -> String {
        of.as_deref().map(quoted).unwrap_or_default()
    }
}

/// Where a key set is fetched.
pub(super) struct Url;

impl Kind for Url {
    type Of = Option<String>;
    const NAME: &'static str = "URL";

    fn read(value: Value<'_>) -> Result<Option<String>, String> {
        let url = value.text()?;
        Source::url(url).map(|_| Some(url.to_owned())).map_err(|error| error.to_string())
    }

    fn show(of: &Option<String>) -> String {
        Text::show(of)
    }
}

/// A secret.
pub(super) struct Hidden;

impl Kind for Hidden {
    type Of = Option<Secret>;
    const NAME: &'static str = "secret";
    const IS_SECRET: bool = true;

    fn read(value: Value<'_>) -> Result<Option<Secret>, String> {
        value.text().map(|secret| Some(Secret(secret.to_owned())))
    }

    fn show(of: &Option<Secret>) -> String {
        of.as_ref().map(|secret| quoted(&secret.0)).unwrap_or_default()
    }
}

/// What a key is for.
pub(super) struct Signs;

impl Kind for Signs {
    type Of = Option<Algorithm>;
    const NAME: &'static str = "HS256, RS256, ES256 or EdDSA";

    fn read(value: Value<'_>) -> Result<Option<Algorithm>, String> {
        auth::algorithm(value.text()?).map(Some)
    }

    fn show(of: &Option<Algorithm>) -> String {
        of.map(|algorithm| quoted(algorithm.name())).unwrap_or_default()
    }
}

/// Web pages.
pub(super) struct Origins;

impl Kind for Origins {
    type Of = Vec<Origin>;
    const NAME: &'static str = "list of origins";

    fn read(value: Value<'_>) -> Result<Vec<Origin>, String> {
        read_list(value)
    }

    fn show(of: &Vec<Origin>) -> String {
        list(of)
    }
}

/// Networks.
pub(super) struct Networks;

impl Kind for Networks {
    type Of = Vec<Network>;
    const NAME: &'static str = "list of networks";

    fn read(value: Value<'_>) -> Result<Vec<Network>, String> {
        read_list(value)
    }

    fn show(of: &Vec<Network>) -> String {
        list(of)
    }
}

/// What somebody may in rooms.
pub(super) struct Patterns;

impl Kind for Patterns {
    type Of = Option<Grants>;
    const NAME: &'static str = "list of patterns with verbs";

    fn read(value: Value<'_>) -> Result<Option<Grants>, String> {
        let grants = value.texts()?.into_iter().map(auth::grant).collect::<Result<Vec<_>, _>>()?;
        if grants.is_empty() {
            return Ok(None);
        }
        Grants::new(grants).map(Some).ok_or_else(|| format!("there are at most {} patterns", Grants::MOST))
    }

    fn show(of: &Option<Grants>) -> String {
        let shown = |(pattern, verbs): (&Pattern, tickwire::grants::Verbs)| {
            format!("{}:{}", pattern.as_str(), verbs.names().collect::<Vec<_>>().join(","))
        };
        list(of.iter().flat_map(Grants::iter).map(shown))
    }
}

/// What operators may do.
pub(super) struct Scopes;

impl Kind for Scopes {
    type Of = Option<Vec<Scope>>;
    const NAME: &'static str = "list of read, publish, manage";

    fn read(value: Value<'_>) -> Result<Option<Vec<Scope>>, String> {
        let scopes = value.texts()?.into_iter().map(Scope::named).collect::<Option<_>>();
        scopes.map(Some).ok_or_else(|| "write some of \"read\", \"publish\" and \"manage\"".into())
    }

    fn show(of: &Option<Vec<Scope>>) -> String {
        of.as_ref().map(|scopes| list(scopes.iter().map(|scope| scope.name()))).unwrap_or_default()
    }
}

/// Names of rooms.
pub(super) struct RoomPatterns;

impl Kind for RoomPatterns {
    type Of = Option<Vec<Pattern>>;
    const NAME: &'static str = "list of patterns";

    fn read(value: Value<'_>) -> Result<Option<Vec<Pattern>>, String> {
        let patterns = value.texts()?.into_iter().map(Pattern::new).collect::<Option<_>>();
        patterns.map(Some).ok_or_else(|| "write patterns of room names, such as \"game/**\"".into())
    }

    fn show(of: &Option<Vec<Pattern>>) -> String {
        of.as_ref().map(|patterns| list(patterns.iter().map(Pattern::as_str))).unwrap_or_default()
    }
}

/// One of several words.
macro_rules! words {
    ($doc:literal $name:ident $of:ty: $words:literal $wrong:literal $($word:literal $variant:ident)+) => {
        #[doc = $doc]
        pub(super) struct $name;

        impl Kind for $name {
            type Of = $of;
            const NAME: &'static str = $words;

            fn read(value: Value<'_>) -> Result<$of, String> {
                match value.text()? {
                    $($word => Ok(<$of>::$variant),)+
                    _ => Err($wrong.into()),
                }
            }

            fn show(of: &$of) -> String {
                quoted(match of { $(<$of>::$variant => $word,)+ })
            }
        }
    };
}

words! {
    "What happens beyond a rate." Beyond Over: "drop, delay or close"
    "write \"drop\", \"delay\" or \"close\"" "drop" Drop "delay" Delay "close" Close
}
words! {
    "What members are told of each other." Presence PresenceMode: "full, counts or off"
    "write \"full\", \"counts\" or \"off\"" "full" Full "counts" Counts "off" Off
}
words! {
    "What happens to a receiver who is slow." Slow SlowPolicy: "skip or close"
    "write \"skip\" or \"close\"" "skip" Skip "close" Close
}
words! {
    "When the first page is served." Page PageMode: "auto, always or never"
    "write \"auto\", \"always\" or \"never\"" "auto" Auto "always" Always "never" Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_was_read() {
        let check = |shown: String, expected: &str| assert_eq!(shown, expected);
        check(Bytes::show(&0), "0");
        check(Bytes::show(&1000), "1000");
        check(Bytes::show(&16_384), "\"16KiB\"");
        check(Bytes::show(&(3 << 30)), "\"3GiB\"");
        check(Bytes::show(&usize::MAX), "\"18446744073709551615\"");
        check(Time::show(&Duration::ZERO), "\"0s\"");
        check(Time::show(&Duration::from_micros(16_667)), "\"16667us\"");
        check(Time::show(&Duration::from_secs(90)), "\"90s\"");
        check(Time::show(&Duration::from_secs(7200)), "\"2h\"");
        check(Address::show(&None), "false");
        check(File::show(&Some("a \"b\".pem".into())), "'a \"b\".pem'");
    }
}
