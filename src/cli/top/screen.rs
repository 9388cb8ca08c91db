//! Figures as lines of text that fit a width.

use serde_json::Value;

use super::super::output;
use super::figures::{Figures, Sort};

/// Columns behind a room's name, each with its width.
const COLUMNS: [(&str, usize); 5] = [("MEMBERS", 8), ("MSG/S", 9), ("BYTES/S", 10), ("VALUES", 7), ("KEPT", 9)];

/// The narrowest that a name is shown.
const SHORTEST_NAME: usize = 12;

/// The lines, none of them wider than `width`; of the rooms as many as `height` leaves.
pub(super) fn lines(figures: &Figures, sort: Sort, width: usize, height: Option<usize>) -> Vec<String> {
    let now = &figures.now;
    let mut lines = vec![head(now), traffic(now), ticks(now), receivers(now), shards(now), String::new()];
    let rooms = figures.sorted(sort);
    lines.push(row("ROOM", &COLUMNS.map(|(title, _)| title.to_owned()), width));
    let left = height.map_or(usize::MAX, |height| height.saturating_sub(lines.len() + 1));
    for room in rooms.iter().take(left) {
        let name = output::escaped(room.get("name").and_then(Value::as_str).unwrap_or_default().as_bytes());
        let cells = [
            count(number(room, "/members")),
            count(number(room, "/messages_rate")),
            bytes(number(room, "/bytes_rate")),
            count(number(room, "/values")),
            bytes(number(room, "/kept_bytes")),
        ];
        lines.push(row(&name, &cells, width));
    }
    let total = number(&figures.rooms, "/total").unwrap_or_default() as usize;
    let shown = rooms.len().min(left);
    if total > shown {
        lines.push(format!("{shown} of {total} rooms"));
    } else if total == 0 {
        lines.push("no rooms".into());
    }
    lines.iter().map(|line| cut(line, width)).collect()
}

fn head(now: &Value) -> String {
    let ready = if now.get("ready") == Some(&Value::Bool(false)) { "going away" } else { "ready" };
    let seconds = number(now, "/uptime_s").unwrap_or_default() as u64;
    let uptime = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "tickwire  {ready}  up {uptime}  connections {} of {}  sessions {}",
        count(number(now, "/connections/now")),
        count(number(now, "/connections/max")),
        count(number(now, "/connections/sessions"))
    )
}

fn traffic(now: &Value) -> String {
    format!(
        "traffic   messages {}/s  deliveries {}/s  in {}/s  out {}/s",
        count(number(now, "/rates/messages")),
        count(number(now, "/rates/deliveries")),
        bytes(number(now, "/rates/bytes_in")),
        bytes(number(now, "/rates/bytes_out"))
    )
}

fn ticks(now: &Value) -> String {
    let time = |path: &str| micros(number(now, path));
    format!(
        "tick      lag p50 {} p99 {} max {}  flush p50 {} p99 {}",
        time("/tick/lag_us/p50"),
        time("/tick/lag_us/p99"),
        time("/tick/lag_us/max"),
        time("/tick/duration_us/p50"),
        time("/tick/duration_us/p99")
    )
}

fn receivers(now: &Value) -> String {
    let filled = now.pointer("/outbox/filled").and_then(Value::as_array);
    let slow: f64 = filled.into_iter().flatten().skip(2).filter_map(Value::as_f64).sum();
    format!(
        "receivers slow {}  queued {}  fullest {}  behind {}  skipped {}  closed {}  refused {}",
        count(Some(slow)),
        bytes(number(now, "/outbox/bytes")),
        bytes(number(now, "/outbox/largest")),
        count(number(now, "/slow/behind")),
        count(number(now, "/slow/skipped")),
        count(number(now, "/slow/closed")),
        count(number(now, "/totals/rejections"))
    )
}

fn shards(now: &Value) -> String {
    let shards = now.get("shards").and_then(Value::as_array);
    let mailboxes = shards.into_iter().flatten().map(|shard| count(number(shard, "/mailbox")));
    let mailboxes = mailboxes.collect::<Vec<_>>().join(" ");
    match number(now, "/shards_silent").unwrap_or_default() {
        silent if silent > 0.0 => format!("mailboxes {mailboxes}  ({} shards did not answer)", count(Some(silent))),
        _ => format!("mailboxes {mailboxes}"),
    }
}

