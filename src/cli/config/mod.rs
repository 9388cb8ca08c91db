//! What an operator configured: flags over a TOML file over defaults.
//!
//! ```toml
//! listen = "0.0.0.0:7070"
//! tcp = false
//! tick = "33ms"
//!
//! [limits]
//! max_message = "8KiB"
//!
//! [access]
//! origins = ["https://game.example.org"]
//!
//! [[class]]
//! pattern = "lobby/**"
//! tick = "200ms"
//! presence = "counts"
//! ```

mod access;
mod api;
pub(super) mod auth;
mod limits;
pub(super) mod observe;
mod section;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tickwire::class::{PresenceMode, RoomClass, RoomClasses, SlowPolicy};
use tickwire::limits::Limits;
use tickwire::name::Pattern;
use tickwire::server::Server;
use tickwire::server::access::AccessConfig;
use toml::de::DeTable;

pub(super) use self::auth::Auth;
use self::section::{Section, Value};
pub(super) use self::tls::Certificate;
use super::serve::ServeArguments;

/// A server's configuration, complete.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) websocket: Option<SocketAddr>,
    pub(super) tcp: Option<SocketAddr>,
    pub(super) shards: Option<usize>,
    pub(super) limits: Limits,
    pub(super) access: AccessConfig,
    pub(super) classes: RoomClasses,
    pub(super) auth: Option<Auth>,
    pub(super) insecure_anonymous: bool,
    pub(super) tls: Option<Certificate>,
    pub(super) observe: observe::Observe,
    pub(super) api_keys: api::Keys,
}

impl Config {
    /// Reads the file that the arguments name, if they do, and puts the arguments over it.
    pub(super) fn load(arguments: &ServeArguments) -> Result<Self, String> {
        let file = match &arguments.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let tcp = match arguments.tcp {
            _ if arguments.no_tcp => None,
            Some(addr) => Some(addr),
            None => file.tcp.unwrap_or_else(|| Some(local(Server::TCP_PORT))),
        };
        let mut default = RoomClass::default();
        if let Some(period) = arguments.tick.or(file.tick) {
            default.period = check_tick(period).map_err(|what| format!("tick: {what}"))?;
        }
        let observe = file.observe.under(arguments);
        let by_pattern = file.classes.into_iter().map(|class| class.over(&default)).collect();
        Ok(Self {
            websocket: Some(arguments.listen.or(file.listen).unwrap_or_else(|| local(Server::WEBSOCKET_PORT))),
            tcp,
            shards: arguments.shards.or(file.shards),
            limits: file.limits,
            access: file.access,
            classes: RoomClasses { default, by_pattern },
            auth: file.auth,
            insecure_anonymous: arguments.insecure_anonymous,
            tls: Certificate::of(arguments).or(file.tls),
            observe,
            api_keys: file.api_keys,
        })
    }
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct File {
    listen: Option<SocketAddr>,
    /// Outside: whether the file says anything; inside: where, or nowhere.
    tcp: Option<Option<SocketAddr>>,
    tick: Option<Duration>,
    shards: Option<usize>,
    limits: Limits,
    access: AccessConfig,
    classes: Vec<Class>,
    auth: Option<Auth>,
    tls: Option<Certificate>,
    observe: observe::Read,
    api_keys: api::Keys,
}

/// A `[[class]]` of a file. What it leaves out is as for other rooms.
#[derive(Debug, PartialEq, Eq)]
struct Class {
    pattern: Pattern,
    tick: Option<Duration>,
    presence: Option<PresenceMode>,
    linger: Option<Duration>,
    urgent: Option<bool>,
    slow: Option<SlowPolicy>,
    compress: Option<bool>,
    history: Past,
}

/// What a `[[class]]` says about history.
#[derive(Debug, Default, PartialEq, Eq)]
struct Past {
    batches: Option<usize>,
    bytes: Option<usize>,
    age: Option<Duration>,
}

impl Class {
    fn over(self, default: &RoomClass) -> (Pattern, RoomClass) {
        let mut class = default.clone();
        class.period = self.tick.unwrap_or(class.period);
        class.presence = self.presence.unwrap_or(class.presence);
        class.linger = self.linger.unwrap_or(class.linger);
        class.urgent = self.urgent.unwrap_or(class.urgent);
        class.slow = self.slow.unwrap_or(class.slow);
        class.compress = self.compress.unwrap_or(class.compress);
        class.history.batches = self.history.batches.unwrap_or(class.history.batches);
        class.history.bytes = self.history.bytes.unwrap_or(class.history.bytes);
        class.history.age = self.history.age.unwrap_or(class.history.age);
        (self.pattern, class)
    }
}

fn read(path: &Path) -> Result<File, String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    parse(&name, &text)
}

