//! What strangers sent, on a terminal: escaped, so that no byte of it is interpreted.

use std::fmt::Write;

use tickwire::client::Error;
use tickwire::wire::Reason;

/// Bytes as text on one line: control characters, invisible ones and what is not UTF-8 are escaped.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                // Quotes need no escape here; a backslash does, so that escapes are not ambiguous.
                '"' | '\'' => shown.push(character),
                _ => shown.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An error with the server's own words, escaped.
pub(crate) fn error(error: &Error) -> String {
    let text = match error {
        Error::Refused(refusal) => &refusal.text,
        Error::Closed(closing) => &closing.text,
        _ => return error.to_string(),
    };
    with_text(error.to_string(), text)
}

/// A reason with the server's own words, escaped.
pub(crate) fn reason(reason: Reason, text: &str) -> String {
    with_text(reason.to_string(), text)
}

fn with_text(sentence: String, text: &str) -> String {
    if text.is_empty() { sentence } else { format!("{sentence} It says: {}", escaped(text.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(escaped(bytes), expected);
        check(b"plain \"text\" it's", "plain \"text\" it's");
        check(b"a\nb\tc\\", "a\\nb\\tc\\\\");
        check(b"\x1b[2J", "\\u{1b}[2J");
        check("grüße 🙂".as_bytes(), "grüße 🙂");
        check("\u{202e}evil\u{9b}".as_bytes(), "\\u{202e}evil\\u{9b}");
        check(b"\xff\x00a", "\\xff\\0a");
    }
}