/// A name and its cells, those to the right.
fn row(name: &str, cells: &[String; 5], width: usize) -> String {
    let others: usize = COLUMNS.iter().map(|(_, width)| width).sum();
    let room = width.saturating_sub(others).max(SHORTEST_NAME);
    let mut line = format!("{:room$}", cut(name, room.saturating_sub(1)));
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        line.push_str(&format!("{cell:>width$}"));
    }
    line
}

/// At most so many letters.
fn cut(text: &str, width: usize) -> String {
    let text = text.trim_end();
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['~']).collect()
}

fn number(value: &Value, path: &str) -> Option<f64> {
    value.pointer(path).and_then(Value::as_f64)
}

/// 1234567 is 1.23M.
fn count(number: Option<f64>) -> String {
    scaled(number, &["", "k", "M", "G"])
}

/// 1234567 is 1.23MB.
fn bytes(number: Option<f64>) -> String {
    scaled(number, &["B", "kB", "MB", "GB", "TB"])
}

/// 1234 is 1.23ms.
fn micros(number: Option<f64>) -> String {
    scaled(number, &["us", "ms", "s"])
}

fn scaled(number: Option<f64>, units: &[&str]) -> String {
    let Some(mut number) = number else { return "-".into() };
    let mut units = units.iter().copied();
    let mut unit = units.next().unwrap_or_default();
    let mut whole = number.fract() == 0.0;
    // What would be shown as 1000 is one of the next.
    while number >= 999.5
        && let Some(larger) = units.next()
    {
        (number, unit, whole) = (number / 1000.0, larger, false);
    }
    let digits = match number {
        _ if whole || number >= 99.95 => 0,
        9.995.. => 1,
        _ => 2,
    };
    let text = format!("{number:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::example;
    use super::*;

    #[test]
    fn a_screen_has_what_there_is() {
        let lines = lines(&example(), Sort::Members, 80, Some(24));
        let expected = [
            "tickwire  ready  up 1:02:03  connections 120 of 10k  sessions 125",
            "traffic   messages 2k/s  deliveries 200k/s  in 80kB/s  out 7.3MB/s",
            "tick      lag p50 80us p99 1.25ms max 4.1ms  flush p50 300us p99 900us",
            "receivers slow 5  queued 123kB  fullest 65.5kB  behind 7  skipped 2  closed 1  ~",
            "mailboxes 3 0",
            "",
            "ROOM                                  MEMBERS    MSG/S   BYTES/S VALUES     KEPT",
            "arena                                     100     20.5        5B      3   2.05kB",
            "b                                           5       90        7B      3   2.05kB",
            "lobby                                       5        1        9B      3   2.05kB",
            "3 of 81 rooms",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn nothing_is_wider_or_higher_than_the_terminal() {
        for (width, height) in [(40, 9), (60, 8), (20, 24), (1, 1)] {
            let lines = lines(&example(), Sort::Name, width, Some(height));
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}");
            assert!(lines.len() <= height.max(8), "{height}");
        }
        assert_eq!(lines(&example(), Sort::Name, 60, Some(9)).last().unwrap(), "1 of 81 rooms");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let lines = lines(&Figures::default(), Sort::Name, 80, None);
        assert_eq!(
            (lines[1].as_str(), lines[7].as_str()),
            ("traffic   messages -/s  deliveries -/s  in -/s  out -/s", "no rooms")
        );
    }

    #[test]
    fn numbers_are_short() {
        let check = |number: f64, expected: &str| assert_eq!(bytes(Some(number)), expected);
        check(0.0, "0B");
        check(999.0, "999B");
        check(999.6, "1kB");
        check(1005.0, "1kB");
        check(1234.0, "1.23kB");
        check(12_345.0, "12.3kB");
        check(123_456.0, "123kB");
        check(999_600.0, "1MB");
        check(5e15, "5000TB");
        assert_eq!(count(Some(0.5)), "0.5");
        assert_eq!(micros(Some(2_500_000.0)), "2.5s");
    }
}