/// Reads a file's text; `name` is for errors.
fn parse(name: &str, text: &str) -> Result<File, String> {
    let table = DeTable::parse(text).map_err(|error| format!("{name} is not TOML: {error}"))?;
    let root = Section::root(name, text, table.get_ref());
    root.check_keys(&["listen", "tcp", "tick", "shards", "limits", "class", "access", "auth", "tls", "admin", "log"])?;
    let mut file = File {
        listen: root.get("listen", read_address)?,
        tcp: root.get("tcp", read_tcp)?,
        tick: root.get("tick", read_tick)?,
        shards: root.get("shards", Value::size)?,
        observe: observe::Read::new(&root)?,
        api_keys: api::read(&root)?,
        ..File::default()
    };
    if let Some(section) = root.section("limits")? {
        limits::read(&section, &mut file.limits)?;
        file.limits.check().map_err(|what| section.error(what))?;
    }
    file.auth = root.section("auth")?.map(|section| auth::read(&section)).transpose()?;
    file.tls = root.section("tls")?.map(|section| tls::read(&section)).transpose()?;
    if let Some(section) = root.section("access")? {
        file.access = access::read(&section)?;
    }
    for section in root.sections("class")? {
        file.classes.push(read_class(&section)?);
    }
    Ok(file)
}

fn read_class(section: &Section<'_>) -> Result<Class, String> {
    section.check_keys(&[
        "pattern",
        "tick",
        "presence",
        "linger",
        "urgent",
        "slow",
        "compress",
        "history_batches",
        "history_bytes",
        "history_age",
    ])?;
    let pattern = section.get("pattern", |value| {
        let pattern = Pattern::new(value.text()?);
        pattern
            .ok_or_else(|| "a pattern is a room name with * for a part and ** for several, such as \"game/*\"".into())
    })?;
    Ok(Class {
        pattern: pattern.ok_or_else(|| section.error("a class needs a pattern, such as pattern = \"game/*\""))?,
        tick: section.get("tick", read_tick)?,
        presence: section.get("presence", read_presence)?,
        linger: section.get("linger", Value::duration)?,
        urgent: section.get("urgent", Value::bool)?,
        slow: section.get("slow", read_slow)?,
        compress: section.get("compress", Value::bool)?,
        history: Past {
            batches: section.get("history_batches", Value::size)?,
            bytes: section.get("history_bytes", Value::size)?,
            age: section.get("history_age", Value::duration)?,
        },
    })
}

fn read_address(value: Value<'_>) -> Result<SocketAddr, String> {
    let wrong = || "write an IP address and a port, such as \"0.0.0.0:7070\"".to_owned();
    value.text().and_then(|text| text.parse().map_err(|_| wrong()))
}

fn read_tcp(value: Value<'_>) -> Result<Option<SocketAddr>, String> {
    match value.bool() {
        Ok(false) => Ok(None),
        Ok(true) => Err("write an address, such as \"0.0.0.0:7071\", or false".into()),
        Err(_) => read_address(value).map(Some),
    }
}

fn read_tick(value: Value<'_>) -> Result<Duration, String> {
    value.duration().and_then(check_tick)
}

fn check_tick(period: Duration) -> Result<Duration, String> {
    RoomClass::is_valid_period(period).then_some(period).ok_or_else(|| "a tick is 0, or from 1ms to 60s".into())
}

fn read_presence(value: Value<'_>) -> Result<PresenceMode, String> {
    match value.text()? {
        "full" => Ok(PresenceMode::Full),
        "counts" => Ok(PresenceMode::Counts),
        "off" => Ok(PresenceMode::Off),
        _ => Err("write \"full\", \"counts\" or \"off\"".into()),
    }
}

