//! Durations and sizes as people write them: `33ms`, `5s`, `16KiB`.

use std::time::Duration;

/// Reads a duration: a number and `us`, `ms`, `s`, `m` or `h`; zero needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("us", 1), ("ms", 1000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let micros = amount(text, &units).ok_or_else(|| format!("'{text}' is not a duration: write 33ms, 5s or 1m"))?;
    if micros > LONGEST {
        return Err(format!("'{text}' is more than ten years: at most 87600h"));
    }
    Ok(Duration::from_micros(micros))
}

/// Microseconds of the longest duration. 87,600 h: beyond ten years nobody waits, and sums of times would leave what the
/// protocol can say.
const LONGEST: u64 = 87_600 * 3_600_000_000;

/// Reads a size in bytes: a number, alone or with `B`, `KiB`, `MiB`, `GiB`, `kB` or `MB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let units =
        [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000)];
    let bytes = amount(text, &units).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("'{text}' is not a size: write 16384, 16KiB, 16kB or 1MiB"))
}

/// A whole number with one of these units, multiplied.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits.replace('_', "").parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.checked_mul(*factor)
}

/// A duration as it would be written.
pub(crate) fn show_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0 => "0".to_owned(),
        _ if micros.is_multiple_of(1_000_000) => format!("{} s", micros / 1_000_000),
        _ if micros.is_multiple_of(1000) => format!("{} ms", micros / 1000),
        _ => format!("{micros} us"),
    }
}

/// A size in the largest unit of which there is one.
pub(crate) fn show_size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, bits)| bytes >> bits > 0) {
        Some((name, bits)) => format!("{:.1} {name}", bytes as f64 / (1_u64 << bits) as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let check = |text: &str, micros: u64| assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        check("0", 0);
        check("0ms", 0);
        check("33ms", 33_000);
        check(" 5 s ", 5_000_000);
        check("1m", 60_000_000);
        check("2h", 7_200_000_000);
        check("250us", 250);
        for wrong in ["", "5", "ms", "-5s", "1.5s", "5sec", "5 s s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit() {
        let check = |text: &str, bytes: usize| assert_eq!(size(text), Ok(bytes), "{text}");
        check("0", 0);
        check("16384", 16_384);
        check("16_384", 16_384);
        check("16KiB", 16_384);
        check("16 KiB", 16_384);
        check("2kB", 2000);
        check("1MiB", 1 << 20);
        check("1GiB", 1 << 30);
        for wrong in ["", "KiB", "16K", "16kib", "-1", "1.5MiB", "99999999999999999999", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_shown_whole() {
        assert_eq!(show_duration(Duration::from_millis(33)), "33 ms");
        assert_eq!(show_duration(Duration::from_millis(2000)), "2 s");
        assert_eq!(show_duration(Duration::from_micros(16_667)), "16667 us");
    }

    #[test]
    fn sizes_are_shown_short() {
        let check = |bytes, shown: &str| assert_eq!(show_size(bytes), shown);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1536, "1.5 KiB");
        check(1 << 20, "1.0 MiB");
        check(5 << 30, "5.0 GiB");
    }
}
