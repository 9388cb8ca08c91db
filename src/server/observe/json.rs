//! JSON, as far as it is written here: members of an object, with payloads as text where they are text.

use std::fmt::{Display, Write};

/// An object under construction.
#[derive(Debug)]
pub(super) struct Object {
    text: String,
}

impl Object {
    pub(super) fn new() -> Self {
        Self { text: "{".to_owned() }
    }

    /// A number or a boolean.
    pub(super) fn plain(mut self, name: &str, value: impl Display) -> Self {
        self.name(name);
        // Writing to a string does not fail.
        let _written = write!(self.text, "{value}");
        self
    }

    pub(super) fn string(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        put_string(&mut self.text, value);
        self
    }

    /// What is JSON already.
    pub(super) fn raw(self, name: &str, json: &str) -> Self {
        self.plain(name, json)
    }

    /// What a client sent: as `text` where it is UTF-8, or else as `base64`.
    pub(super) fn payload(self, bytes: &[u8]) -> Self {
        self.bytes("text", "base64", bytes)
    }

    /// As [`payload`](Self::payload), under other names.
    pub(super) fn bytes(self, text: &str, base64: &str, bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(value) => self.string(text, value),
            Err(_) => self.string(base64, &encode(bytes)),
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        put_string(&mut self.text, name);
        self.text.push(':');
    }
}

/// A string on one line: control characters, those of terminals too, are escaped.
fn put_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            // Line and paragraph separators end a line for some who read.
            _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                let _written = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
}

/// Base64 (RFC 4648, section 4), padded.
pub(in crate::server) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (group >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_json_on_one_line() {
        let object = Object::new().plain("a", 7).string("b\"", "x\n\u{1b}\u{9b}\u{2028}\\\"ü").plain("c", true);
        let expected = "{\"a\":7,\"b\\\"\":\"x\\u000a\\u001b\\u009b\\u2028\\\\\\\"ü\",\"c\":true}";
        assert_eq!(object.raw("d", "[1]").finish().replace(",\"d\":[1]", ""), expected);
        assert_eq!(Object::new().finish(), "{}");
    }

    #[test]
    fn payloads_that_are_no_text_are_base64() {
        assert_eq!(Object::new().payload(b"hi").finish(), "{\"text\":\"hi\"}");
        assert_eq!(Object::new().payload(b"\xff\x00\x01").finish(), "{\"base64\":\"/wAB\"}");
        // RFC 4648, section 10.
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in cases {
            assert_eq!(encode(plain.as_bytes()), encoded);
        }
    }
}
