//! What players and the arena say, in bytes. Integers are big-endian.
//!
//! ```text
//! input, an event of a player:  | sequence u16 | dx i8 | dy i8 | shoots u8 |
//! mark, a value of the room:    | x i16 | y i16 | health u8 | sequence u16 |     key = member
//! news, an event of the room:   | 0 | shooter u8 |    or    | 1 | shooter u8 | target u8 | health u8 |
//! ```

use tickwire::wire::MemberNumber;

/// What a player wants, once a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// The player's own count of its inputs.
    pub(crate) sequence: u16,
    pub(crate) dx: i8,
    pub(crate) dy: i8,
    pub(crate) shoots: bool,
}

impl Input {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let &[high, low, dx, dy, shoots @ 0..=1] = bytes else { return None };
        let sequence = u16::from_be_bytes([high, low]);
        Some(Self { sequence, dx: dx as i8, dy: dy as i8, shoots: shoots == 1 })
    }

    pub(crate) fn encode(self) -> [u8; 5] {
        let [high, low] = self.sequence.to_be_bytes();
        [high, low, self.dx as u8, self.dy as u8, self.shoots.into()]
    }
}

/// Where a player is, as the arena has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) x: i16,
    pub(crate) y: i16,
    pub(crate) health: u8,
    /// The last input that is in it. A client that has predicted further takes this position, and
    /// applies its later inputs to it again; the batch's tick says to which moment it belongs.
    pub(crate) sequence: u16,
}

impl Mark {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let &[xh, xl, yh, yl, health, sh, sl] = bytes else { return None };
        let (x, y) = (i16::from_be_bytes([xh, xl]), i16::from_be_bytes([yh, yl]));
        Some(Self { x, y, health, sequence: u16::from_be_bytes([sh, sl]) })
    }

    pub(crate) fn encode(self) -> [u8; 7] {
        let ([xh, xl], [yh, yl]) = (self.x.to_be_bytes(), self.y.to_be_bytes());
        let [sh, sl] = self.sequence.to_be_bytes();
        [xh, xl, yh, yl, self.health, sh, sl]
    }
}

/// What everybody must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Shot { shooter: MemberNumber },
    Hit { shooter: MemberNumber, target: MemberNumber, health: u8 },
}

impl News {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let member = |byte: u8| MemberNumber(byte.into());
        match *bytes {
            [0, shooter] => Some(Self::Shot { shooter: member(shooter) }),
            [1, shooter, target, health] => {
                Some(Self::Hit { shooter: member(shooter), target: member(target), health })
            }
            _ => None,
        }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        // An example's arena: members beyond 255 are shown as 255.
        let byte = |member: MemberNumber| u8::try_from(member.0).unwrap_or(u8::MAX);
        match self {
            Self::Shot { shooter } => vec![0, byte(shooter)],
            Self::Hit { shooter, target, health } => vec![1, byte(shooter), byte(target), health],
        }
    }
}
