//! What an operator configured: flags over the environment over a TOML file over defaults.
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
//!
//! There is one table of keys (`table`), from which reading, the variables, `config default`, `config show` and the
//! reference in `docs/configuration.md` come. Everything wrong is found in one go.

mod api;
pub(super) mod auth;
pub(super) mod change;
mod class;
#[cfg(test)]
mod deployed;
pub(super) mod environment;
pub(super) mod key;
mod layers;
mod limits;
pub(super) mod observe;
mod section;
pub(super) mod show;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod warnings;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tickwire::auth::Verifier;
use tickwire::class::RoomClass;
use tickwire::grants::Grants;
use tickwire::limits::Limits;
use tickwire::name::Pattern;
use tickwire::server::Server;
use tickwire::server::access::AccessConfig;

use self::api::KeyEntry;
use self::auth::IssuerFile;
use self::key::Key;
use self::layers::Layers;
pub(super) use self::layers::Origin;
use self::section::Section;
use self::table::TABLES;
pub(super) use self::tls::Certificate;
use self::tls::TlsFile;

/// A server's configuration, complete.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) websocket: Option<SocketAddr>,
    pub(super) tcp: Option<SocketAddr>,
    tick: Duration,
    /// 0 for one per core.
    pub(super) shards: usize,
    page: PageMode,
    pub(super) insecure_anonymous: bool,
    pub(super) limits: Limits,
    pub(super) access: AccessConfig,
    leeway: Duration,
    pub(super) query: bool,
    anonymous: Option<Grants>,
    pub(super) issuers: Vec<IssuerFile>,
    tls: TlsFile,
    pub(super) admin: Option<SocketAddr>,
    api_keys: Vec<KeyEntry>,
    access_log: usize,
    pub(super) log_json: bool,
    classes: Vec<(Pattern, RoomClass)>,
    /// Who has said what is not a default.
    origins: BTreeMap<String, Origin>,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            websocket: local(Server::WEBSOCKET_PORT),
            tcp: local(Server::TCP_PORT),
            tick: RoomClass::default().period,
            shards: 0,
            page: PageMode::default(),
            insecure_anonymous: false,
            limits: Limits::default(),
            access: AccessConfig::default(),
            leeway: Verifier::LEEWAY,
            query: false,
            anonymous: None,
            issuers: Vec::new(),
            tls: TlsFile::default(),
            admin: local(Server::ADMIN_PORT),
            api_keys: Vec::new(),
            access_log: 0,
            log_json: false,
            classes: Vec::new(),
            origins: BTreeMap::new(),
        }
    }
}

/// When the first page is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PageMode {
    /// Where clients need no token: elsewhere most who see it could not come in.
    #[default]
    Auto,
    Always,
    Never,
}

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) file: Option<PathBuf>,
    /// The path of a key, the flag that sets it, and the value as a variable would say it.
    pub(super) flags: Vec<(&'static str, &'static str, String)>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

/// Everything that is wrong with a configuration, a sentence each; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problems(pub(super) Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [only] => f.write_str(only),
            all => {
                write!(f, "{} things are wrong with the configuration:", all.len())?;
                all.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl Sources {
    /// The file that a flag names, or a variable; then what variables say, and then these flags.
    pub(super) fn new(file: Option<PathBuf>, flags: Vec<(&'static str, &'static str, String)>) -> Self {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let named = || environment.iter().find(|(name, value)| name == environment::FILE && !value.is_empty());
        let file = file.or_else(|| named().map(|(_, path)| path.into()));
        Self { file, flags, environment }
    }

    /// Only a file.
    pub(super) fn of_file(file: PathBuf) -> Self {
        Self { file: Some(file), ..Self::default() }
    }
}

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn load(sources: &Sources) -> Result<Self, Problems> {
        let mut file = None;
        if let Some(path) = &sources.file {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Problems(vec![format!("{name} cannot be read: {error}")]))?;
            file = Some((name, text));
        }
        read(file.as_ref().map(|(name, text)| (name.as_str(), text.as_str())), sources)
    }

    /// Who has said the value at a path.
    pub(super) fn origin(&self, path: &str) -> &Origin {
        self.origins.get(path).unwrap_or(&Origin::Default)
    }

    /// Whether the first page is served.
    pub(super) fn has_page(&self) -> bool {
        match self.page {
            PageMode::Auto => !self.has_auth(),
            PageMode::Always => true,
            PageMode::Never => false,
        }
    }

    /// Where clients and operators come in.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let all = [("listen", self.websocket), ("tcp", self.tcp), ("admin.listen", self.admin)];
        all.into_iter().filter_map(|(path, addr)| Some((path, addr?)))
    }
}

