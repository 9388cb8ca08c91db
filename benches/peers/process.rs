//! What the kernel knows of a process: its time on the processor, and its memory.

use std::fs::read_to_string;

/// Time of all threads, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// On a processor.
    pub(crate) ran: u64,
    /// Able to run, and waiting for a processor.
    pub(crate) waited: u64,
}

impl Usage {
    /// Of the process as it is now; of one that is gone it is 0.
    ///
    /// From `schedstat`, which counts nanoseconds: the ticks of `stat` miss work that is in step with the timer.
    pub(crate) fn of(pid: u32) -> Self {
        let mut usage = Self::default();
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return usage };
        for thread in threads.flatten() {
            let text = read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap_or(0));
            usage.ran += numbers.next().unwrap_or(0);
            usage.waited += numbers.next().unwrap_or(0);
        }
        usage
    }

    /// What came since.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self { ran: self.ran.saturating_sub(before.ran), waited: self.waited.saturating_sub(before.waited) }
    }
}

/// Memory of a process, in KiB. What the kernel holds in socket buffers is not in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Proportional set size: pages shared with others count in part.
    pub(crate) pss: u64,
    /// What of it is the process's own, and no page of a file: code that runs for the first time counts in `pss`.
    pub(crate) anonymous: u64,
    pub(crate) rss: u64,
    /// The highest resident set size so far.
    pub(crate) peak: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        Self {
            pss: after(&rollup, "Pss:"),
            anonymous: after(&rollup, "Pss_Anon:"),
            rss: after(&status, "VmRSS:"),
            peak: after(&status, "VmHWM:"),
        }
    }
}

/// The number behind a word that begins a line.
fn after(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_behind_its_word() {
        let text = "Name:\tx\nVmHWM:\t    12 kB\nVmRSS:\t     9 kB\nPss_Anon: 4 kB\nPss: 3 kB\n";
        assert_eq!((after(text, "VmHWM:"), after(text, "VmRSS:"), after(text, "Pss:")), (12, 9, 3));
        assert_eq!(after(text, "Swap:"), 0);
    }
}
