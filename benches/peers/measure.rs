//! What the generator process does: connects, warms up, measures a window, drains, and tells what it saw.
//!
//! ```text
//! connect, join | 0.4 s silent | warm | seconds: the window | drain, at most 3 s | count what is missing
//! ```

use std::io;

use serde_json::{Map, Value, json};

use super::clock::{self, SECOND};
use super::dialect::tickwire::{Messages, Tickwire};
use super::dialect::{Dialect, floor, hub, mqtt, nats, redis, socketio};
use super::generator::Generator;
use super::ledger::Ledger;
use super::process::{Memory, Usage};
use super::task::Task;
use super::{idle, saturation};

/// What was measured, by name.
pub(crate) type Figures = Map<String, Value>;

/// Runs a task, in this process.
pub(crate) fn run(task: &Task) -> io::Result<Figures> {
    clock::sharpen();
    let ws = task.dialect.ends_with("-ws");
    match task.dialect.trim_end_matches("-ws").trim_end_matches("-tcp") {
        "floor" | "floor-urgent" => run_with(floor::Floor { ws }, task, false),
        "tickwire" => run_with(Tickwire { ws, messages: Messages::Events }, task, false),
        "tickwire-urgent" => run_with(Tickwire { ws, messages: Messages::Urgent }, task, false),
        "tickwire-values" => run_with(Tickwire { ws, messages: Messages::Values }, task, false),
        "tickwire-latest" => run_with(Tickwire { ws, messages: Messages::Latest }, task, true),
        "hub" => run_with(hub::Hub, task, false),
        "mqtt" => run_with(mqtt::Mqtt { ws }, task, false),
        "nats" => run_with(nats::Nats { ws }, task, false),
        "redis" => run_with(redis::Redis, task, false),
        "socketio" => run_with(socketio::SocketIo, task, false),
        other => Err(io::Error::other(format!("no dialect {other}"))),
    }
}

fn run_with<D: Dialect>(dialect: D, task: &Task, conflates: bool) -> io::Result<Figures> {
    if task.work == "I" {
        return idle::run(dialect, task);
    }
    let thorough = task.work.starts_with('V');
    let work = task.workload()?;
    let receivers = work.receivers(dialect.echoes());
    let rate = work.total_rate();
    let ledger = Ledger::new(&work, dialect.echoes(), thorough, conflates).map_err(io::Error::other)?;
    let ledger = if task.dialect.contains("-urgent") { ledger.of_urgent() } else { ledger };
    let mut generator = Generator::new(dialect, work, ledger, task.port, task.gather * SECOND / 1000)?;
    generator.span(0.4, 0.0);
    let mut figures = Figures::new();
    figures.insert("receivers".into(), json!(receivers));
    if task.work.starts_with("sat") {
        saturation::run(&mut generator, task, rate, receivers, &mut figures);
    } else {
        window(&mut generator, task, rate, receivers, &mut figures);
    }
    books(&generator.ledger, &mut figures);
    let memory = Memory::of(task.pid);
    figures.insert("peak_kib".into(), json!(memory.peak));
    Ok(figures)
}

/// Measures one window at a fixed rate.
fn window<D: Dialect>(generator: &mut Generator<D>, task: &Task, rate: f64, receivers: u64, figures: &mut Figures) {
    generator.span(task.warm, rate);
    generator.ledger.clear_latencies();
    generator.lag = 0;
    let before = Mark::now(generator, task);
    let nanos = generator.span(task.seconds, rate) as f64;
    let after = Mark::now(generator, task);
    let seconds = nanos / SECOND as f64;
    let delivered = (after.delivered - before.delivered) as f64;
    let server = after.server.since(before.server);
    let mut put = |name: &str, number: f64| figures.insert(name.into(), json!(rounded(number)));
    put("seconds", seconds);
    put("offered_per_s", rate * receivers as f64);
    put("sent_per_s", (after.sent - before.sent) as f64 / seconds);
    put("delivered_per_s", delivered / seconds);
    put("cpu_ns_per_delivery", server.ran as f64 / delivered.max(1.0));
    put("cpu_ns_per_offered", server.ran as f64 / (seconds * rate * receivers as f64).max(1.0));
    put("server_cpu", server.ran as f64 / nanos);
    put("server_wait", server.waited as f64 / nanos);
    let own = after.generator.since(before.generator);
    put("generator_cpu", own.ran as f64 / nanos);
    put("generator_wait", own.waited as f64 / nanos);
    put("bytes_per_delivery", (after.bytes - before.bytes) as f64 / delivered.max(1.0));
    put("deliveries_per_read", delivered / ((after.reads - before.reads) as f64).max(1.0));
    for (name, share) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
        put(name, millis(generator.ledger.latencies.quantile(share)));
    }
    put("send_lag_max_ms", millis(generator.lag));
    generator.drain(3.0);
    if task.work.starts_with('V') {
        // What must not come has some time to come.
        generator.span(0.5, 0.0);
    }
}

/// Counters at one end of a window.
struct Mark {
    server: Usage,
    generator: Usage,
    delivered: u64,
    sent: u64,
    bytes: u64,
    reads: u64,
}

impl Mark {
    fn now<D>(generator: &Generator<D>, task: &Task) -> Self {
        let counts = &generator.ledger.counts;
        Self {
            server: Usage::of(task.pid),
            generator: Usage::of(std::process::id()),
            delivered: counts.delivered,
            sent: counts.sent,
            bytes: counts.bytes,
            reads: counts.reads,
        }
    }
}

/// What the ledger says of the whole run.
pub(crate) fn books(ledger: &Ledger, figures: &mut Figures) {
    let (counts, shortfall) = (&ledger.counts, ledger.shortfall());
    let numbers = [
        ("sent", counts.sent),
        ("delivered", counts.delivered),
        ("conflated", shortfall.conflated),
        ("gaps", counts.gaps),
        ("repeats", counts.repeats),
        ("junk", counts.junk),
        ("bad", counts.bad),
        ("skipped", counts.skipped),
    ];
    figures.extend(numbers.map(|(name, number)| (name.into(), json!(number))));
    figures.insert("missing".into(), json!(shortfall.missing));
    figures.insert("first_bad".into(), json!(counts.first_bad));
    figures.insert("exact".into(), json!(ledger.is_exact()));
}

/// To a thousandth: more would be noise.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

pub(crate) fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