/// Whether only this machine reaches an address.
fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Reads a file's text alone; `name` is for errors.
#[cfg(test)]
pub(super) fn parse(name: &str, text: &str) -> Result<Config, Problems> {
    read(Some((name, text)), &Sources::default())
}

/// Reads a file's name and text, and what stands above it.
pub(super) fn read(file: Option<(&str, &str)>, sources: &Sources) -> Result<Config, Problems> {
    let mut layers = Layers::default();
    if let Some((name, text)) = file {
        layers.add_file(name, text);
    }
    environment::read(&sources.environment, &mut layers);
    for (path, flag, value) in &sources.flags {
        layers.put((*path).to_owned(), value.clone(), Origin::Flag(flag));
    }
    let mut config = Config::default();
    fill(&layers, &mut config);
    let (problems, origins) = layers.into_parts();
    config.origins = origins;
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

fn fill(layers: &Layers<'_>, config: &mut Config) {
    let root = Section::root(layers);
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).filter(|name| !name.is_empty()).collect();
    for table in TABLES {
        if table.name.is_empty() {
            let inner = [table.inner, &names[..]].concat();
            root.read(table.keys, &inner, config);
            continue;
        }
        let section = root.section(table.name);
        section.read(table.keys, table.inner, config);
        match table.name {
            "access" => check(&section, table.keys, config, config.access.check()),
            "auth" => auth::read(&section, config),
            "admin" => api::read(&section, config),
            "tls" => tls::check(&section, &config.tls),
            "limits" => check(&section, table.keys, config, config.limits.check()),
            _ => {}
        }
    }
    class::read(&root, config);
    check_addresses(&root, config);
}

/// Says what is wrong with several values together, and what those are that the sentence names.
fn check(section: &Section<'_>, keys: &[Key<Config>], config: &Config, checked: Result<(), &'static str>) {
    let Err(what) = checked else { return };
    let words: Vec<&str> = what.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let named = keys.iter().filter(|key| words.contains(&key.name));
    let values: Vec<String> = named.map(|key| format!("{} = {}", key.name, (key.show)(config))).collect();
    section.problem(&format!("{what} ({})", values.join(", ")));
}

/// What [`Server`] would refuse, said in an operator's words.
fn check_addresses(root: &Section<'_>, config: &Config) {
    if config.websocket.is_none() && config.tcp.is_none() {
        root.problem("listen and tcp are both false: clients need one of them");
    }
    let taken = |one: SocketAddr, other: SocketAddr| one == other && one.port() != 0;
    let all: Vec<_> = config.addresses().collect();
    for (index, (path, addr)) in all.iter().enumerate() {
        if let Some((other, _)) = all.iter().take(index).find(|(_, other)| taken(*addr, *other)) {
            root.problem(&format!("{path} is the address of {other} already: {addr}"));
        }
        if !is_local(addr.ip()) && !config.has_auth() && !config.insecure_anonymous {
            let origin = root.layers.origin(path).unwrap_or_default();
            let what = format!(
                "{path}: {addr} can be reached from other machines, and without keys everybody there may everything: put \
                 keys under [[auth.issuer]], listen on 127.0.0.1 only, or say insecure_anonymous = true"
            );
            root.layers.problem(&origin, &what);
        }
    }
}
