//! What a recording holds and what a replay did, for people and for programs.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Replay, ReplayArguments, Survey};
use crate::cli::{output, units};

/// Says what is in a file.
pub(super) fn write_survey(survey: &Survey, arguments: &ReplayArguments, out: &mut impl Write) -> io::Result<()> {
    let Survey { preface, contents, duration, bytes, torn, damage } = survey;
    let epoch = output::hex(&preface.epoch.0);
    let recorded = utc(preface.start.saturating_add(preface.wall));
    if arguments.json {
        let mut object = Map::new();
        object.insert("room".into(), json!(preface.room.as_str()));
        object.insert("epoch".into(), json!(epoch));
        object.insert("period_us".into(), json!(preface.period));
        object.insert("recorded".into(), json!(recorded));
        object.insert("seconds".into(), json!(duration.as_micros() as f64 / 1e6));
        object.insert("bytes".into(), json!(bytes));
        contents.insert_json(&mut object);
        object.insert("torn".into(), torn.map_or(Value::Null, |torn| json!({"at": torn.offset, "bytes": torn.bytes})));
        object.insert("whole".into(), json!(damage.is_none()));
        return writeln!(out, "{}", Value::Object(object));
    }
    let file = output::escaped(arguments.file.as_os_str().as_encoded_bytes());
    writeln!(out, "{file}: room {}", preface.room)?;
    writeln!(out, "  recorded    {recorded}, for {:.1} s", duration.as_secs_f64())?;
    writeln!(out, "  period      {}", units::show_duration(std::time::Duration::from_micros(preface.period)))?;
    writeln!(out, "  epoch       {epoch}")?;
    writeln!(out, "  size        {}", units::show_size(*bytes))?;
    contents.write_text(out)?;
    match (torn, damage) {
        (_, Some(damage)) => writeln!(out, "  whole       no: {damage}; only what comes before is counted"),
        (Some(torn), _) => writeln!(out, "  whole       no: {torn}"),
        _ => writeln!(out, "  whole       yes"),
    }
}

/// Says what was published, and how that went.
pub(super) fn write_replay(replay: &Replay, arguments: &ReplayArguments, out: &mut impl Write) -> io::Result<()> {
    let Replay { room, crew, events, values, too_large, .. } = replay;
    let seconds = replay.began.elapsed().as_secs_f64();
    let (p99, max) = (replay.lateness_ms(0.99), replay.lateness_ms(1.0));
    if arguments.json {
        let refusals = crew.refusals().into_iter().map(|(reason, count)| (reason.0.to_string(), json!(count)));
        let object = json!({
            "room": room,
            "connections": crew.connections(),
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "events": events,
            "values": values,
            "refused": crew.refused(),
            "refused_by_reason": refusals.collect::<Map<_, _>>(),
            "too_large": too_large,
            "collisions": crew.collisions().unwrap_or(0),
            "lateness_p99_ms": p99,
            "lateness_max_ms": max,
        });
        return writeln!(out, "{object}");
    }
    let file = output::escaped(arguments.file.as_os_str().as_encoded_bytes());
    writeln!(out, "replayed {file} into {room} for {seconds:.1} s, over {} connections", crew.connections())?;
    writeln!(out, "  messages    {}: {events} events, {values} values", events + values)?;
    writeln!(out, "  refused     {}", crew.refused())?;
    for (reason, count) in crew.refusals() {
        writeln!(out, "    {count:>7} with {reason}")?;
    }
    if *too_large > 0 {
        writeln!(out, "  too large   {too_large} messages were not sent: this server takes no such messages")?;
    }
    if let Some(collisions) = crew.collisions() {
        let hint = if collisions > 0 { "; raise --members to keep them apart" } else { "" };
        writeln!(out, "  shared      members share connections: {collisions} values replaced another member's{hint}")?;
    }
    match p99.zip(max) {
        Some((p99, max)) => writeln!(out, "  lateness    p99 {p99:.1} ms, max {max:.1} ms"),
        None => Ok(()),
    }
}

/// Microseconds since 1970 as a date and a time, to the second.
fn utc(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Eras of 400 years that begin on March 1, so that the leap day is a year's last.
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_as_dates() {
        let check = |seconds: u64, shown: &str| assert_eq!(utc(seconds * 1_000_000), shown);
        check(0, "1970-01-01 00:00:00 UTC");
        check(951_782_399, "2000-02-28 23:59:59 UTC");
        check(951_782_400, "2000-02-29 00:00:00 UTC");
        check(951_868_800, "2000-03-01 00:00:00 UTC");
        check(1_795_226_400, "2026-11-21 02:00:00 UTC");
        check(4_102_444_799, "2099-12-31 23:59:59 UTC");
        let _ = utc(u64::MAX);
    }
}
