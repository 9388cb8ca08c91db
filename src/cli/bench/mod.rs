//! `tickwire bench`: load on a server, every delivery checked and timed.
//!
//! ```text
//! Schedule ──due──> Peer ──frames──> server ──batches──> Peer ──records──> Tally ──> Report
//! ```
//!
//! One thread: a task for each connection that reads, and this one that sends. The run is warm-up,
//! measured time, and a drain, so that what is late is not taken for lost.

mod framing;
mod gather;
mod link;
mod peer;
mod pipe;
mod process;
mod report;
mod schedule;
mod stamp;
mod tally;
mod track;
mod workload;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use tickwire::client::{ClientConfig, Clock, Url};
use tokio::task::LocalSet;
use tokio::time::Instant;

use self::framing::Framing;
use self::gather::Gather;
use self::link::Link;
use self::peer::{Peer, Shared};
use self::process::Process;
use self::report::Report;
use self::schedule::Schedule;
use self::stamp::Stamp;
use self::tally::{Messages, Recent, Tally};
use self::workload::{Changes, Scenario, Workload};
use super::reach::ReachArguments;
use super::sub::DEFAULT_URL;
use super::{Failure, connect, run_until_interrupted};

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// The workload
    workload: Scenario,
    /// The server: ws://host:port/ws or tcp://host:port
    #[arg(long, default_value = DEFAULT_URL)]
    url: Url,
    #[command(flatten)]
    reach: ReachArguments,
    /// Seconds to measure, after a second to warm up
    #[arg(long, default_value_t = 6, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3600))]
    secs: u32,
    /// Messages a second of each sender
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// How many are many: members of a room, receivers, senders, or idle connections
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    members: Option<u32>,
    /// Bytes of a message, at least 16
    #[arg(long, value_name = "B", value_parser = payload)]
    payload: Option<usize>,
    /// The server's process on this machine, to tell what it uses
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// Send values instead of events: 64 keys a sender, fewer where a room would hold more than 4096
    #[arg(long)]
    values: bool,
    /// Let the messages of a connection wait so many milliseconds for others, to leave in one write
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=1000))]
    gather: Option<u64>,
}

/// Before anything is measured: connections, buffers and the server's memory find their size.
const WARM_UP: Duration = Duration::from_secs(1);

/// After the last message: how long to wait for what is still on its way.
const DRAIN: Duration = Duration::from_secs(5);

/// Between two looks at the sockets. 250 us: a two-hundredth of the usual tick.
const STEP: Duration = Duration::from_micros(250);

/// Between two looks at connections that have not taken everything, when nothing more is due.
const PAUSE: Duration = Duration::from_millis(10);

/// Keys of a sender's values, where the room holds so many.
const KEYS: usize = 64;

/// Values that a room holds by default (PROTOCOL 13). Beyond, they would only be refused.
const ROOM_VALUES: usize = 4096;

/// Sender and receiver pairs whose order is kept. 16 bytes each, so 320 MB.
const MAX_TRACKS: usize = 20_000_000;

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| "write messages a second, from 0.001 to 1000000".into())
}

fn payload(text: &str) -> Result<usize, String> {
    let bytes = super::units::size(text)?;
    let fits = (Stamp::LEN..=65_000).contains(&bytes);
    fits.then_some(bytes).ok_or_else(|| format!("a message has {} to 65000 bytes", Stamp::LEN))
}

/// Runs a workload and prints what it found.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    run_until_interrupted(LocalSet::new().run_until(bench(arguments)))
}

