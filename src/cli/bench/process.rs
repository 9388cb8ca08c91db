//! What a process of this machine uses, as far as the system tells.

use std::fs;
use std::path::PathBuf;

/// A process to watch.
#[derive(Clone, Debug)]
pub(super) struct Process {
    directory: PathBuf,
}

impl Process {
    /// The process of that number, if it is there to be watched.
    pub(super) fn new(pid: u32) -> Result<Self, String> {
        let process = Self { directory: PathBuf::from(format!("/proc/{pid}")) };
        if process.rss_kib().is_none() {
            return Err(format!("--server-pid {pid}: there is no such process in /proc"));
        }
        Ok(process)
    }

    /// Nanoseconds that its threads were on a CPU, those that live now.
    pub(super) fn cpu_nanos(&self) -> Option<u64> {
        let mut total = 0;
        for thread in fs::read_dir(self.directory.join("task")).ok()? {
            // A thread may end while we look.
            let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
            total += text.split(' ').next()?.parse::<u64>().ok()?;
        }
        Some(total)
    }

    /// Resident memory.
    pub(super) fn rss_kib(&self) -> Option<u64> {
        let text = fs::read_to_string(self.directory.join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}
