//! The most that a server delivers: the rate is doubled until it falls behind, then narrowed to 12 per cent.
//!
//! ```text
//! 0.5  1  2  4  8 x  5.6  6.7 x       x: less than 98 % delivered in the step, or a p99 above 250 ms
//! ```

use serde_json::json;

use super::clock::SECOND;
use super::dialect::Dialect;
use super::generator::Generator;
use super::measure::{Figures, millis, rounded};
use super::process::Usage;
use super::task::Task;

/// Steps through rates from half of `rate` messages a second on.
pub(crate) fn run<D: Dialect>(
    generator: &mut Generator<D>,
    task: &Task,
    rate: f64,
    receivers: u64,
    figures: &mut Figures,
) {
    let mut search = Search::new(rate);
    let mut best = Step::default();
    let mut steps = Vec::new();
    while let Some(rate) = search.rate() {
        let step = Step::run(generator, task, rate, receivers);
        generator.drain(4.0);
        steps.push(json!({
            "offered": step.offered.round(), "delivered": step.delivered.round(), "p99_ms": rounded(step.p99),
            "server_cpu": rounded(step.server), "generator_cpu": rounded(step.generator), "ok": step.is_ok(),
        }));
        search.handle_step(step.is_ok());
        if step.is_ok() && step.delivered > best.delivered {
            best = step;
        }
        if generator.dead() > 0 {
            break;
        }
    }
    let mut put = |name: &str, number: f64| figures.insert(name.into(), json!(rounded(number)));
    put("saturation_per_s", best.delivered);
    put("saturation_p99_ms", best.p99);
    put("saturation_server_cpu", best.server);
    put("saturation_generator_cpu", best.generator);
    figures.insert("steps".into(), steps.into());
}

/// One rate.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// Deliveries a second.
    offered: f64,
    delivered: f64,
    /// In milliseconds.
    p99: f64,
    /// Shares of a core.
    server: f64,
    generator: f64,
}

impl Step {
    fn run<D: Dialect>(generator: &mut Generator<D>, task: &Task, rate: f64, receivers: u64) -> Self {
        generator.span(0.6, rate);
        generator.ledger.clear_latencies();
        let before = (Usage::of(task.pid), Usage::of(std::process::id()), generator.ledger.counts.delivered);
        // Two seconds of the window's usual five: there are many steps.
        let nanos = generator.span(task.seconds.min(2.0), rate) as f64;
        let delivered = generator.ledger.counts.delivered - before.2;
        Self {
            offered: rate * receivers as f64,
            delivered: delivered as f64 / nanos * SECOND as f64,
            p99: millis(generator.ledger.latencies.quantile(0.99)),
            server: Usage::of(task.pid).since(before.0).ran as f64 / nanos,
            generator: Usage::of(std::process::id()).since(before.1).ran as f64 / nanos,
        }
    }

    fn is_ok(&self) -> bool {
        self.delivered >= 0.98 * self.offered && self.p99 <= 250.0
    }
}

/// Which rate to try next.
#[derive(Debug)]
struct Search {
    next: Option<f64>,
    /// The highest rate that was kept up with, and the lowest that was not.
    good: Option<f64>,
    failed: Option<f64>,
    /// Below it there is nothing to look for.
    least: f64,
    steps: u32,
}

impl Search {
    fn new(nominal: f64) -> Self {
        Self { next: Some(nominal / 2.0), good: None, failed: None, least: nominal / 50.0, steps: 0 }
    }

    const fn rate(&self) -> Option<f64> {
        self.next
    }

    fn handle_step(&mut self, ok: bool) {
        let Some(rate) = self.next else { return };
        if ok {
            self.good = Some(rate)
        } else {
            self.failed = Some(rate)
        }
        self.steps += 1;
        self.next = match (self.good, self.failed) {
            _ if self.steps >= MAX_STEPS => None,
            (Some(good), None) => Some(good * 2.0),
            (Some(good), Some(failed)) => (failed / good >= 1.12).then(|| (good * failed).sqrt()),
            (None, _) => Some(rate / 2.0).filter(|rate| *rate >= self.least),
        };
    }
}

/// About a minute and a half.
const MAX_STEPS: u32 = 26;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: f64) {
        let mut search = Search::new(100.0);
        let mut steps = 0;
        while let Some(rate) = search.rate() {
            search.handle_step(rate <= limit);
            steps += 1;
        }
        let good = search.good.unwrap();
        assert!(good <= limit && good * 1.12 > limit && steps <= MAX_STEPS, "{good} of {limit} in {steps}");
    }

    #[test]
    fn the_limit_is_found_to_12_per_cent() {
        [4.0, 49.0, 50.0, 100.0, 777.0, 1e6].into_iter().for_each(check);
    }

    #[test]
    fn a_server_that_never_keeps_up_ends_the_search() {
        let mut search = Search::new(100.0);
        while search.rate().is_some() {
            search.handle_step(false);
        }
        assert!(search.good.is_none() && search.steps < 8);
    }

    #[test]
    fn a_server_without_a_limit_ends_it_too() {
        let mut search = Search::new(100.0);
        while search.rate().is_some() {
            search.handle_step(true);
        }
        assert_eq!(search.steps, MAX_STEPS);
    }
}
