//! `tickwire serve`: a server until a signal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
#[cfg(unix)]
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::server::{Builder, Counters, Error, Handle, Server, Tls};
use tokio::sync::oneshot;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::config::observe::Observe;
use super::config::{Certificate, Config, Sources};
#[cfg(unix)]
use super::notify::{self, Notifier, State};
use super::reload::{self, Hangups};
use super::{Failure, units};

/// What an operator may set on the command line. It wins over the file.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArguments {
    /// Where to serve HTTP and WebSocket [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) listen: Option<SocketAddr>,
    /// Where to serve TCP [default: 127.0.0.1:7071]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) tcp: Option<SocketAddr>,
    /// Serve no TCP
    #[arg(long, conflicts_with = "tcp")]
    pub(super) no_tcp: bool,
    /// Where to serve metrics, health checks and rooms' events to operators [default: 127.0.0.1:7072]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) admin: Option<SocketAddr>,
    /// Serve operators nothing
    #[arg(long, conflicts_with = "admin")]
    pub(super) no_admin: bool,
    /// Time between flushes of a room, from 1ms to 60s; 0 flushes at once [default: 50ms]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub(super) tick: Option<Duration>,
    /// How many threads own rooms and sockets [default: one per core]
    #[arg(long, value_name = "N")]
    pub(super) shards: Option<usize>,
    /// A TOML file; `tickwire config default` prints one with every key [default: TICKWIRE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Serve clients that have proved nothing and may everything on public addresses too
    #[arg(long)]
    pub(super) insecure_anonymous: bool,
    /// A certificate chain in PEM: both addresses speak TLS then
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Speak TLS with a new certificate that nobody has signed, for trying it
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(super) tls_self_signed: bool,
    /// Log as JSON, one object a line
    #[arg(long)]
    pub(super) log_json: bool,
}

/// Reads an address, and says what one looks like.
fn address(text: &str) -> Result<SocketAddr, String> {
    let hint = "write an IP address and a port, such as 127.0.0.1:7070, or 0.0.0.0:7070 for every interface";
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port))).map_err(|_| hint.into()),
        None => text.parse().map_err(|_| hint.into()),
    }
}

/// Serves until a signal.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(format!("the runtime does not start: {error}")))?;
    // Before anything is read: a SIGHUP that comes meanwhile must not end us.
    let hangups = runtime.block_on(async { Hangups::new() });
    let hangups = hangups.map_err(|error| Failure::Runtime(format!("signals cannot be caught: {error}")))?;
    let sources = arguments.sources();
    let config = Config::load(&sources).map_err(|problems| Failure::Usage(problems.to_string()))?;
    start_log(config.log_json)?;
    runtime.block_on(serve(config, sources, hangups))
}

impl ServeArguments {
    /// The file, the environment, and what the flags say.
    pub(super) fn sources(&self) -> Sources {
        let mut flags = Vec::new();
        let mut put = |path, flag, value: Option<String>| flags.extend(value.map(|value| (path, flag, value)));
        let text = |addr: SocketAddr| addr.to_string();
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let set = |is_set: bool, value: &str| is_set.then(|| value.to_owned());
        put("listen", "--listen", self.listen.map(text));
        put("tcp", "--tcp", self.tcp.map(text));
        put("tcp", "--no-tcp", set(self.no_tcp, "false"));
        put("admin.listen", "--admin", self.admin.map(text));
        put("admin.listen", "--no-admin", set(self.no_admin, "false"));
        put("tick", "--tick", self.tick.map(|tick| format!("{}us", tick.as_micros())));
        put("shards", "--shards", self.shards.map(|shards| shards.to_string()));
        put("insecure_anonymous", "--insecure-anonymous", set(self.insecure_anonymous, "true"));
        put("log.json", "--log-json", set(self.log_json, "true"));
        put("tls.cert", "--tls-cert", self.tls_cert.as_ref().map(path));
        put("tls.key", "--tls-key", self.tls_key.as_ref().map(path));
        if self.tls_cert.is_some() {
            put("tls.self_signed", "--tls-cert", Some("false".into()));
        }
        if self.tls_self_signed {
            put("tls.cert", "--tls-self-signed", Some(String::new()));
            put("tls.key", "--tls-self-signed", Some(String::new()));
            put("tls.self_signed", "--tls-self-signed", Some("true".into()));
        }
        Sources::new(self.config.clone(), flags)
    }
}

