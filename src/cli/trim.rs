//! Memory goes back to the system when a crowd has left.
//!
//! ```text
//! sessions ──/‾‾‾‾\
//!          _/      \______________
//!                   3 s ^   ^ 9 s    ^ 70 s      trim: rooms rest, and then are forgotten, in between
//! ```
//!
//! glibc keeps what was freed, for whoever comes next. That is right while people come and go; after most
//! of them have left it is memory that another program could use.

#![cfg_attr(all(target_os = "linux", target_env = "gnu"), expect(unsafe_code, reason = "see `bound` and `trim`"))]

use std::time::Duration;

use tickwire::server::Handle;
use tokio::time::{MissedTickBehavior, interval};

/// Trims whenever most sessions have left. Ends never.
pub(super) async fn run(server: Handle) {
    bound();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut crowd = Crowd::default();
    loop {
        seconds.tick().await;
        if crowd.is_gone(server.sessions()) {
            release(&server).await;
        }
    }
}

/// How many sessions there were, looked at once a second.
#[derive(Debug, Default)]
struct Crowd {
    most: usize,
    /// Seconds since most of them have left; 0 while they have not.
    gone: u32,
}

impl Crowd {
    /// Sessions that are a crowd. 256: half a megabyte.
    const FEW: usize = 256;

    /// When to trim after most have left, in seconds. 3: the connections' own memory is free by then; 9:
    /// and what their rooms kept to be quick; 70: and the rooms, which linger for 60 s unless told otherwise.
    const TRIMS: [u32; 3] = [3, 9, 70];

    /// Whether to trim now.
    fn is_gone(&mut self, sessions: usize) -> bool {
        if self.most >= Self::FEW && sessions <= self.most / 2 {
            (self.most, self.gone) = (sessions, 1);
        } else if self.gone > 0 {
            self.gone += 1;
        }
        self.most = self.most.max(sessions);
        let trims = Self::TRIMS.contains(&self.gone);
        if self.gone >= Self::TRIMS[2] {
            self.gone = 0;
        }
        trims
    }
}

/// Has what is free at the end of a thread's memory go back to the system, which trimming does not see to.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn bound() {
    use std::ffi::c_int;
    /// From malloc.h.
    const TRIM_THRESHOLD: c_int = -1;
    const TOP_PAD: c_int = -2;
    const MMAP_THRESHOLD: c_int = -3;
    // SAFETY: the declaration is that of malloc.h, `int mallopt(int param, int value)`. It sets bounds of the
    // allocator under its lock and touches nothing that is in use; its answer says only whether it did. glibc's manual
    // has two reservations about threads: its init, which has run long before, and that others read these bounds
    // without the lock. Each is an aligned word, of which they see what was or what is, and both are valid.
    unsafe extern "C" {
        safe fn mallopt(param: c_int, value: c_int) -> c_int;
    }
    // 128 KiB: what a busy second takes and gives back stays. Left alone, this bound is twice the largest piece
    // that was ever given back, so a crowd's connections would raise it by megabytes.
    let _set = mallopt(TRIM_THRESHOLD, 128 * 1024);
    // 16 KiB: what is left of it then, in place of 128.
    let _set = mallopt(TOP_PAD, 16 * 1024);
    // 1 MiB: with the other one set, this does not grow either, and below it nothing is to be mapped anew in
    // every flush of a large room.
    let _set = mallopt(MMAP_THRESHOLD, 1024 * 1024);
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
const fn bound() {}

/// Gives free pages back to the system, where the allocator does not do that by itself.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
async fn release(server: &Handle) {
    use std::sync::mpsc;
    use std::thread;
    use tokio::sync::oneshot;

    let (sender, pieces) = mpsc::channel();
    // This thread's too: it took the connections in.
    let _taken = sender.send(take_cached());
    server.run_on_workers(move || drop(sender.send(take_cached()))).await;
    let (done, is_done) = oneshot::channel();
    // Threads that end: what one frees goes to its own cache first, and from there only with its end. A trim takes the
    // allocator's locks for about a millisecond per 10 MB.
    let spawned = thread::Builder::new().name("tickwire-trim".into()).spawn(|| {
        let freed = thread::Builder::new().name("tickwire-free".into()).spawn(|| drop(pieces));
        let _ended = freed.map(thread::JoinHandle::join);
        trim();
        let _awaited = done.send(());
    });
    if let Err(error) = spawned {
        tracing::debug!("memory is not given back, since there is no thread for it: {error}");
    }
    // Where it was not spawned the sender is gone.
    let _done = is_done.await;
}

/// What glibc has in its cache for this thread: short pieces that were freed here, seven of each size. Most of them
/// are alone on a page that nothing else needs after a crowd has left, and trimming does not see to them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn take_cached() -> Vec<Vec<u8>> {
    /// Of each size, unless the program was started with another `glibc.malloc.tcache_count`.
    const COUNT: usize = 7;
    /// The sizes that are kept: what a program can use of a piece.
    const SIZES: std::ops::RangeInclusive<usize> = 24..=1032;
    let sizes = SIZES.step_by(16).flat_map(|size| [size; COUNT]);
    sizes.map(|size| std::hint::black_box(Vec::with_capacity(size))).collect()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: the declaration is that of malloc.h, `int malloc_trim(size_t pad)`. The function may be called
    // at any time from any thread (MT-Safe in its manual) and touches nothing that is in use, so calling it is
    // safe; its answer says only whether something was released.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    let _released = malloc_trim(0);
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
async fn release(_server: &Handle) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn trims(sessions: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut crowd = Crowd::default();
        let trimmed = sessions.into_iter().map(|sessions| crowd.is_gone(sessions)).enumerate();
        trimmed.filter_map(|(second, trims)| trims.then_some(second)).collect()
    }

    #[test]
    fn a_crowd_that_leaves_is_trimmed_after() {
        assert_eq!(trims([5000; 5].into_iter().chain([0; 100])), [7, 13, 74]);
        assert_eq!(trims([0, 300, 150].into_iter().chain([140; 100])), [4, 10, 71]);
    }

    #[test]
    fn those_who_come_and_go_and_a_few_who_leave_are_not() {
        assert!(trims((0..100).map(|second| 4000 + (second % 7) * 100)).is_empty());
        assert!(trims([200; 5].into_iter().chain([0; 60])).is_empty());
    }

    #[test]
    fn the_memory_is_given_back_without_harm() {
        let kept = vec![7_u8; 100_000];
        bound();
        drop(vec![1_u8; 100_000]);
        drop(take_cached());
        trim();
        assert!(kept.iter().all(|byte| *byte == 7));
    }
}
