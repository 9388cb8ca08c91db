//! Work for the threads that own rooms, once on each: what is kept by thread can be let go of only there.
//!
//! ```text
//! Handle::run_on_workers ──Mail::Run──> every shard, between two turns ──all have run──> Handle
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::error;

use super::Handle;
use super::mailbox::Mail;
use crate::time::Time;

/// Something that every worker is to do once.
pub(super) struct Errand {
    work: Box<dyn Fn() + Send + Sync>,
    /// Given back when every shard has done it: so there are never two in a mailbox.
    _turn: OwnedSemaphorePermit,
    /// Gone with the last of them.
    _done: oneshot::Sender<()>,
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").finish_non_exhaustive()
    }
}

impl Errand {
    /// Does it. A panic of it is its own, since it has nothing of the shard's in its hands.
    pub(super) fn run(&self) {
        if catch_unwind(AssertUnwindSafe(|| (self.work)())).is_err() {
            error!("what was to run on a worker panicked; the worker goes on");
        }
    }
}

impl Handle {
    /// Runs something once on every thread that owns rooms and sockets, between two turns, and waits until all have:
    /// for what is kept by thread, as allocators keep memory. Rooms and sockets wait meanwhile, so it should take
    /// microseconds; should it panic, that is logged and the worker goes on. Where an application hands its streams
    /// over, and the server has no threads of its own, it runs on threads of the runtime.
    ///
    /// One runs at a time, others wait. Before [`Server::run`](super::Server::run) this waits until that has begun; when
    /// the server has ended, it returns at once, and nothing has run. Cancel safe: what was begun is done.
    pub async fn run_on_workers(&self, work: impl Fn() + Send + Sync + 'static) {
        // It is never closed.
        let Ok(turn) = Arc::clone(&self.errands).acquire_owned().await else { return };
        let (done, all_done) = oneshot::channel();
        let errand = Arc::new(Errand { work: Box::new(work), _turn: turn, _done: done });
        let surroundings = self.surroundings();
        for shard in 0..surroundings.mailboxes.len() {
            // A shard that is gone takes the server with it.
            let _gone = surroundings.mailboxes.send(shard, Mail::Run(Arc::clone(&errand)), Time::ZERO);
        }
        drop(errand);
        // Nothing is ever sent.
        let _all_done = all_done.await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::thread;

    use crate::server::Server;

    /// Three shards run it on so many threads.
    async fn runs_everywhere(server: Server, threads: usize) {
        let handle = server.handle();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        let (sender, ran) = mpsc::channel();
        for round in 1..=2 {
            let sender = sender.clone();
            let work = move || {
                sender.send(thread::current().id()).expect("the test waits for it");
                assert_ne!(round, 1, "the first round panics");
            };
            handle.run_on_workers(work).await;
        }
        let ran: Vec<_> = ran.try_iter().collect();
        assert_eq!((ran.len(), ran.iter().collect::<HashSet<_>>().len()), (6, threads));
        drop(stop);
        running.await.expect("it does not panic").expect("it ends in order");
        handle.run_on_workers(|| panic!("nobody is there to run it")).await;
    }

    #[tokio::test]
    async fn every_worker_runs_it_once_and_a_panic_of_it_ends_nobody() {
        let any = "127.0.0.1:0".parse().ok();
        let server = Server::builder().shards(3).websocket(any).tcp(None).admin(None);
        runs_everywhere(server.bind().await.expect("a port is free"), 3).await;
    }

    #[tokio::test]
    async fn tasks_run_it_too() {
        // All on the one thread of this test's runtime.
        runs_everywhere(Server::builder().shards(3).detached().expect("defaults agree"), 1).await;
    }
}
