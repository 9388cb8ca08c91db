//! The server: this program once more, as a process of its own, so that its memory is its own.
//!
//! ```text
//! parent ──spawn (core 0)──> child: Server::builder()
//!    <── "127.0.0.1:41234" ── stdout
//!    ── "report" ──> stdin, <── {"behind":20,...}
//!    ── /proc/PID/smaps_rollup every 100 ms
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use tickwire::class::{RoomClasses, SlowPolicy};
use tickwire::server::Server;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The argument that makes this program the server.
pub(crate) const SERVE: &str = "--serve";

/// The server of one run.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    pub(crate) addr: SocketAddr,
    pub(crate) pid: u32,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl ServerProcess {
    /// Starts it, on the first core where that can be chosen.
    pub(crate) async fn start(policy: SlowPolicy, period: Duration, pin: bool) -> io::Result<Self> {
        let policy = if policy == SlowPolicy::Close { "close" } else { "skip" };
        let program = std::env::current_exe()?;
        let mut command = if pin { Command::new("taskset") } else { Command::new(&program) };
        if pin {
            command.args(["-c", "0"]).arg(&program);
        }
        command.args([SERVE, policy, &period.as_millis().to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let mut output = BufReader::new(output).lines();
        let addr = output.next_line().await?.and_then(|line| line.parse().ok());
        let addr = addr.ok_or_else(|| io::Error::other("the server told no address"))?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { addr, pid, child, input, output })
    }

    /// What the rooms have done so far.
    pub(crate) async fn report(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.input.write_all(b"report\n").await?;
        let line = self.output.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let counters: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line)?;
        Ok(counters.into_iter().map(|(name, count)| (name, count.as_u64().unwrap_or_default())).collect())
    }

    /// Ends it.
    pub(crate) async fn end(self) -> io::Result<()> {
        let Self { mut child, input, .. } = self;
        drop(input);
        child.wait().await?;
        Ok(())
    }
}

/// What the child does: serves until its standard input ends.
pub(crate) fn serve(policy: &str, millis: &str) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut classes = RoomClasses::default();
        classes.default.slow = if policy == "close" { SlowPolicy::Close } else { SlowPolicy::Skip };
        classes.default.period = Duration::from_millis(millis.parse().map_err(io::Error::other)?);
        let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = Server::builder().websocket(None).tcp(any).shards(1).classes(classes);
        let server = server.bind().await.map_err(io::Error::other)?;
        let addr = server.tcp_addr().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let handle = server.handle();
        tokio::spawn(server.run(std::future::pending()));
        let mut out = tokio::io::stdout();
        out.write_all(format!("{addr}\n").as_bytes()).await?;
        out.flush().await?;
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        while input.next_line().await?.is_some() {
            let counters = handle.counters().entries();
            let object: serde_json::Map<_, _> = counters.into_iter().map(|(n, c)| (n.into(), c.into())).collect();
            out.write_all(format!("{}\n", serde_json::Value::from(object)).as_bytes()).await?;
            out.flush().await?;
        }
        Ok(())
    })
}

/// Memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Proportional set size of the server.
    pub(crate) process: u64,
    /// What the kernel holds in the buffers of all TCP sockets of this machine.
    pub(crate) kernel: u64,
    /// The server's time on the processor, in clock ticks.
    pub(crate) cpu: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let sockets = std::fs::read_to_string("/proc/net/sockstat")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let cpu = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let process = after(&rollup, "Pss:") * 1024;
        let tcp = sockets.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
        Ok(Self { process, kernel: after(tcp, "mem ") * 4096, cpu })
    }
}

/// The number behind a word.
fn after(text: &str, word: &str) -> u64 {
    let rest = text.split_once(word).map_or("", |(_, rest)| rest);
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
