//! Slow receivers on real sockets: what they cost the others, the server's memory, and themselves.
//!
//! ```text
//! cargo bench --bench slow -- --scenario all                     none and each of the others in turns
//! cargo bench --bench slow -- --scenario skip --seconds 30 --repeats 1
//!
//! publisher ──1 MB/s──> server (a process of its own) ──> 180 quick receivers
//!                                                     ──> 10 that stop for half of the run
//!                                                     ──> 10 at a tenth of the rate
//!                                                     ──> 1 that reads nothing and is sent directs
//! ```
//!
//! Shorter than 36 s, those who stop do not miss enough to be slow.
//!
//! Everything that was promised is checked; the exit code says whether all of it held. Linux only.

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

mod child;
mod peer;
mod plan;
mod publisher;
mod receivers;
mod run;
mod verdict;
mod view;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tickwire::limits::Limits;

use self::plan::{Plan, Scenario};
use self::verdict::{Check, Lateness};

/// What was asked for.
struct Options {
    plan: Plan,
    scenarios: Vec<Scenario>,
    repeats: usize,
    pin: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, policy, millis] = &arguments[..]
        && serve == child::SERVE
    {
        return exit(child::serve(policy, millis).map(|()| true));
    }
    exit(options(&arguments).and_then(|options| {
        if options.pin {
            pin_self();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(all(&options))
    }))
}

fn exit(held: io::Result<bool>) -> ExitCode {
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> io::Result<Options> {
    let mut plan = Plan {
        members: 200,
        stopping: 10,
        slow: 10,
        keys: 200,
        writes: 50,
        value_len: 1000,
        events: 10,
        event_len: 50,
        period: Duration::from_millis(50),
        seconds: 60,
    };
    let several = vec![Scenario::Skip, Scenario::Close, Scenario::Browser];
    let (mut scenarios, mut repeats, mut pin) = (several.clone(), 2, true);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        // Cargo says this to every bench.
        if name == "--bench" {
            continue;
        }
        let value = rest.next().ok_or_else(|| io::Error::other(format!("{name} needs a value")))?;
        let number = || value.parse::<u64>().map_err(|_| io::Error::other(format!("{name}: {value} is not a number")));
        let size = || number().map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        match name.as_str() {
            "--scenario" if value == "all" => scenarios.clone_from(&several),
            "--scenario" => {
                scenarios = vec![Scenario::from_name(value).ok_or_else(|| io::Error::other("no such scenario"))?]
            }
            "--repeats" => repeats = size()?,
            "--seconds" => plan.seconds = number()?.max(36),
            "--members" => plan.members = size()?.max(plan.stopping + plan.slow + 3),
            "--keys" => plan.keys = number()?.max(1),
            "--writes" => plan.writes = number()?.max(1),
            "--value" => plan.value_len = size()?.max(16),
            "--events" => plan.events = number()?.max(1),
            "--pin" => pin = value == "yes",
            _ => return Err(io::Error::other(format!("unknown: {name}"))),
        }
    }
    plan.writes = plan.writes.min(plan.keys);
    Ok(Options { plan, scenarios, repeats, pin: pin && can_pin() })
}

/// Whether the server can have a core of its own.
fn can_pin() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores > 1 && std::process::Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|s| s.success())
}

/// The generator keeps away from the server's core.
fn pin_self() {
    let pid = std::process::id().to_string();
    let taskset = std::process::Command::new("taskset").args(["-cp", "1", &pid]).output();
    if taskset.is_err() {
        println!("the generator could not be pinned");
    }
}

/// Runs everything, in turns with runs without slow ones.
async fn all(options: &Options) -> io::Result<bool> {
    let plan = &options.plan;
    let limits = Limits::default();
    println!(
        "{} members, {} of them stop for {} s, {} take {} B/s of {}; values {} x {} B, {} written a tick",
        plan.members,
        plan.stopping,
        plan.seconds / 2,
        plan.slow,
        plan.slow_rate(),
        plan.rate(),
        plan.keys,
        plan.value_len,
        plan.writes,
    );
    let mut results: Vec<(Scenario, Lateness)> = Vec::new();
    let mut held = true;
    for _ in 0..options.repeats {
        let without = Some(Scenario::None).filter(|none| !options.scenarios.contains(none));
        for scenario in without.into_iter().chain(options.scenarios.iter().copied()) {
            let outcome = run::run(plan, scenario, options.pin).await?;
            let late = verdict::lateness(&outcome);
            println!(
                "\n{}: lateness p50 {:.2} ms, p99 {:.2}, max {:.2}",
                scenario.name(),
                late.p50,
                late.p99,
                late.max
            );
            println!("  counters: {}", verdict::told(&outcome.counters));
            results.push((scenario, late));
            for check in verdict::checks(plan, &outcome, limits.connection_bound()) {
                held &= print(&check);
            }
        }
    }
    println!("\n{:10} {:>8} {:>8} {:>8}   lateness in ms, run by run", "scenario", "p50", "p99", "max");
    for (scenario, late) in &results {
        println!("{:10} {:8.2} {:8.2} {:8.2}", scenario.name(), late.p50, late.p99, late.max);
    }
    for scenario in options.scenarios.iter().filter(|scenario| scenario.has_slow_ones()) {
        println!("{}:", scenario.name());
        held &= print(&verdict::growth(*scenario, &results));
    }
    println!("\n{}", if held { "all of it holds" } else { "NOT all of it holds" });
    Ok(held)
}

fn print(check: &Check) -> bool {
    println!("  {} {:42} {}", if check.holds { "ok  " } else { "FAIL" }, check.what, check.figure);
    check.holds
}
