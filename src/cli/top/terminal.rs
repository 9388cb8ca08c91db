//! A terminal that is drawn on in place, and given back as it was.

use std::io::{self, Write};

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// The cursor, and the screen from before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal while it is drawn on. Dropping it restores what was there, after an interrupt too.
#[derive(Debug)]
pub(super) struct Terminal(());

impl Terminal {
    pub(super) fn enter() -> io::Result<Self> {
        write(ENTER)?;
        Ok(Self(()))
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        size()
    }

    /// Draws over what is there: no line is seen empty in between.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        write(&drawing(lines))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = write(LEAVE);
    }
}

/// As the environment says, which shells keep up to date for themselves only; else 80 by 24.
pub(super) fn size() -> (usize, usize) {
    let from = |name: &str, otherwise: usize, least: usize| {
        let said = std::env::var(name).ok().and_then(|text| text.parse().ok());
        said.filter(|size| (least..=10_000).contains(size)).unwrap_or(otherwise)
    };
    (from("COLUMNS", 80, 20), from("LINES", 24, 8))
}

fn drawing(lines: &[String]) -> String {
    let mut text = String::from("\x1b[H");
    for (index, line) in lines.iter().enumerate() {
        text.push_str(if index > 0 { "\r\n" } else { "" });
        text.push_str(line);
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J");
    text
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_takes_the_place_of_the_one_before() {
        assert_eq!(drawing(&["a".into(), "b".into()]), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert_eq!(drawing(&[]), "\x1b[H\x1b[J");
    }
}
