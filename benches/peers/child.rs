//! Processes of a run: started with their place before them, killed by their own number at the end, whatever happens.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::clock::{self, SECOND, now};
use super::launch::Launch;
use super::measure::Figures;
use super::place::Place;
use super::task::Task;

/// The argument that makes this program a load generator.
pub(crate) const GENERATE: &str = "--generate";
/// The argument that makes this program the floor.
pub(crate) const FLOOR: &str = "--floor";
/// When the floor flushes: at its tick, and at once for an urgent message.
pub(crate) const TICK: &str = "tick";
pub(crate) const URGENT: &str = "urgent";

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Server(Process);

impl Server {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(launch: &Launch, place: &Place, folder: &Path) -> io::Result<Self> {
        let mut command = prefixed(&place.server, &launch.program);
        command.args(&launch.arguments).envs(launch.variables.iter().cloned()).current_dir(folder);
        let mut process = Process::start(command, folder, "server")?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, launch.port));
        let end = now() + 15 * SECOND;
        while now() < end && process.child.try_wait()?.is_none() {
            if TcpStream::connect_timeout(&addr, Duration::from_millis(500)).is_ok() {
                // What a server still does after it listens belongs to nobody's figures.
                clock::wait(Duration::from_millis(500));
                return Ok(Self(process));
            }
            clock::wait(Duration::from_millis(50));
        }
        Err(io::Error::other(format!("the server did not start: {}", process.log())))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.child.id()
    }
}

/// Runs a generator to its end.
pub(crate) fn generate(task: &Task, place: &Place, folder: &Path) -> io::Result<Figures> {
    let mut command = prefixed(&place.generator, &std::env::current_exe()?);
    command.arg(GENERATE).args(task.arguments());
    let mut process = Process::start(command, folder, "generator")?;
    let status = process.wait(Duration::from_secs_f64(240.0 + task.warm + task.seconds))?;
    let output = std::fs::read_to_string(folder.join("generator.out"))?;
    match serde_json::from_str(&output) {
        Ok(Value::Object(figures)) if status.success() => Ok(figures),
        _ => Err(io::Error::other(format!("{status}: {}", process.log()))),
    }
}

/// That many ports that nobody listens on now.
pub(crate) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // All at once: one after the other might be the same.
    let listeners = (0..N).map(|_| TcpListener::bind(any)).collect::<io::Result<Vec<_>>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// A process that does not outlive this value.
#[derive(Debug)]
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with its output in NAME.out and its errors in NAME.log.
    fn start(mut command: Command, folder: &Path, name: &str) -> io::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        command.stdin(Stdio::null()).stdout(File::create(folder.join(format!("{name}.out")))?);
        Ok(Self { child: command.stderr(File::create(&log)?).spawn()?, log })
    }

    fn wait(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        let end = now() + patience.as_nanos() as u64;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if now() > end {
                return Err(io::Error::other("the generator did not end"));
            }
            clock::wait(Duration::from_millis(50));
        }
    }

    /// The end of what it complained about.
    fn log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(400)..]).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prefixed(prefix: &[String], program: &Path) -> Command {
    match prefix {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        [] => Command::new(program),
    }
}
