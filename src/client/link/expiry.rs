//! When a token ends, by its own word (PROTOCOL 15.1): read, not verified.
//!
//! ```text
//! header . payload . signature      payload = base64url of {"exp": 1767225600, ...}
//! ```

use std::time::Duration;

/// The seconds since 1970 at which a token expires, where it says so in a way that can be read.
pub(super) fn expiry(token: &[u8]) -> Option<Duration> {
    let payload = token.split(|byte| *byte == b'.').nth(1)?;
    let seconds = claim(&base64url(payload)?, b"exp")?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// How long after `now` a token is renewed that expires then: before the end by 30 s, or by a quarter of what is
/// left where that is less (clients/SPEC.md 3).
pub(super) fn renewal(expires: Duration, now: Duration) -> Duration {
    let left = expires.saturating_sub(now);
    left - (left / 4).min(Duration::from_secs(30))
}

/// The bytes of unpadded base64 in the alphabet for addresses.
fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for character in text {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            // The low eight bits are what this takes.
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

/// The number of a claim, which stands in the outermost object.
fn claim(json: &[u8], name: &[u8]) -> Option<f64> {
    let (mut depth, mut rest) = (0_i64, json);
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let end = string_end(rest)?;
                let (text, behind) = rest.split_at(end);
                rest = behind.get(1..)?;
                // Only a name is followed by a colon.
                if depth == 1
                    && text == name
                    && let Some(value) = rest.trim_ascii_start().strip_prefix(b":")
                {
                    return number(value.trim_ascii_start());
                }
            }
            _ => {}
        }
    }
    None
}

/// Where a string ends that has begun.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })
}

fn number(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|byte| !b"+-.0123456789eE".contains(byte)).unwrap_or(text.len());
    std::str::from_utf8(text.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_expiry_of_a_token_is_read() {
        let check = |payload: &str, expected: Option<u64>| {
            let token = format!("e30.{payload}.c2ln");
            assert_eq!(expiry(token.as_bytes()), expected.map(Duration::from_secs), "{payload}");
        };
        // {"exp":1767225600}
        check("eyJleHAiOjE3NjcyMjU2MDB9", Some(1_767_225_600));
        // {"sub":"exp","x":{"exp":1}, "e\"xp":[2], "exp" : 12.0}
        check("eyJzdWIiOiJleHAiLCJ4Ijp7ImV4cCI6MX0sICJlXCJ4cCI6WzJdLCAiZXhwIiA6IDEyLjB9", Some(12));
        // {"exp":"soon"}
        check("eyJleHAiOiJzb29uIn0", None);
        // {"exp":-1}
        check("eyJleHAiOi0xfQ", None);
        check("e30", None);
        check("", None);
        check("!", None);
        assert_eq!(expiry(b"a.b"), None);
        assert_eq!(expiry(b"opaque"), None);
    }

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let check = |left, expected| {
            let now = Duration::from_secs(1000);
            assert_eq!(renewal(now + Duration::from_secs(left), now), Duration::from_secs(expected), "{left}");
        };
        check(4, 3);
        check(120, 90);
        check(3600, 3570);
        check(0, 0);
        assert_eq!(renewal(Duration::ZERO, Duration::from_secs(9)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_token_is_too_strange(token in proptest::collection::vec(any::<u8>(), 0..200), json in ".{0,80}") {
            let _ = expiry(&token);
            let _ = claim(json.as_bytes(), b"exp");
        }
    }
}