async fn serve(config: Config, sources: Sources, hangups: Hangups) -> Result<(), Failure> {
    raise_descriptors(&config.limits);
    let classes = config.room_classes();
    let verifier = config.verifier().map_err(|problems| Failure::Usage(problems_of(problems)))?;
    let mut builder = Server::builder()
        .websocket(config.websocket)
        .tcp(config.tcp)
        .limits(config.limits.clone())
        .access(config.access.clone())
        .classes(classes.clone())
        .api_keys(config.api_keys());
    builder = builder.insecure_anonymous(config.insecure_anonymous);
    if let Some(verifier) = &verifier {
        builder = builder.identify(verifier.clone()).query_tokens(config.query);
    }
    if config.shards > 0 {
        builder = builder.shards(config.shards);
    }
    let addresses: Vec<SocketAddr> = config.websocket.into_iter().chain(config.tcp).collect();
    let certificate = config.certificate();
    let tls = certificate.as_ref().map(|certificate| certificate.load(&addresses)).transpose();
    let tls = tls.map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(tls) = &tls {
        builder = builder.tls(tls.clone());
    }
    let server = bind(builder, config.observe()).await.map_err(explain)?;
    let (stop, stopped) = oneshot::channel();
    let mut signals = Signals::new().map_err(|error| Failure::Runtime(format!("signals cannot be caught: {error}")))?;
    announce(&server, &classes, tls.as_ref(), certificate == Some(Certificate::SelfSigned))?;
    #[cfg(unix)]
    let manager = Notifier::from_env().map(Arc::new);
    let reloader = reload::Reloader::new(sources, config, server.handle(), tls, verifier);
    #[cfg(unix)]
    let reloader = reloader.telling(manager.clone());
    tokio::spawn(reload::run(hangups, reloader));
    tokio::spawn(async move {
        signals.next().await;
        eprintln!("stopping: clients are told and may finish; a second signal exits at once");
        let _ = stop.send(());
        signals.next().await;
        // As a shell reports a program that SIGINT ended.
        std::process::exit(130);
    });
    let handle = server.handle();
    #[cfg(unix)]
    tokio::spawn(tell_manager(handle.clone(), manager));
    // The other half is gone only when the task above panicked; stopping is right then too.
    tokio::spawn(super::trim::run(handle.clone()));
    let ended = server.run(async { stopped.await.unwrap_or_default() }).await.map_err(explain);
    report(&handle.counters());
    ended
}

/// Binds everything. Where nobody asked for the operators' address and another program has it, the server
/// starts without.
async fn bind(builder: Builder, observe: Observe) -> Result<Server, Error> {
    let builder = builder.access_log(observe.access);
    let bound = builder.clone().admin(observe.admin).bind().await;
    match bound {
        Err(Error::Bind { addr, source }) if observe.admin_is_default && Some(addr) == observe.admin => {
            warn!("no metrics: {addr} cannot be bound: {source} (--admin ADDR or --no-admin)");
            builder.bind().await
        }
        bound => bound,
    }
}

/// Tells the service manager, where there is one, how the server is, until that ends.
#[cfg(unix)]
async fn tell_manager(server: Handle, manager: Option<Arc<Notifier>>) {
    let Some(manager) = manager else { return };
    let ready = async {
        // Its addresses are bound; ready is who answers.
        let mut tries = tokio::time::interval(Duration::from_millis(100));
        while !server.answers().await {
            tries.tick().await;
        }
        manager.tell(State::Ready);
        if let Some(watchdog) = notify::watchdog() {
            manager.watch(&server, watchdog).await;
        }
    };
    let stopping = async {
        server.going_away().await;
        manager.tell(State::Stopping);
        // A drain may take longer than the manager's patience with the silent.
        std::future::pending::<()>().await;
    };
    tokio::join!(ready, stopping);
}

/// Says at the end what was done for slow and returning receivers, as far as there was something.
fn report(counters: &Counters) {
    let counts = counters.entries().into_iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    if !counts.is_empty() {
        info!("slow and returning receivers: {}", counts.join(", "));
    }
}

/// Several problems as one text.
fn problems_of(problems: Vec<String>) -> String {
    super::config::Problems(problems).to_string()
}

/// What the server says, and what to do about it.
fn explain(error: Error) -> Failure {
    let text = error.to_string();
    match error {
        Error::Bind { .. } => Failure::Runtime(format!("{text} (--listen, --tcp, --no-tcp, --admin, --no-admin)")),
        Error::ShardDied => Failure::Runtime(text),
        Error::Anonymous(_) => Failure::Usage(format!(
            "{text}.\nThree ways on: put keys under [auth] into --config, and make tokens with `tickwire token create`; \
             --listen 127.0.0.1:7070 and --tcp 127.0.0.1:7071; or, where everybody may everything, --insecure-anonymous"
        )),
        _ => Failure::Usage(text),
    }
}

