//! What was promised, and whether it held.

use std::collections::HashMap;

use super::plan::{Plan, Scenario};
use super::receivers::{Pace, Slow};
use super::run::Outcome;
use super::view::{Refresh, View};

/// A promise and what came of it.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) what: &'static str,
    pub(crate) figure: String,
    pub(crate) holds: bool,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lateness {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// How late batches were at those who are quick, all of them together.
pub(crate) fn lateness(outcome: &Outcome) -> Lateness {
    let mut all: Vec<u32> = outcome.quick.iter().flat_map(|quick| quick.lateness.iter().copied()).collect();
    all.sort_unstable();
    let at = |share: usize| all.get((all.len() * share / 1000).min(all.len().saturating_sub(1)));
    let millis = |share| f64::from(at(share).copied().unwrap_or(u32::MAX)) / 1000.0;
    Lateness { p50: millis(500), p99: millis(990), max: millis(1000) }
}

/// All checks of a run but the one that needs two of them. `bound` is what one connection may take.
pub(crate) fn checks(plan: &Plan, outcome: &Outcome, bound: usize) -> Vec<Check> {
    let mut checks = vec![load(plan, outcome), quick(outcome)];
    if outcome.scenario.has_slow_ones() {
        checks.push(memory(outcome, bound));
        checks.extend(rungs(outcome));
        let stopped = outcome.slow.iter().filter(|slow| slow.pace == Pace::Stops).collect::<Vec<_>>();
        let tenths = outcome.slow.iter().filter(|slow| slow.pace == Pace::Tenth).collect::<Vec<_>>();
        checks.push(gaps(outcome, &stopped));
        checks.push(exact("those who stopped", outcome, &stopped));
        checks.push(exact("those who are slow", outcome, &tenths));
        checks.push(current("those who stopped have the current values", plan, outcome, &stopped));
        checks.push(current("those who are slow have the current values", plan, outcome, &tenths));
        checks.push(back(plan, &stopped));
        checks.push(ages(plan, outcome, &tenths));
    } else {
        let behind = count(outcome, "behind");
        checks.push(Check { what: "nobody is taken for slow", figure: behind.to_string(), holds: behind == 0 });
    }
    checks
}

fn count(outcome: &Outcome, name: &str) -> u64 {
    outcome.counters.get(name).copied().unwrap_or_default()
}

fn load(plan: &Plan, outcome: &Outcome) -> Check {
    let sent = &outcome.sent;
    let holds = sent.refused == 0 && sent.late_rounds * 100 <= sent.rounds && outcome.failures.is_empty();
    let failure = outcome.failures.first().map(String::as_str).unwrap_or_default();
    let figure = format!(
        "{:.2} MB/s each, {} rounds, {} late, {} refused, server {:.0} % of a core {failure}",
        mega(plan.rate()),
        sent.rounds,
        sent.late_rounds,
        sent.refused,
        outcome.load,
    );
    Check { what: "the load was sent", figure, holds }
}

/// Those who read get every batch whole.
fn quick(outcome: &Outcome) -> Check {
    let mut wrong = 0;
    let mut events = 0;
    for view in outcome.quick.iter().filter_map(|quick| quick.view.as_ref()) {
        wrong += view.wrong.count + view.gaps.len() as u64;
        events = view.batches.values().map(|(first, last)| last - first + 1).sum();
        wrong += u64::from(events != outcome.sent.events);
    }
    let figure = format!("{events} of {} events, {wrong} wrong", outcome.sent.events);
    Check { what: "quick ones get everything", figure, holds: wrong == 0 }
}

fn memory(outcome: &Outcome, bound: usize) -> Check {
    let (before, most) = (outcome.baseline.process, outcome.most.process);
    let allowed = (before + (outcome.slow.len() * bound) as u64) * 11 / 10;
    let figure = format!(
        "{:.1} MB, before {:.1}, allowed {:.1} ({} x {} KiB); kernel {:.1}, before {:.1}",
        mega(most),
        mega(before),
        mega(allowed),
        outcome.slow.len(),
        bound / 1024,
        mega(outcome.most.kernel),
        mega(outcome.baseline.kernel),
    );
    Check { what: "memory of the process", figure, holds: most <= allowed }
}

fn rungs(outcome: &Outcome) -> Vec<Check> {
    let rungs: &[&'static str] = match outcome.scenario {
        Scenario::Close => &["behind", "closed_by_class", "replayed", "closed_by_answers"],
        _ => &["behind", "skipped", "gaps", "closed_by_answers"],
    };
    let check = |name: &&'static str| {
        let count = count(outcome, name);
        Check { what: name, figure: count.to_string(), holds: count > 0 }
    };
    // Which of the two it is depends on how much of the room changes.
    let [changes, snapshots] = ["caught_up_by_changes", "caught_up_by_snapshot"].map(|name| count(outcome, name));
    let figure = format!("{changes} by changes, {snapshots} by snapshots");
    let caught_up = Check { what: "caught_up", figure, holds: changes + snapshots > 0 };
    rungs.iter().map(check).chain([caught_up]).collect()
}

