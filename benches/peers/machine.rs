//! What the figures were measured on: figures without it say nothing.

use std::fs::read_to_string;
use std::process::Command;

use super::install::{self, SOCKETIFY};

/// This machine, now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) kernel: String,
    /// Names and versions.
    pub(crate) versions: Vec<String>,
}

impl Machine {
    /// Asks for all of it; what cannot be found out is left out.
    pub(crate) fn here() -> Self {
        let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" an unnamed processor");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let node = |name: &str| {
            let text = read_to_string(install::node_package(name)?.join("package.json")).ok()?;
            let package: serde_json::Value = serde_json::from_str(&text).ok()?;
            Some(format!("{name} {}", package.get("version")?.as_str()?))
        };
        let versions = [
            Some(format!("tickwire {}", env!("CARGO_PKG_VERSION"))),
            told("rustc", "--version"),
            told("mosquitto", "-h"),
            told("nats-server", "--version"),
            told("redis-server", "--version").map(|line| line.split(" sha").next().unwrap_or_default().to_owned()),
            told("node", "--version").map(|version| format!("node {version}")),
            node("ws"),
            node("socket.io"),
            install::uwebsockets().map(|_| format!("uWebSockets of {SOCKETIFY}")),
        ];
        Self {
            date: now(),
            processor: format!("{cores} cores of {}", model.trim_start_matches([' ', '\t', ':'])),
            kernel: format!("Linux {}", release.trim()),
            versions: versions.into_iter().flatten().collect(),
        }
    }
}

/// The time, as in 2026-01-31T12:00Z.
pub(crate) fn now() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%MZ"]).output();
    date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// The first line that a program says about itself.
fn told(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