/// Prints where clients find the server, and how to try it.
fn announce(server: &Server, classes: &RoomClasses, tls: Option<&Tls>, self_signed: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "tickwire {}", env!("CARGO_PKG_VERSION"))?;
    let reachable = |addr: SocketAddr| match addr.ip() {
        // Nobody connects to "every interface".
        ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], addr.port())),
        _ => addr,
    };
    let (tcp, websocket) = if tls.is_some() { ("tls", "wss") } else { ("tcp", "ws") };
    let mut url = String::new();
    if let Some(addr) = server.tcp_addr() {
        url = format!("{tcp}://{}", reachable(addr));
        line(&mut out, tcp, &format_args!("{tcp}://{addr}"))?;
    }
    if let Some(addr) = server.websocket_addr() {
        url = format!("{websocket}://{}/ws", reachable(addr));
        line(&mut out, "websocket", &format_args!("{websocket}://{addr}/ws"))?;
    }
    if let Some(addr) = server.admin_addr() {
        line(&mut out, "admin", &format_args!("http://{addr}/metrics"))?;
        line(&mut out, "page", &format_args!("http://{addr}/admin"))?;
    }
    line(&mut out, "tick", &units::show_duration(classes.default.period))?;
    if let Some(tls) = tls {
        line(&mut out, "sha-256", &tls.fingerprint())?;
    }
    let trust = tls.filter(|_| self_signed).map(|tls| format!(" --fingerprint {}", tls.fingerprint()));
    let trust = trust.unwrap_or_default();
    let url = if url == super::sub::DEFAULT_URL { String::new() } else { format!(" --url {url}") };
    line(&mut out, "try", &format_args!("tickwire sub demo{url}{trust}"))?;
    line(&mut out, "and", &format_args!("tickwire pub demo hello{url}{trust}"))?;
    line(&mut out, "stop", &"Ctrl-C")?;
    out.flush()
}

fn line(out: &mut impl Write, name: &str, value: &impl Display) -> io::Result<()> {
    writeln!(out, "  {name:<10} {value}")
}

/// Logs to standard error, filtered by `TICKWIRE_LOG`.
fn start_log(json: bool) -> Result<(), Failure> {
    let text = std::env::var("TICKWIRE_LOG").unwrap_or_else(|_| "tickwire=info,warn".to_owned());
    let filter = EnvFilter::builder()
        .parse(&text)
        .map_err(|error| Failure::Usage(format!("TICKWIRE_LOG: {error}; write something like tickwire=debug,warn")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if json {
        log.json().init();
    } else {
        log.with_ansi(io::stderr().is_terminal()).init();
    }
    Ok(())
}

/// Takes as many file descriptors as the system gives without asking.
fn raise_descriptors(limits: &Limits) {
    // Listeners, the runtime's own, and standard streams.
    let wanted = limits.max_connections as u64 + 64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(granted) if granted < wanted => {
            warn!("{granted} file descriptors are allowed, {wanted} are needed for max_connections: see ulimit -n");
        }
        Ok(_) => {}
        Err(error) => warn!("the limit of file descriptors cannot be raised: {error}"),
    }
}

/// SIGINT and SIGTERM; Ctrl-C where there are no such signals.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal. Cancel safe.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(super) const fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next Ctrl-C. Cancel safe.
    pub(super) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_default_address_that_is_taken_is_done_without() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let builder = Server::builder().websocket(any).tcp(None).shards(1);
        let mut observe = Observe { admin: taken.local_addr().ok(), admin_is_default: true, access: 0 };
        let server = bind(builder.clone(), observe).await.unwrap();
        assert_eq!((server.admin_addr(), server.websocket_addr().is_some()), (None, true));
        observe.admin_is_default = false;
        assert!(matches!(bind(builder.clone(), observe).await, Err(Error::Bind { .. })));
        observe.admin = any;
        assert!(bind(builder, observe).await.unwrap().admin_addr().is_some());
    }

    #[test]
    fn addresses_are_explained() {
        assert_eq!(address("0.0.0.0:80").unwrap().port(), 80);
        assert_eq!(address("localhost:80").unwrap(), address("127.0.0.1:80").unwrap());
        assert!(address("[::1]:80").is_ok());
        for wrong in ["7070", ":7070", "localhost", "localhost:x", "example.org:80"] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:7070"), "{wrong}");
        }
    }
}
