//! Tells the service manager how the server is: ready, stopping, alive (`sd_notify(3)`).
//!
//! ```text
//! $NOTIFY_SOCKET <── READY=1, RELOADING=1, STOPPING=1
//!                <── WATCHDOG=1, three times in $WATCHDOG_USEC, as long as every shard answers
//! ```
//!
//! A datagram to a socket that the manager names: no more is needed. Where none is named, nobody is told.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tickwire::server::Handle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

/// The service manager.
#[derive(Debug)]
pub(super) struct Notifier {
    socket: UnixDatagram,
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Clients may come, and configuration that was read again holds.
    Ready,
    /// Configuration is read again.
    Reloading,
    /// The server is going away.
    Stopping,
    /// Every shard has just answered.
    Alive,
}

impl State {
    const fn line(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Reloading => b"RELOADING=1",
            Self::Stopping => b"STOPPING=1",
            Self::Alive => b"WATCHDOG=1",
        }
    }
}

impl Notifier {
    /// The manager that the environment names, if it does.
    pub(super) fn from_env() -> Option<Self> {
        let path = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
        let opened = Self::open(&path);
        opened.inspect_err(|error| warn!("NOTIFY_SOCKET cannot be used, nobody is told: {error}")).ok()
    }

    /// The manager behind a path, or behind an abstract name, which begins with `@`.
    fn open(path: &OsStr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // It must never hold the server up.
        socket.set_nonblocking(true)?;
        match path.as_encoded_bytes().split_first() {
            #[cfg(target_os = "linux")]
            Some((b'@', name)) => {
                use std::os::linux::net::SocketAddrExt;
                socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
            }
            Some((b'/', _)) => socket.connect(path)?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
        }
        Ok(Self { socket })
    }

    /// Tells it. What cannot be told is logged: the manager will draw its own conclusions.
    pub(super) fn tell(&self, state: State) {
        if let Err(error) = self.socket.send(state.line()) {
            warn!("the service manager cannot be told {state:?}: {error}");
        }
    }

    /// Tells it that the server is alive, as long as it is. Runs until it is dropped.
    pub(super) async fn watch(&self, server: &Handle, watchdog: Duration) {
        let mut ticks = interval(watchdog / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if server.answers().await {
                self.tell(State::Alive);
            } else {
                error!("a shard does not answer; the service manager is not told that all is well");
            }
        }
    }
}

/// How long the manager waits for a sign of life, where it waits for one from this process.
pub(super) fn watchdog() -> Option<Duration> {
    read_watchdog(|name| std::env::var(name).ok(), std::process::id())
}

fn read_watchdog(variable: impl Fn(&str) -> Option<String>, us: u32) -> Option<Duration> {
    let micros = variable("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0)?;
    let theirs = variable("WATCHDOG_PID").is_some_and(|pid| pid.parse() != Ok(us));
    (!theirs).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use tickwire::server::Server;

    use super::*;

    /// What a manager with this socket hears next.
    fn hear(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_behind_a_path_hears_every_state() {
        let dir = std::env::temp_dir().join(format!("tickwire-notify-{}", std::process::id()));
        let manager = UnixDatagram::bind(&dir).unwrap();
        let notifier = Notifier::open(dir.as_os_str()).unwrap();
        let states = [State::Ready, State::Reloading, State::Stopping, State::Alive];
        states.iter().for_each(|state| notifier.tell(*state));
        let heard: Vec<String> = states.iter().map(|_| hear(&manager)).collect();
        assert_eq!(heard, ["READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1"]);
        std::fs::remove_file(&dir).unwrap();
        assert!(Notifier::open(dir.as_os_str()).is_err(), "it is gone");
        // Nobody listens any more: that must not hurt.
        drop(manager);
        notifier.tell(State::Alive);
        for wrong in ["", "relative", "vsock:2:1"] {
            assert!(Notifier::open(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn signs_of_life_come_while_shards_answer() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("tickwire-notify-{}", std::process::id());
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&addr).unwrap();
        let notifier = Notifier::open(OsStr::new(&format!("@{name}"))).unwrap();
        let any = "127.0.0.1:0".parse().ok();
        let server = Server::builder().websocket(any).tcp(None).shards(2).bind().await.unwrap();
        let handle = server.handle();
        // Before it runs nobody answers.
        assert!(!handle.answers().await);
        let running = tokio::spawn(server.run(std::future::pending()));
        let watching = handle.clone();
        let watch = tokio::spawn(async move { notifier.watch(&watching, Duration::from_millis(30)).await });
        let heard = tokio::task::spawn_blocking(move || [hear(&manager), hear(&manager)]).await.unwrap();
        assert_eq!(heard, ["WATCHDOG=1", "WATCHDOG=1"]);
        watch.abort();
        handle.drain();
        handle.going_away().await;
        running.await.unwrap().unwrap();
        assert!(!handle.answers().await, "its shards are gone");
    }

    #[test]
    fn the_watchdog_may_be_anothers() {
        let check = |usec: Option<&str>, pid: Option<&str>, expected: Option<u64>| {
            let variable = |name: &str| if name == "WATCHDOG_USEC" { usec } else { pid }.map(str::to_owned);
            assert_eq!(read_watchdog(variable, 42), expected.map(Duration::from_micros), "{usec:?} {pid:?}");
        };
        check(None, None, None);
        check(Some("30000000"), None, Some(30_000_000));
        check(Some("30000000"), Some("42"), Some(30_000_000));
        check(Some("30000000"), Some("41"), None);
        check(Some("0"), None, None);
        check(Some("soon"), None, None);
    }
}