/// The last position that the quick ones saw.
fn last_position(outcome: &Outcome) -> u64 {
    outcome.quick.iter().filter_map(|quick| quick.view.as_ref()).map(View::position).max().unwrap_or_default()
}

fn gaps(outcome: &Outcome, slow: &[&Slow]) -> Check {
    let last = last_position(outcome);
    let gaps: usize = slow.iter().map(|slow| slow.view.gaps.len()).sum();
    let lost: u64 = slow.iter().flat_map(|slow| &slow.view.gaps).map(|(from, to)| to - from + 1).sum();
    let closes: u64 = slow.iter().map(|slow| slow.view.closes).sum();
    let missing: u64 = slow.iter().map(|slow| slow.view.missing(last).unsigned_abs()).sum();
    // Who was closed may find everything in the room's history.
    let each = slow.iter().all(|slow| !slow.view.gaps.is_empty() || slow.view.closes > 0);
    let figure = format!("{gaps} gaps, {lost} batches in them, {closes} closes, {missing} positions unaccounted for");
    Check { what: "gaps add up", figure, holds: missing == 0 && each }
}

/// Nothing twice, nothing out of order, and every batch that came is the one that others got.
fn exact(what: &'static str, outcome: &Outcome, slow: &[&Slow]) -> Check {
    let reference = outcome.quick.iter().find_map(|quick| quick.view.as_ref());
    let Some(reference) = reference else { return Check { what, figure: "no reference".into(), holds: false } };
    let mut wrong: u64 = slow.iter().map(|slow| slow.view.wrong.count).sum();
    let mut first = slow.iter().find_map(|slow| slow.view.wrong.first.clone()).unwrap_or_default();
    let mut compared = (0, 0);
    for slow in slow {
        let differing =
            slow.view.batches.iter().filter(|(position, events)| reference.batches.get(position) != Some(events));
        wrong += differing.count() as u64;
        compared.0 += slow.view.batches.len();
        compared.1 += slow.view.newest.len();
        for (tick, newest) in &slow.view.newest {
            // A flush that changed no value is in snapshots, and in nobody's batches.
            let known = reference.newest.range(..=tick).next_back().map(|(_, newest)| newest);
            if known != Some(newest) {
                wrong += 1;
                if first.is_empty() {
                    first = format!("values of tick {tick}: round {newest}, not {known:?}");
                }
            }
        }
    }
    let figure =
        format!("{} batches and {} sets of values as others got them, {wrong} wrong {first}", compared.0, compared.1);
    Check { what, figure, holds: wrong == 0 && compared.0 > 0 }
}

