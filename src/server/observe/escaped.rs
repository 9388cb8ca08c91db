//! What strangers sent, in a log: on one line, and no byte of it is interpreted.

use std::fmt;

/// Bytes as text: control characters, invisible ones, backslashes and what is not UTF-8 are escaped.
#[derive(Clone, Copy)]
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_line_or_reaches_a_terminal_raw() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(Escaped(bytes).to_string(), expected);
        check(b"device 7", "device 7");
        check(b"a\nb\r\tc\\\"", "a\\nb\\r\\tc\\\\\\\"");
        check(b"\x1b[2J", "\\u{1b}[2J");
        check("grüße\u{202e}\u{9b}".as_bytes(), "grüße\\u{202e}\\u{9b}");
        check(b"\xff\x00a", "\\xff\\0a");
    }
}
