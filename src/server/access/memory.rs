//! How much memory there is and how much of it is used, so that newcomers are refused before the system
//! ends the process.
//!
//! ```text
//! limit   configured, or the control group's memory.max      used   resident pages, or the group's
//! ```
//!
//! Linux only: elsewhere the watch knows nothing, and nobody is refused.

use std::path::{Path, PathBuf};

/// What is watched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// The process, against a number of bytes.
    Process { limit: u64 },
    /// A control group, against its own limit.
    Group { dir: PathBuf },
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) used: u64,
    pub(super) limit: u64,
}

impl Usage {
    /// Whether more than so many percent are used.
    pub(super) const fn is_above(self, percent: u32) -> bool {
        self.used as u128 * 100 > self.limit as u128 * percent as u128
    }
}

impl Watch {
    /// What there is to watch: `configured` bytes, or where that is 0 the innermost control group that has
    /// a limit. `None` where nothing limits us.
    pub(super) fn new(configured: usize) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        match configured {
            0 => Self::of_group(&std::fs::read_to_string("/proc/self/cgroup").ok()?, Path::new("/sys/fs/cgroup")),
            bytes => Some(Self::Process { limit: bytes as u64 }),
        }
    }

    /// `listing` is what `/proc/self/cgroup` says, `root` where groups are mounted.
    fn of_group(listing: &str, root: &Path) -> Option<Self> {
        let path = listing.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/');
        // A container mostly sees its own group as the root.
        let own = root.join(path);
        let groups = own.ancestors().take_while(|dir| dir.starts_with(root));
        let limited =
            |dir: &&Path| std::fs::read_to_string(dir.join("memory.max")).is_ok_and(|max| bytes(&max).is_some());
        groups.into_iter().find(limited).map(|dir| Self::Group { dir: dir.into() })
    }

    /// How it stands now. `None` where the system does not say.
    pub(super) fn look(&self) -> Option<Usage> {
        match self {
            Self::Process { limit } => {
                let used = resident(&std::fs::read_to_string("/proc/self/status").ok()?)?;
                Some(Usage { used, limit: *limit })
            }
            Self::Group { dir } => {
                let read = |name| std::fs::read_to_string(dir.join(name)).ok();
                let (limit, used) = (bytes(&read("memory.max")?)?, bytes(&read("memory.current")?)?);
                // Pages of files that nobody has used lately go before anything else.
                let files = read("memory.stat").as_deref().and_then(inactive_files).unwrap_or_default();
                Some(Usage { used: used.saturating_sub(files), limit })
            }
        }
    }
}

/// A number of bytes; `None` for "max".
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Bytes of the process in memory, from `/proc/self/status`: in kilobytes there, whatever a page is.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    bytes(line.trim().strip_suffix("kB")?)?.checked_mul(1024)
}

fn inactive_files(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("inactive_file ")).and_then(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Control groups as files, gone with the test.
    struct Groups(PathBuf);

    impl Groups {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("tickwire-{}-{name}", std::process::id()));
            for (path, content) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Groups {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn more_than_so_many_percent_is_above() {
        assert!(!Usage { used: 80, limit: 100 }.is_above(80));
        assert!(Usage { used: 81, limit: 100 }.is_above(80));
        assert!(Usage { used: 1, limit: 0 }.is_above(80));
        assert!(!Usage { used: u64::MAX, limit: u64::MAX }.is_above(100));
    }

    #[test]
    fn the_innermost_group_with_a_limit_counts() {
        let groups = Groups::new(
            "groups",
            &[
                ("memory.stat", "anon 1\n"),
                ("a/memory.max", "1000\n"),
                ("a/memory.current", "900\n"),
                ("a/memory.stat", "anon 1\ninactive_file 300\nactive_file 9\n"),
                ("a/b/memory.max", "max\n"),
                ("a/b/memory.current", "7\n"),
            ],
        );
        let root = &groups.0;
        let watch = Watch::of_group("0::/a/b\n", root).unwrap();
        assert_eq!(watch, Watch::Group { dir: root.join("a") });
        assert_eq!(watch.look(), Some(Usage { used: 600, limit: 1000 }));
        assert_eq!(Watch::of_group("12:memory:/a\n0::/\n", root), None, "no limit at the root");
        assert_eq!(Watch::of_group("12:memory:/a\n", root), None, "only version 2");
        assert_eq!(Watch::of_group("0::/../../a", root), None);
    }

    #[test]
    fn a_process_is_measured_against_a_number() {
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t   1234 kB\n"), Some(1234 * 1024));
        assert_eq!(resident("VmRSS:\t many kB\n"), None);
        if cfg!(target_os = "linux") {
            let usage = Watch::new(1 << 20).unwrap().look().unwrap();
            assert!(usage.limit == 1 << 20 && usage.used > 100_000);
        }
    }
}