async fn bench(arguments: &BenchArguments) -> Result<(), Failure> {
    let workload = plan(arguments)?;
    let process = arguments.server_pid.map(Process::new).transpose().map_err(Failure::Usage)?;
    let rss_before = process.as_ref().and_then(Process::rss_kib);
    let config = arguments.reach.config(&arguments.url)?;
    let (clock, max_frame) = measure_clock(&config, workload.payload).await?;

    eprintln!("connecting {} times to {}", workload.peers.len(), arguments.url);
    let run_name = run_name();
    let links = link::connect_all(&config, &workload.peers, |room| format!("bench-{run_name}/{room}")).await?;
    let gather = arguments.gather.map(|millis| Gather::new(Duration::from_millis(millis), max_frame));
    let mut run = Run::new(arguments, &workload, links, &clock, gather);
    let (measured, server_cpu) = run.measure(arguments, process.as_ref()).await;

    // While everybody is still connected.
    let server_rss_kib = process.as_ref().and_then(Process::rss_kib);
    run.drain().await;
    let tally = run.shared.tally.borrow();
    let report = Report {
        url: &arguments.url,
        clock: clock.best(),
        scenario: arguments.workload,
        gather: arguments.gather,
        workload: &workload,
        missing: tally.missing(),
        tally: &tally,
        measured,
        server_cpu,
        server_rss_kib,
        server_rss_before_kib: rss_before,
        slowest_send: run.schedule.slowest,
    };
    let mut out = io::stdout().lock();
    if arguments.json {
        report.write_json(&mut out)?
    } else {
        report.write_text(&mut out)?
    }
    Ok(())
}

/// The workload, if this machine can bear it.
fn plan(arguments: &BenchArguments) -> Result<Workload, Failure> {
    let members = arguments.members.map(|members| members as usize);
    let changes = Changes { rate: arguments.rate, members, payload: arguments.payload };
    let workload = Workload::new(arguments.workload, changes);
    let connections = workload.peers.len();
    let receiving = workload.peers.iter().filter(|role| role.receives).count();
    let tracks = receiving * workload.senders_per_room * messages(arguments, &workload).orders() as usize;
    if connections > 60_000 || tracks > MAX_TRACKS {
        return Err(Failure::Usage("--members: that is more than one machine can check; choose fewer".into()));
    }
    // One for the clock, and the runtime's own.
    let wanted = connections as u64 + 64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(granted) if granted < wanted => Err(Failure::Runtime(format!(
            "{wanted} file descriptors are needed, {granted} are allowed: see ulimit -n, or choose fewer --members"
        ))),
        // Where the limit is not known, connecting will tell.
        Ok(_) | Err(_) => Ok(workload),
    }
}

/// Events, or values with as many keys as fit the room.
fn messages(arguments: &BenchArguments, workload: &Workload) -> Messages {
    if !arguments.values {
        return Messages::Events;
    }
    let keys = (ROOM_VALUES / workload.senders_per_room.max(1)).clamp(1, KEYS);
    Messages::Values { keys: u32::try_from(keys).unwrap_or(1) }
}

/// The server's clock from here, and the largest frame it takes, by a connection of its own; also whether
/// it takes such messages.
async fn measure_clock(config: &ClientConfig, payload: usize) -> Result<(Clock, u64), Failure> {
    let mut client = connect(config).await?;
    let limit = client.terms().max_message;
    if payload as u64 > limit {
        return Err(Failure::Usage(format!("--payload: the server takes messages of at most {limit} bytes")));
    }
    for _ in 0..8 {
        client.ping().await?;
    }
    let (clock, max_frame) = (client.clock().clone(), client.terms().max_frame);
    client.close().await?;
    Ok((clock, max_frame))
}

/// Letters that no other run has, so that its rooms are new.
fn run_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:08x}", RandomState::new().hash_one(std::process::id()) >> 32)
}

/// A run: its connections, and what they send.
struct Run {
    peers: Vec<Rc<Peer>>,
    shared: Rc<Shared>,
    schedule: Schedule,
    next_progress: u64,
}

