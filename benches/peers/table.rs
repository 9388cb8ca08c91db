//! The result as markdown: processor time, latency, memory, the highest rate, and what it all was measured on.

use std::fmt::Write;

use super::machine::Machine;
use super::options::Options;
use super::runner::Run;
use super::summary::Summary;

/// All tables of a run.
pub(crate) fn markdown(summary: &Summary<'_>, machine: &Machine, run: &Run, options: &Options) -> String {
    let works = summary.works();
    let loads: Vec<&str> = works.iter().copied().filter(|work| is_load(work)).collect();
    let mut text = String::new();
    if !loads.is_empty() {
        text += "**Server processor time for each delivered message**, in nanoseconds (and as a multiple of the floor's \
                 in the same round: of the same tick for Tickwire, at tick 0 for those without one)\n\n";
        text += &table(summary, &loads, |server, work| cost(summary, server, work));
        text += "\n`*`: not all that was offered was delivered in time; the figure is of what arrived.\n\n";
        text += "**Latency**, p50 / p99 / max in ms, from sending to reading, up to 0.25 ms of the generator's grid \
                 included\n\n";
        text += &table(summary, &loads, |server, work| latency(summary, server, work));
        text += "\n**Bytes received for each delivered message**, all headers but TCP's included\n\n";
        text += &table(summary, &loads, |server, work| {
            Some(format!("{:.1}", summary.median(server, work, "bytes_per_delivery")?))
        });
        text.push('\n');
    }
    let rest: Vec<&str> = ["I", "satA", "satB"].into_iter().filter(|work| works.contains(work)).collect();
    if !rest.is_empty() {
        text += "**Idle** (I): KiB for each silent connection, and what is left of it 10 s after all have gone. \
                 **Saturation** (sat): the most deliveries a second with 98 % in time, and their p99\n\n";
        text += &table(summary, &rest, |server, work| other(summary, server, work));
        text.push('\n');
    }
    text + &exactness(summary, run) + &notes(machine, run, options)
}

/// Whether a workload has a fixed rate.
pub(crate) fn is_load(work: &str) -> bool {
    work != "I" && !work.starts_with("sat") && !work.starts_with('V')
}

fn table(summary: &Summary<'_>, works: &[&str], cell: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut text = format!("| server | {} |\n|---|{}\n", works.join(" | "), "---:|".repeat(works.len()));
    for server in summary.servers() {
        let cells: Vec<Option<String>> = works.iter().map(|work| cell(server, work)).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".into())).collect();
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {server} | {} |", cells.join(" | "));
        }
    }
    text
}

fn cost(summary: &Summary<'_>, server: &str, work: &str) -> Option<String> {
    let nanos = summary.median(server, work, "cpu_ns_per_delivery")?;
    let ratio = summary.ratio(server, work, "cpu_ns_per_delivery").filter(|_| !server.starts_with("floor"));
    let ratio = ratio.map(|ratio| format!(" ({ratio:.2})")).unwrap_or_default();
    let star = if summary.kept_up(server, work) { "" } else { " \\*" };
    Some(format!("{}{ratio}{star}", thousands(nanos)))
}

fn latency(summary: &Summary<'_>, server: &str, work: &str) -> Option<String> {
    let part = |figure| Some(short(summary.median(server, work, figure)?));
    Some(format!("{} / {} / {}", part("p50_ms")?, part("p99_ms")?, part("max_ms")?))
}

fn other(summary: &Summary<'_>, server: &str, work: &str) -> Option<String> {
    if work == "I" {
        let each = summary.median(server, work, "pss_kib_per_connection")?;
        let left = summary.median(server, work, "left_kib_per_connection")?;
        return Some(format!("{each:.2}, left {left:.2}"));
    }
    let most = summary.median(server, work, "saturation_per_s")?;
    let p99 = summary.median(server, work, "saturation_p99_ms")?;
    let bound = summary.median(server, work, "saturation_generator_cpu")? > 0.9;
    Some(format!("{}{}, {} ms", if bound { "≥ " } else { "" }, thousands(most), short(p99)))
}

/// Who was looked at byte by byte, and who lost something.
fn exactness(summary: &Summary<'_>, run: &Run) -> String {
    let checked: Vec<&str> =
        summary.servers().into_iter().filter(|server| summary.of(server, "VA").count() > 0).collect();
    let inexact = run.inexact();
    let exact: Vec<&str> = checked.iter().copied().filter(|server| !inexact.contains(server)).collect();
    let mut text = if checked.is_empty() {
        String::from("- Not looked at byte by byte in this run (V).\n")
    } else {
        format!("- Exact to the byte (V): {}.\n", list(&exact))
    };
    for record in &run.records {
        let lost = is_load(&record.work) && !record.is_exact();
        if let Some(error) = &record.error {
            let _ = writeln!(text, "- Failed: {} {} {}: {error}", record.server, record.work, record.pair);
        } else if let Some(backlog) = record.backlog().filter(|_| lost) {
            let backlog = thousands(backlog);
            let _ = writeln!(
                text,
                "- Behind: {} {}: {backlog} had not come after a drain of 3 s.",
                record.server, record.work
            );
        } else if lost || (record.work.starts_with('V') && !record.is_exact()) {
            let _ = writeln!(text, "- Not exact: {}", record.brief());
        }
    }
    text
}

fn notes(machine: &Machine, run: &Run, options: &Options) -> String {
    let mut text = format!(
        "- {}, {}, {}; {}.\n- Rounds: {}, each {} s after {} s to warm up, medians; `{}`\n",
        machine.date,
        machine.processor,
        machine.kernel,
        machine.versions.join(", "),
        options.pairs,
        options.seconds,
        options.warm,
        options.command
    );
    for lack in &run.lacks {
        let _ = writeln!(text, "- On this machine {lack}.");
    }
    for (server, why) in &run.skipped {
        let _ = writeln!(text, "- Not measured: {server}: {why}.");
    }
    text
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

/// With commas.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn short(millis: f64) -> String {
    if millis < 10.0 { format!("{millis:.2}") } else { format!("{millis:.0}") }
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::record;
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_server_and_a_column_for_each_load() {
        let mut slow = record("redis", "A", 1, 4106.0);
        slow.figures.insert("p99_ms".into(), 400.0.into());
        let records = vec![
            record("floor-ws-33", "A", 1, 100.0),
            record("floor-ws-33", "C", 1, 700.0),
            record("tickwire-ws-33", "A", 1, 187.0),
            slow,
            record("floor-ws-33", "VA", 1, 1.0),
        ];
        let mut run = Run { records, ..Run::default() };
        run.skipped.push(("nats-tcp".into(), "nats-server is not in the path (--install)".into()));
        let options = Options::from_arguments(&[]).unwrap();
        let text = markdown(&Summary::new(&run.records), &Machine::default(), &run, &options);
        for line in [
            "| server | A | C |",
            "|---|---:|---:|",
            "| floor-ws-33 | 100 | 700 |",
            "| tickwire-ws-33 | 187 (1.87) | - |",
            "| redis | 4,106 (41.06) \\* | - |",
            "- Exact to the byte (V): floor-ws-33.",
            "- Not measured: nats-tcp: nats-server is not in the path (--install).",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("`cargo bench --bench peers`"));
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1000.0), "1,000");
        assert_eq!(thousands(59_920_000.0), "59,920,000");
    }
}
