//! What dots tell each other in the arena.
//!
//! ```text
//! value, key 0   x: u16 | y: u16 | heading: u16 | flags: u8         where a member is
//! event          0x01 | x: u16 | y: u16 | heading: u16              it shoots
//! event          0x02 | UTF-8, 1 to 200 bytes                       it says something
//! ```
//!
//! Integers are big-endian. The arena is a square of 65,536 units, whatever a screen makes of it; `x` grows to
//! the right, `y` down. A heading is a part of a turn in 65,536ths, from the right over down. Bit 0 of the
//! flags: a machine moves it. The room relays, so a receiver takes nothing for granted: what has another length,
//! another first byte or no UTF-8 is left out.

/// The key of a member's place.
pub const PLACE: u64 = 0;

/// Bytes of a text. 200: two lines on a phone.
pub const MAX_TEXT: usize = 200;

/// The flag of a dot that a machine moves.
pub const IS_BOT: u8 = 1;

const SHOT: u8 = 1;
const TEXT: u8 = 2;

/// Where a dot is, and where it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// To the right.
    pub x: u16,
    /// Down.
    pub y: u16,
    /// In 65,536ths of a turn.
    pub heading: u16,
}

impl Place {
    /// The value of a member.
    #[must_use]
    pub const fn value(self, flags: u8) -> [u8; 7] {
        let ([a, b], [c, d], [e, f]) = (self.x.to_be_bytes(), self.y.to_be_bytes(), self.heading.to_be_bytes());
        [a, b, c, d, e, f, flags]
    }

    /// The event of a shot from here.
    #[must_use]
    pub const fn shot(self) -> [u8; 7] {
        let [a, b, c, d, e, f, _] = self.value(0);
        [SHOT, a, b, c, d, e, f]
    }
}

/// The event of a text, cut to what may be said; `None` where nothing is left.
#[must_use]
pub fn text(said: &str) -> Option<Vec<u8>> {
    let said = said.trim();
    let end = (0..=said.len().min(MAX_TEXT)).rfind(|end| said.is_char_boundary(*end))?;
    let cut = said.get(..end).filter(|cut| !cut.is_empty())?;
    Some([&[TEXT], cut.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_laid_out_as_told() {
        let place = Place { x: 0x0102, y: 0x0304, heading: 0x0506 };
        assert_eq!(place.value(IS_BOT), [1, 2, 3, 4, 5, 6, 1]);
        assert_eq!(place.shot(), [1, 1, 2, 3, 4, 5, 6]);
        assert_eq!(text(" hi\n").unwrap(), b"\x02hi");
        assert_eq!(text(" \t"), None);
        let long = text(&"ä".repeat(101)).unwrap();
        assert_eq!(long.len(), 201);
        let odd = text(&format!("a{}", "ä".repeat(101))).unwrap();
        assert_eq!((odd.len(), std::str::from_utf8(&odd[1..]).is_ok()), (200, true));
    }
}