fn current(what: &'static str, plan: &Plan, outcome: &Outcome, slow: &[&Slow]) -> Check {
    let rounds = outcome.sent.rounds;
    let exact =
        |slow: &&&Slow| (0..).zip(slow.view.rounds()).all(|(key, round)| plan.last_write(key, rounds) == *round);
    let current = slow.iter().filter(exact).count();
    let values = slow.len() as u64 * plan.keys;
    Check {
        what,
        figure: format!("{current} of {} receivers, {values} values", slow.len()),
        holds: current == slow.len(),
    }
}

fn back(plan: &Plan, slow: &[&Slow]) -> Check {
    let took = |slow: &&Slow| slow.caught_up.map(|at| at - plan.resume());
    let worst = slow.iter().map(took).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    let figure = worst.map_or_else(|| "somebody never was".into(), |worst| format!("{} ms at most", worst / 1000));
    Check { what: "current again after reading on", figure, holds: worst.is_some_and(|worst| worst < 2_000_000) }
}

/// The age of values when they come, against the time in which two snapshots come at this rate.
fn ages(plan: &Plan, outcome: &Outcome, slow: &[&Slow]) -> Check {
    let two = 2 * plan.state_bytes() * 1_000_000 / plan.slow_rate();
    let age = |refresh: &Refresh| {
        refresh.at.saturating_sub(outcome.course.here(refresh.flushed).saturating_sub(outcome.course.start))
    };
    let during = |refresh: &&Refresh| (plan.begin() + 2_000_000..plan.last()).contains(&refresh.at);
    let all = || slow.iter().flat_map(|slow| slow.view.refreshes.iter()).filter(during);
    let mut ages: Vec<u64> = all().map(age).collect();
    ages.sort_unstable();
    let (median, worst) = (ages.get(ages.len() / 2).copied(), ages.last().copied().unwrap_or(u64::MAX));
    let snapshots = all().filter(|refresh| refresh.snapshot).count();
    let newer = slow.iter().map(|slow| newer(outcome, &slow.view.refreshes)).max().unwrap_or(usize::MAX);
    let restarts: u64 = slow.iter().map(|slow| slow.view.restarts).sum();
    let figure = format!(
        "median {} ms, worst {} ms, two snapshots take {} ms; at most {newer} newer ones under way; {} refreshes, {snapshots} of them snapshots, {restarts} begun anew",
        median.unwrap_or_default() / 1000,
        worst / 1000,
        two / 1000,
        ages.len(),
    );
    Check { what: "age of a slow one's values", figure, holds: worst <= two && !ages.is_empty() }
}

/// How many newer snapshots were under way while one set of values was shown, at most.
fn newer(outcome: &Outcome, refreshes: &[Refresh]) -> usize {
    let flushed = |refresh: &Refresh| outcome.course.here(refresh.flushed).saturating_sub(outcome.course.start);
    let shown = refreshes.windows(2).enumerate().map(|(index, pair)| {
        // Until the second came, the first was shown.
        refreshes[index + 1..].iter().take_while(|later| flushed(later) < pair[1].at).filter(|r| r.snapshot).count()
    });
    shown.max().unwrap_or_default()
}

/// The growth of the lateness's 99th percentile, against runs without slow ones.
pub(crate) fn growth(scenario: Scenario, results: &[(Scenario, Lateness)]) -> Check {
    let median = |wanted: Scenario| {
        let mut all: Vec<f64> = results.iter().filter(|(s, _)| *s == wanted).map(|(_, late)| late.p99).collect();
        all.sort_unstable_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    };
    match (median(Scenario::None), median(scenario)) {
        (Some(without), Some(with)) => Check {
            what: "p99 of lateness grows by at most 2 ms",
            figure: format!("{with:.2} ms, without slow ones {without:.2} ms"),
            holds: with - without <= 2.0,
        },
        _ => Check { what: "p99 of lateness", figure: "no run to compare with".into(), holds: false },
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The counters of a run that are not zero.
pub(crate) fn told(counters: &HashMap<String, u64>) -> String {
    let mut all: Vec<_> = counters.iter().filter(|(_, count)| **count > 0).collect();
    all.sort();
    all.into_iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