fn read_slow(value: Value<'_>) -> Result<SlowPolicy, String> {
    match value.text()? {
        "skip" => Ok(SlowPolicy::Skip),
        "close" => Ok(SlowPolicy::Close),
        _ => Err("write \"skip\" or \"close\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use tickwire::class::HistoryBounds;

    use super::*;

    #[test]
    fn what_is_deployed_can_be_read() {
        let package = parse("tickwire.toml", include_str!("../../../deploy/tickwire.toml")).unwrap();
        assert_eq!((package.auth, package.tls, package.classes.len()), (None, None, 0));
        assert!(package.listen.is_some_and(|addr| addr.ip().is_loopback()), "it starts without keys");
        // Defaults are as they are said, and examples can be used: without their #, all keys are known.
        let text = include_str!("../../../deploy/tickwire.toml");
        let whole: String = text.lines().map(|line| format!("{}\n", uncomment(line))).collect();
        let all = parse("tickwire.toml", &whole).unwrap();
        assert_eq!(all.limits, Limits::default());
        assert_eq!(all.tick, Some(RoomClass::default().period));
        assert_eq!((all.classes.len(), all.auth.map_or(0, |auth| auth.issuers.len())), (1, 1));
        let image = parse("tickwire.toml", include_str!("../../../deploy/docker/tickwire.toml")).unwrap();
        assert_eq!((image.listen, image.auth), ("0.0.0.0:7070".parse().ok(), None), "it starts with keys only");
    }

    /// A line whose # is in front of a key or a section, and of no sentence.
    fn uncomment(line: &str) -> &str {
        let Some(rest) = line.strip_prefix('#') else { return line };
        if rest.starts_with(' ') { line } else { rest }
    }

    fn check_error(text: &str, expected: &str) {
        let error = parse("x.toml", text).unwrap_err();
        assert!(error.contains(expected), "{error:?} should contain {expected:?}");
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let text = "
            listen = '0.0.0.0:80'
            tcp = false
            tick = '33ms'
            shards = 3
            [limits]
            max_message = '8KiB'
            max_rooms = 7
            refusals_per_sec = 9
            ping_interval = '1m'
            [[class]]
            pattern = 'game/*'
            tick = 0
            presence = 'counts'
            [[class]]
            pattern = '**'
            linger = '5s'
            urgent = false
            slow = 'close'
            compress = false
            history_batches = 0
            history_age = '5s'
        ";
        let file = parse("x.toml", text).unwrap();
        assert_eq!(file.listen.unwrap().to_string(), "0.0.0.0:80");
        assert_eq!((file.tcp, file.shards), (Some(None), Some(3)));
        assert_eq!((file.limits.max_message, file.limits.max_rooms), (8192, 7));
        assert_eq!((file.limits.refusals_per_sec, file.limits.ping_interval), (9, Duration::from_secs(60)));
        let default = RoomClass::default();
        let [game, all] = file.classes.try_into().unwrap();
        let (_, game) = Class::over(game, &default);
        assert_eq!((game.period, game.presence, game.urgent), (Duration::ZERO, PresenceMode::Counts, true));
        let (_, all) = Class::over(all, &default);
        assert_eq!((all.period, all.linger, all.urgent), (default.period, Duration::from_secs(5), false));
        assert_eq!((all.slow, all.compress), (SlowPolicy::Close, false));
        let history = HistoryBounds { batches: 0, age: Duration::from_secs(5), ..default.history };
        assert_eq!(all.history, history);
        assert_eq!(parse("x.toml", "").unwrap(), File::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_what_to_do() {
        check_error("tik = '33ms'", "x.toml:1: unknown key `tik`; did you mean `tick`?");
        check_error(
            "\n\n[limits]\nmax_mesage = 1",
            "x.toml:4: unknown key `max_mesage` in [limits]; did you mean `max_message`?",
        );
        check_error(
            "[[class]]\npattern = 'a'\n[[class]]\npatern = 'a'",
            "x.toml:4: unknown key `patern` in [[class]]; did you",
        );
        check_error("[limit]\n", "did you mean `limits`?");
        check_error("quantum_entanglement = 1", "known are: listen, tcp, tick");
        check_error("tick = 33", "x.toml:1: tick: write a duration with its unit");
        check_error("tick = '33'", "'33' is not a duration");
        check_error("tick = '2m'", "from 1ms to 60s");
        check_error("shards = 'two'", "shards: 'two' is not a size");
        check_error("shards = -1", "must not be negative");
        check_error("listen = 7070", "listen: write a string, such as");
        check_error("listen = 'localhost'", "listen: write an IP address and a port");
        check_error("tcp = true", "or false");
        check_error("limits = 1", "x.toml:1: limits: this must be a table");
        check_error("[class]\npattern = 'a'", "[[class]]");
        check_error("[[class]]\ntick = '1s'", "x.toml:1: a class needs a pattern");
        check_error("[[class]]\npattern = 'a b'", "game/*");
        check_error("[[class]]\npattern = 'a'\npresence = 'some'", "\"counts\"");
        check_error("[[class]]\npattern = 'a'\nurgent = 'no'", "urgent: write true or false");
        check_error("[[class]]\npattern = 'a'\nslow = 'kick'", "slow: write \"skip\" or \"close\"");
        check_error("[[class]]\npattern = 'a'\nhistory = false", "did you mean `history_age`?");
        check_error("[limits]\nmax_frame = '1MiB'", "x.toml:1: max_frame is at most 65535");
        check_error("[limits]\npings_burst = '5GiB'", "at most 4294967295");
        check_error("[limits]\nover_joins = 'kick'", "over_joins: write \"drop\", \"delay\" or \"close\"");
        check_error("[limits]\nover_pings = 'drop'", "x.toml:1: over_pings");
        check_error("a = ", "x.toml is not TOML");
    }

    #[test]
    fn flags_win() {
        let mut arguments = ServeArguments { no_tcp: true, tick: Some(Duration::from_millis(5)), ..Default::default() };
        let config = Config::load(&arguments).unwrap();
        assert_eq!(config.websocket.unwrap().to_string(), "127.0.0.1:7070");
        assert_eq!((config.tcp, config.classes.default.period), (None, Duration::from_millis(5)));
        arguments.tick = Some(Duration::from_secs(61));
        assert!(Config::load(&arguments).unwrap_err().contains("tick: a tick is 0"));
        arguments = ServeArguments { config: Some("/nowhere/x.toml".into()), ..Default::default() };
        assert!(Config::load(&arguments).unwrap_err().contains("/nowhere/x.toml cannot be read"));
    }
}
