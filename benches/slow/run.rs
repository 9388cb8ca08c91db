//! One run: a server, its members, the load, and what came of it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tickwire::class::SlowPolicy;
use tickwire::wire::MemberNumber;
use tickwire::wire::control::Mode;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::child::{Memory, ServerProcess};
use super::peer::Peer;
use super::plan::{Clock, Course, Plan, Scenario};
use super::publisher::{Publisher, Sent};
use super::receivers::{Pace, Quick, Slow, SlowReceiver, quick};

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) course: Course,
    pub(crate) sent: Sent,
    pub(crate) quick: Vec<Quick>,
    pub(crate) slow: Vec<Slow>,
    pub(crate) counters: HashMap<String, u64>,
    /// The most before the slow ones began, and after.
    pub(crate) baseline: Memory,
    pub(crate) most: Memory,
    /// The share of a core that the server took.
    pub(crate) load: f64,
    pub(crate) failures: Vec<String>,
}

/// Quick receivers that look into everything: what they saw is what the others are compared with.
const CAREFUL: usize = 3;

/// After the last message: what a slow one has queued comes at its rate.
const SETTLE: u64 = 6_000_000;

/// The members of the room, by how they read.
struct Members {
    quick: Vec<Peer>,
    slow: Vec<(Peer, Pace)>,
    dead: Option<MemberNumber>,
}

impl Members {
    async fn join(addr: SocketAddr, plan: &Plan, scenario: Scenario) -> io::Result<Self> {
        let mut members = Self { quick: Vec::new(), slow: Vec::new(), dead: None };
        let slow = if scenario.has_slow_ones() { plan.slow + plan.stopping } else { 0 };
        // All runs have 180 who are quick and are measured; in the one without slow ones the others
        // are quick too, and are not measured.
        for index in 0..plan.members {
            // A browser's socket always accepts, which one with a tiny window does not: TCP then waits for timers.
            let small = (index < slow && scenario != Scenario::Browser).then_some(Plan::SMALL_BUFFER);
            let peer = Peer::join(addr, Mode::RECEIVE, small, None).await?;
            if index < slow {
                let pace = if index < plan.stopping { Pace::Stops } else { Pace::Tenth };
                members.slow.push((peer, pace));
            } else {
                members.quick.push(peer);
            }
        }
        if slow > 0 {
            // It gets no batches, which would be left out or would close it before directs do.
            let peer = Peer::join(addr, Mode::PUBLISH, Some(Plan::SMALL_BUFFER), None).await?;
            members.dead = Some(peer.seat.member);
            members.slow.push((peer, Pace::Dead));
        }
        Ok(members)
    }
}

/// Makes a run.
pub(crate) async fn run(plan: &Plan, scenario: Scenario, pin: bool) -> io::Result<Outcome> {
    let policy = if scenario == Scenario::Close { SlowPolicy::Close } else { SlowPolicy::Skip };
    let mut server = ServerProcess::start(policy, plan.period, pin).await?;
    let clock = Clock::start();
    let mut publisher = Publisher::join(server.addr, plan).await?;
    let offset = publisher.offset(clock).await?;
    let members = Members::join(server.addr, plan, scenario).await?;
    let course = Course { clock, start: clock.micros() + 200_000, offset };

    let (ending, ended) = watch::channel(false);
    let (mut quicks, mut slows) = (JoinSet::new(), JoinSet::new());
    for (index, peer) in members.quick.into_iter().enumerate() {
        quicks.spawn(quick(peer, plan.clone(), course, index < CAREFUL, ended.clone()));
    }
    for (index, (peer, pace)) in (0..).zip(members.slow) {
        let browser = scenario == Scenario::Browser && pace != Pace::Dead;
        // They do not begin together, so that they cannot share everything.
        let begins = plan.begin() + (index % 10) * 7 * plan.micros_per_tick();
        let receiver = SlowReceiver::new(server.addr, peer, plan, course, (pace, begins), browser);
        slows.spawn(receiver.run(ended.clone()));
    }
    let watching = tokio::spawn(watch_memory(server.pid, plan.clone(), course));
    let mut failures = Vec::new();
    let sent = publisher.run(course, members.dead).await.unwrap_or_else(|error| {
        failures.push(format!("the publisher: {error}"));
        Sent::default()
    });
    course.clock.until(course.start + plan.last() + SETTLE).await;
    let _everybody = ending.send(true);

    let mut collected = (Vec::new(), Vec::new());
    while let Some(done) = quicks.join_next().await {
        match done.map_err(io::Error::other)? {
            Ok(quick) => collected.0.push(quick),
            Err(error) => failures.push(format!("a quick receiver: {error}")),
        }
    }
    while let Some(done) = slows.join_next().await {
        match done.map_err(io::Error::other)? {
            Ok(slow) => collected.1.push(slow),
            Err(error) => failures.push(format!("a slow receiver: {error}")),
        }
    }
    let (baseline, most, load) = watching.await.map_err(io::Error::other)??;
    let counters = server.report().await?.into_iter().collect();
    server.end().await?;
    let (quick, slow) = collected;
    Ok(Outcome { scenario, course, sent, quick, slow, counters, baseline, most, load, failures })
}

/// Looks at the server's memory ten times a second: the most before the slow ones begin, the most
/// after, and the share of a core.
async fn watch_memory(pid: u32, plan: Plan, course: Course) -> io::Result<(Memory, Memory, f64)> {
    const EACH: Duration = Duration::from_millis(100);
    let (mut before, mut after) = (Memory::default(), Memory::default());
    let mut cpu = None;
    let mut ticks = tokio::time::interval(EACH);
    while course.now() < plan.last() + SETTLE {
        ticks.tick().await;
        let memory = Memory::of(pid)?;
        let now = course.now();
        let most = if now < plan.begin() { &mut before } else { &mut after };
        most.process = most.process.max(memory.process);
        most.kernel = most.kernel.max(memory.kernel);
        if now < plan.last() {
            let (first, _) = *cpu.get_or_insert((memory.cpu, now));
            most.cpu = memory.cpu - first;
        }
    }
    // A hundred clock ticks a second, in percent of a core.
    #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
    let load = after.cpu as f64 * 1e6 / plan.last() as f64;
    Ok((before, after, load))
}