impl Run {
    fn new(
        arguments: &BenchArguments,
        workload: &Workload,
        links: Vec<Link>,
        clock: &Clock,
        gather: Option<Gather>,
    ) -> Self {
        let start = Instant::now();
        let members = links.iter().map(|link| link.membership.member).collect();
        let tally = Tally::new(workload, members, messages(arguments, workload));
        let shared = Rc::new(Shared::new(start, clock.server_time(start), tally));
        let framing = Framing::of(arguments.url.scheme());
        let peers = links.into_iter().enumerate().map(|(index, link)| {
            let (peer, left) = Peer::new(index, framing, link);
            tokio::task::spawn_local(Rc::clone(&peer).read(left, Rc::clone(&shared)));
            peer
        });
        let peers = peers.collect();
        // A moment for the joins of everybody to be told to everybody.
        let first = shared.now() + nanos(Duration::from_millis(200));
        Self { peers, schedule: Schedule::new(workload, first, gather), shared, next_progress: u64::MAX }
    }

    /// Warms up and measures: for how long, and the server's CPU time meanwhile.
    async fn measure(&mut self, arguments: &BenchArguments, process: Option<&Process>) -> (Duration, Option<u64>) {
        self.drive(WARM_UP).await;
        let cpu = || process.and_then(Process::cpu_nanos);
        let (before, began) = (cpu(), Instant::now());
        self.shared.tally.borrow_mut().start_measuring();
        self.schedule.slowest = 0;
        if self.schedule.next_due().is_some() {
            self.next_progress = self.shared.now() + nanos(Duration::from_secs(1));
        }
        self.drive(Duration::from_secs(arguments.secs.into())).await;
        self.shared.tally.borrow_mut().measuring = false;
        let measured = began.elapsed();
        let used = cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
        (measured, used)
    }

    /// Sends nothing more, and waits for what is on its way.
    async fn drain(&mut self) {
        self.schedule.stop();
        self.next_progress = u64::MAX;
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline && self.shared.tally.borrow().missing().lost > 0 {
            self.drive(Duration::from_millis(100)).await;
        }
        // What comes twice comes a little later.
        self.drive(Duration::from_millis(200)).await;
    }

    /// Sends what is due for so long, while the connections' tasks read.
    async fn drive(&mut self, duration: Duration) {
        let until = self.shared.now() + nanos(duration);
        loop {
            let now = self.shared.now();
            if now >= until {
                return;
            }
            self.schedule.send_due(&self.peers, &self.shared, now);
            self.report_progress(now);
            match self.schedule.next_act() {
                Some(due) => self.poll_until(due.min(until)).await,
                None => {
                    let next = until.min(self.next_progress).min(now + nanos(PAUSE));
                    tokio::time::sleep_until(self.shared.start + Duration::from_nanos(next)).await;
                }
            }
        }
    }

    /// Lets the connections read until something is due.
    ///
    /// Timers of the runtime count milliseconds, which would be most of the latency of a room that
    /// flushes at once. So this thread polls its sockets in steps of [`STEP`] instead of waiting for
    /// them; then the server does not pay for waking it up either, as with clients elsewhere.
    async fn poll_until(&self, due: u64) {
        let mut quiet = 0;
        while self.shared.now() < due {
            let reads = self.shared.reads();
            tokio::task::yield_now().await;
            quiet = if self.shared.reads() == reads { quiet + 1 } else { 0 };
            // One turn asks the sockets, the next one runs the tasks they wake.
            if quiet >= 2 {
                let rest = Duration::from_nanos(due.saturating_sub(self.shared.now()));
                std::thread::park_timeout(rest.min(STEP));
                quiet = 0;
            }
        }
        // Those that are readable have their turn also where something is always due.
        tokio::task::yield_now().await;
    }

    fn report_progress(&mut self, now: u64) {
        if now < self.next_progress {
            return;
        }
        self.next_progress = now + nanos(Duration::from_secs(1));
        let mut tally = self.shared.tally.borrow_mut();
        let Recent { delivered, slowest } = std::mem::take(&mut tally.recent);
        let closed = tally.counts.closed;
        let closed = if closed > 0 { format!(", {closed} connections closed") } else { String::new() };
        eprintln!(
            "{delivered:>10} deliveries in the last second, the slowest took {:.1} ms{closed}",
            slowest.as_secs_f64() * 1000.0
        );
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
