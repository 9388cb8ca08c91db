//! A restart under thousands of clients: who comes back when, and whether everybody got everything.
//!
//! ```text
//! clients ──join──> server ──SIGTERM──> notices ──> exits ──> started again
//!    └─ check: all positions reached ──> wait for the slot ──> connect, join with since ──> new epoch, snapshot
//! ```
//!
//! `cargo bench --bench drain`, or with a number of clients behind `--`; 5,000 otherwise. It fails where the
//! worst second has more than three times the mean, or where a client missed something or tried twice.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tickwire::client::{Client, ClientConfig, Comeback, Event, JoinOptions};
use tickwire::wire::Epoch;
use tickwire::wire::control::{Mode, Outcome};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

/// Clients in a room. 20: a game's.
const ROOM: usize = 20;

/// Messages of each client before the restart, so that batches are under way when it comes. 5: half a million
/// deliveries, which the clients check on the same machine.
const MESSAGES: usize = 5;

/// What a client has seen.
struct Seen {
    /// From the signal to the notice, and to being back with a snapshot.
    told: Duration,
    back: Duration,
    attempts: u32,
    complete: bool,
    epochs: (Epoch, Epoch),
    outcome: Outcome,
}

fn main() {
    let number = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let clients: usize = number.unwrap_or(5000);
    rlimit::increase_nofile_limit(clients as u64 + 256).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(clients));
}

async fn run(clients: usize) {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = start(addr).await;
    let (ready, restart) = (Arc::new(Barrier::new(clients + 1)), Arc::new(std::sync::OnceLock::new()));
    let (greeting, said) = (Arc::new(Semaphore::new(200)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for index in 0..clients {
        let (ready, restart) = (Arc::clone(&ready), Arc::clone(&restart));
        let (greeting, said) = (Arc::clone(&greeting), Arc::clone(&said));
        tasks.spawn(async move { client(addr, index, &ready, &restart, &greeting, &said).await });
    }
    // All are there; all have said something.
    ready.wait().await;
    ready.wait().await;
    restart.set(Instant::now()).unwrap();
    println!("{clients} clients are there, in rooms of {ROOM}; SIGTERM");
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || server.wait()).await.unwrap().unwrap();
    println!("the server has exited after {:.2} s, {status}", since(&restart).as_secs_f32());
    let mut server = start(addr).await;
    let mut seen = Vec::with_capacity(clients);
    while let Some(done) = tasks.join_next().await {
        seen.push(done.unwrap());
    }
    server.kill().unwrap();
    server.wait().unwrap();
    println!("{} messages were sent before the restart", said.load(Ordering::Relaxed));
    report(&seen);
}

/// One client's whole life.
async fn client(
    addr: SocketAddr,
    index: usize,
    ready: &Barrier,
    restart: &std::sync::OnceLock<Instant>,
    greeting: &Semaphore,
    said: &AtomicUsize,
) -> Seen {
    let config = ClientConfig::new(format!("ws://{addr}/ws").parse().unwrap());
    let room = format!("restart/{}", index / ROOM);
    let permit = greeting.acquire().await.unwrap();
    let mut client = Client::connect(&config).await.unwrap();
    let joined = client.join(&room, Mode::BOTH).await.unwrap();
    drop(permit);
    meet(ready, &mut client).await;
    for message in 0..MESSAGES {
        client.event(joined.handle, format!("{index} says {message}").as_bytes()).await.unwrap();
        said.fetch_add(1, Ordering::Relaxed);
    }
    meet(ready, &mut client).await;
    let (mut comeback, mut complete, mut told) = (Comeback::default(), false, Duration::ZERO);
    loop {
        let Ok(event) = client.next().await else { break };
        if let Event::GoingAway { positions, .. } = &event {
            told = since(restart);
            let (_, known) = client.position(joined.handle).unwrap();
            complete = *positions == [(joined.handle, known)];
        }
        if comeback.handle_event(&event) {
            break;
        }
    }
    let (epoch, position) = client.position(joined.handle).unwrap();
    drop(client);
    let mut attempts = 0;
    loop {
        assert!(comeback.wait().await, "a restart is no reason to stay away");
        attempts += 1;
        let mut client = match Client::connect(&config).await {
            Ok(client) => client,
            Err(error) => {
                comeback.handle_error(&error);
                continue;
            }
        };
        let options = JoinOptions::new(Mode::BOTH).since(epoch, position);
        let again = client.join_with(&room, options).await.unwrap();
        while !matches!(client.next().await.unwrap(), Event::Snapshot(_)) {}
        let (back, epochs) = (since(restart), (epoch, again.epoch));
        return Seen { told, back, attempts, complete, epochs, outcome: again.outcome };
    }
}

/// Waits for the others. Whoever reads nothing meanwhile is behind, and told later.
async fn meet(others: &Barrier, client: &mut Client) {
    let meeting = others.wait();
    tokio::pin!(meeting);
    loop {
        tokio::select! {
            // First, so that the notice is left to whoever waits for it.
            biased;
            _ = &mut meeting => return,
            event = client.next() => {
                event.unwrap();
            }
        }
    }
}

fn since(restart: &std::sync::OnceLock<Instant>) -> Duration {
    restart.get().map(Instant::elapsed).unwrap_or_default()
}

/// Says what came of it.
fn report(seen: &[Seen]) {
    let quantile = |mut times: Vec<Duration>, percent: usize| {
        times.sort_unstable();
        times[(times.len() - 1) * percent / 100].as_secs_f32()
    };
    let times = |time: fn(&Seen) -> Duration| seen.iter().map(time).collect::<Vec<_>>();
    println!("told     p50 {:.3} s  p99 {:.3} s", quantile(times(|s| s.told), 50), quantile(times(|s| s.told), 99));
    println!(
        "back     p50 {:.2} s  p99 {:.2} s  last {:.2} s",
        quantile(times(|s| s.back), 50),
        quantile(times(|s| s.back), 99),
        quantile(times(|s| s.back), 100)
    );
    let first = seen.iter().map(|seen| seen.back).min().unwrap();
    let last = seen.iter().map(|seen| seen.back).max().unwrap();
    let mut seconds = vec![0_u32; (last - first).as_secs() as usize + 1];
    seen.iter().for_each(|seen| seconds[(seen.back - first).as_secs() as usize] += 1);
    // The last second is a part of one: the mean is over the time that returns took.
    let mean = seen.len() as f64 / (last - first).as_secs_f64().max(1.0);
    let worst = seconds.iter().copied().max().unwrap();
    println!("returns by second, from the first on: {seconds:?}");
    println!("worst second {worst}, mean {mean:.0}: {:.2} times", f64::from(worst) / mean);
    let count = |what: fn(&Seen) -> bool| seen.iter().filter(|seen| what(seen)).count();
    let incomplete = count(|seen| !seen.complete);
    let twice = count(|seen| seen.attempts != 1);
    let old = count(|seen| seen.outcome != Outcome::GAP || seen.epochs.0 == seen.epochs.1);
    println!("{incomplete} missed something before their notice, {twice} had to try twice, {old} met an old epoch");
    assert!(f64::from(worst) <= 3.0 * mean && (incomplete, twice, old) == (0, 0, 0));
}

/// A server's process, which answers.
async fn start(addr: SocketAddr) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(["serve", "--no-tcp", "--no-admin", "--listen", &addr.to_string()]);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut tries = tokio::time::interval(Duration::from_millis(5));
    while tokio::net::TcpStream::connect(addr).await.is_err() {
        tries.tick().await;
    }
    child
}
