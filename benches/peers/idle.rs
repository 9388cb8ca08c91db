//! What silent connections cost in memory, and what stays when they have gone.
//!
//! ```text
//! fresh server: PSS | ten come and leave | 2 s | PSS | all connect, join rooms of ten | 2 s | PSS | 2 s: processor time
//!                                                                                        | all leave | 10 s | PSS
//! ```
//!
//! The ten tell memory that was taken from code that had not run before: pages of the program's file count in PSS.

use std::io;
use std::time::Duration;

use serde_json::json;

use super::clock;
use super::dialect::Dialect;
use super::generator::Generator;
use super::ledger::Ledger;
use super::measure::{Figures, books, rounded};
use super::process::{Memory, Usage};
use super::task::Task;
use super::workload::Workload;

/// Measures idle connections.
pub(crate) fn run<D: Dialect>(dialect: D, task: &Task) -> io::Result<Figures> {
    let before = Memory::of(task.pid);
    let few = Workload::idle(VISITORS);
    let ledger = Ledger::new(&few, dialect.echoes(), false, false).map_err(io::Error::other)?;
    drop(Generator::new(dialect, few, ledger, task.port, 0)?);
    clock::wait(Duration::from_secs(2));
    let visited = Memory::of(task.pid);
    let work = Workload::idle(task.connections);
    let connections = work.members.len() as f64;
    let ledger = Ledger::new(&work, dialect.echoes(), false, false).map_err(io::Error::other)?;
    let start = clock::now();
    let mut generator = Generator::new(dialect, work, ledger, task.port, 0)?;
    let setup = (clock::now() - start) as f64 / clock::SECOND as f64;
    generator.span(2.0, 0.0);
    let during = Memory::of(task.pid);
    let usage = Usage::of(task.pid);
    let nanos = generator.span(2.0, 0.0) as f64;
    let ran = Usage::of(task.pid).since(usage).ran as f64;
    let mut figures = Figures::new();
    books(&generator.ledger, &mut figures);
    drop(generator);
    clock::wait(Duration::from_secs(10));
    let after = Memory::of(task.pid);
    let each = |now: u64, before: u64| rounded((now as f64 - before as f64) / connections);
    figures.extend([
        ("connections".into(), json!(connections)),
        ("setup_seconds".into(), json!(rounded(setup))),
        ("idle_cpu".into(), json!(rounded(ran / nanos))),
        ("base_pss_kib".into(), json!(before.pss)),
        ("visited_pss_kib".into(), json!(visited.pss)),
        ("idle_pss_kib".into(), json!(during.pss)),
        ("left_pss_kib".into(), json!(after.pss)),
        ("base_anonymous_kib".into(), json!(before.anonymous)),
        ("visited_anonymous_kib".into(), json!(visited.anonymous)),
        ("idle_anonymous_kib".into(), json!(during.anonymous)),
        ("left_anonymous_kib".into(), json!(after.anonymous)),
        ("peak_kib".into(), json!(after.peak)),
        ("pss_kib_per_connection".into(), json!(each(during.pss, before.pss))),
        ("rss_kib_per_connection".into(), json!(each(during.rss, before.rss))),
        ("left_kib_per_connection".into(), json!(each(after.pss, before.pss))),
    ]);
    Ok(figures)
}

/// A room of them.
const VISITORS: u32 = 10;
