//! How each server is started: its program, its configuration with the ports filled in, and why it cannot be.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::{self, free_ports};
use super::install;
use super::options::Options;
use super::roster::{Kind, Subject};
use super::scratch::Scratch;

/// A command, and the port on which it will listen.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(&'static str, OsString)>,
    pub(crate) port: u16,
}

/// Why a server cannot be started here, if so.
pub(crate) fn lack(subject: &Subject, options: &Options) -> Option<String> {
    let program = |name: &str| (!install::has(name)).then(|| format!("{name} is not in the path (--install)"));
    let package = |name: &str| {
        let missing = install::node_package(name).is_none().then(|| format!("{name} of npm is not there (--install)"));
        program("node").or(missing)
    };
    match subject.kind {
        Kind::Floor { .. } => None,
        Kind::Tickwire { .. } => {
            let path = tickwire(options);
            (!path.is_file()).then(|| format!("{} is not there: cargo build --release", path.display()))
        }
        Kind::Mosquitto { .. } => program("mosquitto"),
        Kind::Nats { .. } => program("nats-server"),
        Kind::Redis => program("redis-server"),
        Kind::NodeWs => package("ws"),
        Kind::SocketIo => package("socket.io"),
        Kind::UWebSockets => match install::uwebsockets() {
            None => Some("the library of PyPI's socketify is not there (--install)".into()),
            Some(_) => program("cc"),
        },
    }
}

impl Launch {
    /// Prepares a start; `work` may need another configuration.
    pub(crate) fn new(subject: &Subject, work: &str, options: &Options, scratch: &Scratch) -> io::Result<Self> {
        let [port, other] = free_ports()?;
        let (p, o) = (port.to_string(), other.to_string());
        let configured = |name: &str, text: &str, rest: &[(&str, &str)]| {
            let text = rest.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value));
            scratch.write(name, &text)
        };
        let launch = |program: &Path, arguments: Vec<OsString>| {
            Ok(Self { program: program.into(), arguments, variables: Vec::new(), port })
        };
        match subject.kind {
            Kind::Floor { ws, tick, urgent } => {
                let carrier = if ws { "ws" } else { "tcp" };
                let when = if urgent { child::URGENT } else { child::TICK };
                launch(
                    &std::env::current_exe()?,
                    [child::FLOOR, &p, &tick.to_string(), carrier, when].map(OsString::from).into(),
                )
            }
            Kind::Tickwire { ws, tick } => {
                let text = match () {
                    () if work.starts_with("sat") => TICKWIRE_SATURATED,
                    () if subject.name.ends_with("-values") => TICKWIRE_VALUES,
                    () => TICKWIRE,
                };
                let (websocket, tcp) = if ws { (&p, &o) } else { (&o, &p) };
                let marks = [("@WEBSOCKET@", &websocket[..]), ("@TCP@", tcp), ("@TICK@", &tick.to_string())];
                let file = configured("tickwire.toml", text, &marks)?;
                launch(&tickwire(options), vec!["serve".into(), "--config".into(), file.into()])
            }
            Kind::Mosquitto { ws } => {
                let protocol = if ws { "websockets" } else { "mqtt" };
                let marks = [("@PORT@", &p[..]), ("@OTHER@", &o), ("@PROTOCOL@", protocol)];
                let file = configured("mosquitto.conf", include_str!("servers/mosquitto.conf"), &marks)?;
                launch(&found("mosquitto"), vec!["-c".into(), file.into()])
            }
            Kind::Nats { ws } => {
                let (websocket, tcp) = if ws { (&p, &o) } else { (&o, &p) };
                let marks = [("@WEBSOCKET@", &websocket[..]), ("@TCP@", tcp)];
                let file = configured("nats.conf", include_str!("servers/nats.conf"), &marks)?;
                launch(&found("nats-server"), vec!["-c".into(), file.into()])
            }
            Kind::Redis => {
                let file = configured("redis.conf", include_str!("servers/redis.conf"), &[("@PORT@", &p)])?;
                launch(&found("redis-server"), vec![file.into()])
            }
            Kind::NodeWs => Ok(Self::node(scratch.write("ws.js", include_str!("servers/ws.js"))?, port)),
            Kind::SocketIo => Ok(Self::node(scratch.write("socketio.js", include_str!("servers/socketio.js"))?, port)),
            Kind::UWebSockets => launch(&build_uwebsockets(scratch)?, vec![p.into()]),
        }
    }

    fn node(script: PathBuf, port: u16) -> Self {
        let modules = super::scratch::installed().join("node/node_modules");
        Self {
            program: "node".into(),
            arguments: vec![script.into(), port.to_string().into()],
            variables: vec![("NODE_PATH", modules.into()), ("NODE_ENV", "production".into())],
            port,
        }
    }
}

/// The `tickwire` program: as asked for, or the one that cargo built beside this.
pub(crate) fn tickwire(options: &Options) -> PathBuf {
    let beside = || {
        let own = std::env::current_exe().unwrap_or_default();
        // This is target/release/deps/peers-HASH.
        own.ancestors().nth(2).unwrap_or_else(|| Path::new("target/release")).join("tickwire")
    };
    let path = options.server.clone().unwrap_or_else(beside);
    // The server is started in another folder.
    std::path::absolute(&path).unwrap_or(path)
}

/// Debian keeps servers where not every path looks.
fn found(program: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(program);
    if sbin.is_file() { sbin } else { program.into() }
}

/// Compiles the few lines that drive uWebSockets, once in a run.
fn build_uwebsockets(scratch: &Scratch) -> io::Result<PathBuf> {
    let program = scratch.path().join("uwebsockets");
    if program.is_file() {
        return Ok(program);
    }
    let library = install::uwebsockets().ok_or(io::ErrorKind::NotFound)?;
    let source = scratch.write("uwebsockets.c", include_str!("servers/uwebsockets.c"))?;
    let mut cc = Command::new("cc");
    // Its own dependency, libuv, is looked for when it starts.
    cc.args(["-O2", "-Wall", "-Wl,--allow-shlib-undefined", "-o"]).arg(&program).arg(source).arg(library);
    let output = cc.output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("cc: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(program)
}

const TICKWIRE: &str = include_str!("servers/tickwire.toml");
const TICKWIRE_SATURATED: &str = include_str!("servers/tickwire-saturated.toml");
const TICKWIRE_VALUES: &str = include_str!("servers/tickwire-values.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_of_a_configuration_is_filled_in() {
        let options = Options::from_arguments(&[]).unwrap();
        let scratch = Scratch::new().unwrap();
        let kinds =
            [Kind::Tickwire { ws: true, tick: 0 }, Kind::Mosquitto { ws: true }, Kind::Nats { ws: false }, Kind::Redis];
        for (kind, work) in kinds.into_iter().flat_map(|kind| [(kind, "A"), (kind, "satA")]) {
            let subject = Subject { name: "x".into(), dialect: "x".into(), kind };
            let launch = Launch::new(&subject, work, &options, &scratch).unwrap();
            let file = launch.arguments.last().unwrap();
            let text = std::fs::read_to_string(file).unwrap();
            assert!(!text.contains('@') && text.contains(&launch.port.to_string()), "{text}");
        }
    }
}
