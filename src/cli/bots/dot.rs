//! A dot that wanders: where it is, where it turns, when it shoots and what it says.
//!
//! ```text
//! chance ──> how sharply it turns, now and then
//! edge   ──> turns it back, the more the nearer
//! ```

use std::f32::consts::TAU;

use tickwire::server::page::message::Place;

/// The side of the arena.
const SIDE: f32 = 65_536.0;

/// How near to an edge a dot turns back. An eighth of the side: it is seen to turn.
const EDGE: f32 = SIDE / 8.0;

/// The fastest turn, in radians a second.
const SHARPEST: f32 = 2.2;

/// How often a dot thinks of another way, in seconds.
const WHIM: f32 = 0.8;

/// Between two shots of a dot on average, in seconds. 12: with fifty dots, four a second.
const SHOT_EVERY: f32 = 12.0;

/// Between two texts of a dot on average, in seconds. 300: with fifty dots, ten a minute can be read.
const TEXT_EVERY: f32 = 300.0;

/// What dots say.
const TEXTS: [&str; 8] = [
    "hello from a bot",
    "one write per tick, whatever we do",
    "cut my cable, I dare you",
    "positions are values, shots are events",
    "who is the one with the mouse?",
    "tick tock",
    "try the slow receiver",
    "open a second tab",
];

/// A dot.
#[derive(Clone, Debug)]
pub(super) struct Dot {
    x: f32,
    y: f32,
    /// In radians.
    heading: f32,
    /// In radians a second.
    turn: f32,
    /// In units a second.
    speed: f32,
    chance: Chance,
}

/// What a dot does beside moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whim {
    Shot,
    Text(&'static str),
}

impl Dot {
    /// The same dot for the same seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let within = |part: f32| EDGE + part * (SIDE - 2.0 * EDGE);
        let (x, y) = (within(chance.part()), within(chance.part()));
        let (heading, speed) = (chance.part() * TAU, 5_000.0 + 8_000.0 * chance.part());
        Self { x, y, heading, turn: 0.0, speed, chance }
    }

    /// Lets time pass, in seconds.
    pub(super) fn advance(&mut self, seconds: f32) {
        if self.chance.happens(seconds / WHIM) {
            self.turn = (self.chance.part() * 2.0 - 1.0) * SHARPEST;
        }
        let nearest = self.x.min(self.y).min(SIDE - self.x).min(SIDE - self.y);
        if nearest < EDGE {
            let to_middle = (SIDE / 2.0 - self.y).atan2(SIDE / 2.0 - self.x);
            let off = (to_middle - self.heading + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
            self.turn = off.clamp(-1.0, 1.0) * SHARPEST * (2.0 - nearest / EDGE);
        }
        self.heading = (self.heading + self.turn * seconds).rem_euclid(TAU);
        self.x = (self.x + self.heading.cos() * self.speed * seconds).clamp(0.0, SIDE - 1.0);
        self.y = (self.y + self.heading.sin() * self.speed * seconds).clamp(0.0, SIDE - 1.0);
    }

    /// What it does in this time beside moving, mostly nothing.
    pub(super) fn whim(&mut self, seconds: f32) -> Option<Whim> {
        if self.chance.happens(seconds / SHOT_EVERY) {
            return Some(Whim::Shot);
        }
        let says = self.chance.happens(seconds / TEXT_EVERY);
        says.then(|| Whim::Text(TEXTS[(self.chance.part() * TEXTS.len() as f32) as usize % TEXTS.len()]))
    }

    /// As others are told.
    pub(super) fn place(&self) -> Place {
        Place { x: self.x as u16, y: self.y as u16, heading: (self.heading / TAU * SIDE) as u16 }
    }
}

/// Numbers that look random: xorshift64.
#[derive(Clone, Debug)]
struct Chance(u64);

impl Chance {
    /// From 0, below 1.
    fn part(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // 24 bits are what an f32 holds.
        (self.0 >> 40) as f32 / (1_u32 << 24) as f32
    }

    fn happens(&mut self, probability: f32) -> bool {
        self.part() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stay_inside_move_smoothly_and_everywhere() {
        let (mut shots, mut texts) = (0, 0);
        for seed in 0..40 {
            let mut dot = Dot::new(seed);
            let (mut left, mut right) = (SIDE, 0.0_f32);
            for _ in 0..20 * 60 {
                let before = (dot.x, dot.y);
                dot.advance(0.05);
                let far = (dot.x - before.0).hypot(dot.y - before.1);
                assert!(far <= dot.speed * 0.05 + 1.0, "seed {seed}: {far}");
                assert!((0.0..SIDE).contains(&dot.x) && (0.0..SIDE).contains(&dot.y), "seed {seed}");
                (left, right) = (left.min(dot.x), right.max(dot.x));
                match dot.whim(0.05) {
                    Some(Whim::Shot) => shots += 1,
                    Some(Whim::Text(text)) => texts += usize::from(!text.is_empty()),
                    None => {}
                }
            }
            assert!(right - left > SIDE / 8.0, "seed {seed} stays in its corner");
        }
        // 40 dots for a minute: 200 shots and 8 texts on average.
        assert!((120..300).contains(&shots) && (1..30).contains(&texts), "{shots} {texts}");
        assert_ne!(Dot::new(1).place(), Dot::new(2).place());
    }
}
