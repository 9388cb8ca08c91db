//! The arena's rules: who is where, who may shoot, who is hit.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tickwire::logic::{Context, Message, RoomLogic, Tick, Verdict};
use tickwire::wire::{MemberNumber, Reason, Target};

use super::messages::{Input, Mark, News};

/// The arena's sides, in steps.
pub(crate) const SIDE: i16 = 1000;

/// Steps a tick, along each axis: a client cannot ask for more.
pub(crate) const SPEED: i16 = 10;

pub(crate) const FULL_HEALTH: u8 = 100;
const DAMAGE: u8 = 25;

/// How far a shot reaches, and how far from its line somebody may stand to be hit.
const RANGE: i32 = 300;
const WIDTH: i32 = 30;

/// Ticks between two shots of a player.
const RELOAD: u64 = 10;

/// Inputs of a player that wait. A client sends one a tick; a second of network trouble may come at once.
const WAITING: usize = 20;

const PLAYERS: usize = 16;

/// Longer stalls are not made up for: players would fly through walls they could not see.
const MAKE_UP: u64 = 20;

/// What an arena refuses with: the first may be tried again later, the others never.
pub(crate) const FULL: Reason = Reason(930);
pub(crate) const NOT_AN_INPUT: Reason = Reason(960);
pub(crate) const TOO_FAST: Reason = Reason(961);

/// Everybody in the arena.
#[derive(Default)]
pub(crate) struct Arena {
    players: BTreeMap<MemberNumber, Player>,
    /// Those whose marks are still to be deleted.
    gone: Vec<MemberNumber>,
}

struct Player {
    mark: Mark,
    /// Where it looks: its last movement.
    facing: (i16, i16),
    inputs: VecDeque<Input>,
    /// The tick from which on it may shoot again.
    loaded: u64,
    changed: bool,
}

impl RoomLogic for Arena {
    /// The answer tells the sides and the speed: a client predicts its own movement with them.
    fn joined(&mut self, member: MemberNumber, _data: &[u8], _room: &mut Context<'_>) -> Result<Bytes, Reason> {
        if self.players.len() >= PLAYERS {
            return Err(FULL);
        }
        let mark = Mark { health: FULL_HEALTH, sequence: 0, ..spawn(member) };
        let player = Player { mark, facing: (1, 0), inputs: VecDeque::new(), loaded: 0, changed: true };
        self.players.insert(member, player);
        Ok([SIDE.to_be_bytes(), SPEED.to_be_bytes()].concat().into())
    }

    fn left(&mut self, member: MemberNumber, _reason: Reason, _room: &mut Context<'_>) {
        self.players.remove(&member);
        self.gone.push(member);
    }

    /// Inputs go no further than this. Their effect is told by values and events of the room.
    fn message(&mut self, from: MemberNumber, message: &Message<'_>, _room: &mut Context<'_>) -> Verdict {
        if matches!(message.target, Target::Direct(_)) {
            return Verdict::Relay;
        }
        let Some(input) = Input::decode(message.payload).filter(|_| message.target == Target::Event) else {
            return Verdict::Refuse(NOT_AN_INPUT);
        };
        match self.players.get_mut(&from) {
            Some(player) if player.inputs.len() < WAITING => player.inputs.push_back(input),
            _ => return Verdict::Refuse(TOO_FAST),
        }
        Verdict::Swallow
    }

    fn flush(&mut self, tick: Tick, room: &mut Context<'_>) {
        // One input a tick and player, however many were sent: nobody is faster than the clock.
        for step in (0..tick.elapsed.min(MAKE_UP)).rev() {
            self.step(tick.number - step, room);
        }
        // What a full tick refuses is done at the next one.
        self.gone.retain(|member| room.delete(member.0).is_err());
        for (member, player) in &mut self.players {
            if player.changed {
                player.changed = room.set(member.0, &player.mark.encode()).is_err();
            }
        }
    }
}

impl Arena {
    fn step(&mut self, tick: u64, room: &mut Context<'_>) {
        let mut shots = Vec::new();
        for (member, player) in &mut self.players {
            let Some(input) = player.inputs.pop_front() else { continue };
            player.apply(input);
            if input.shoots && tick >= player.loaded {
                player.loaded = tick + RELOAD;
                shots.push(*member);
            }
        }
        for shooter in shots {
            tell(News::Shot { shooter }, room);
            if let Some(target) = self.target(shooter) {
                self.hit(shooter, target, room);
            }
        }
    }

    /// Who stands nearest in the line of fire.
    fn target(&self, shooter: MemberNumber) -> Option<MemberNumber> {
        let player = self.players.get(&shooter)?;
        let (dx, dy) = (i32::from(player.facing.0), i32::from(player.facing.1));
        let others = self.players.iter().filter(|(member, _)| **member != shooter);
        let hit = others.filter_map(|(member, other)| {
            let (x, y) = (i32::from(other.mark.x - player.mark.x), i32::from(other.mark.y - player.mark.y));
            // Along the line and beside it; a facing is one step long, or a diagonal one.
            let (ahead, beside) = (x * dx + y * dy, (x * dy - y * dx).abs());
            ((1..=RANGE).contains(&ahead) && beside <= WIDTH).then_some((ahead, *member))
        });
        hit.min().map(|(_, member)| member)
    }

    fn hit(&mut self, shooter: MemberNumber, target: MemberNumber, room: &mut Context<'_>) {
        let Some(player) = self.players.get_mut(&target) else { return };
        player.mark.health = player.mark.health.saturating_sub(DAMAGE);
        player.changed = true;
        tell(News::Hit { shooter, target, health: player.mark.health }, room);
        if player.mark.health == 0 {
            let (health, sequence) = (FULL_HEALTH, player.mark.sequence);
            player.mark = Mark { health, sequence, ..spawn(target) };
        }
    }
}

impl Player {
    fn apply(&mut self, input: Input) {
        let (dx, dy) = (i16::from(input.dx.signum()), i16::from(input.dy.signum()));
        if (dx, dy) != (0, 0) {
            self.facing = (dx, dy);
        }
        self.mark.x = (self.mark.x + dx * SPEED).clamp(0, SIDE);
        self.mark.y = (self.mark.y + dy * SPEED).clamp(0, SIDE);
        self.mark.sequence = input.sequence;
        self.changed = true;
    }
}

/// Where somebody begins: places that lie apart, and are the same for the same number.
fn spawn(member: MemberNumber) -> Mark {
    let place = |factor: u64| i16::try_from(member.0 * factor % 9 * 100 + 100).unwrap_or_default();
    Mark { x: place(2), y: place(5), health: 0, sequence: 0 }
}

fn tell(news: News, room: &mut Context<'_>) {
    // A tick that is full loses the flash of a shot; health is a value, and stays true.
    let _full = room.send(&news.encode());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tickwire::logic::{Harness, Heard};
    use tickwire::wire::Key;

    use super::*;

    fn input(sequence: u16, dx: i8, dy: i8, shoots: bool) -> Vec<u8> {
        Input { sequence, dx, dy, shoots }.encode().to_vec()
    }

    /// The last mark of a member that `by` was told of, and all news.
    fn heard(room: &mut Harness, by: MemberNumber, of: MemberNumber) -> (Option<Mark>, Vec<News>) {
        let (mut mark, mut news) = (None, Vec::new());
        for heard in room.heard(by) {
            match heard {
                Heard::Value { key, payload, .. } if key == Key::room(of.0) => mark = Mark::decode(&payload),
                Heard::Event { payload, .. } => news.extend(News::decode(&payload)),
                _ => {}
            }
        }
        (mark, news)
    }

    #[test]
    fn an_input_moves_its_sender_and_its_mark_names_the_input() {
        let mut room = Harness::new(|_| Arena::default());
        let anna = room.join("anna", b"").unwrap();
        room.tick();
        let start = heard(&mut room, anna, anna).0.unwrap();
        room.event(anna, &input(7, 1, -1, false)).unwrap();
        room.tick();
        let (mark, news) = heard(&mut room, anna, anna);
        assert_eq!(mark, Some(Mark { x: start.x + SPEED, y: start.y - SPEED, sequence: 7, ..start }));
        assert_eq!(news, [], "inputs are not relayed");
    }

    #[test]
    fn movement_is_clamped_to_the_speed_and_the_arena() {
        let mut room = Harness::new(|_| Arena::default());
        let anna = room.join("anna", b"").unwrap();
        room.tick();
        let start = heard(&mut room, anna, anna).0.unwrap();
        room.event(anna, &input(1, 127, 0, false)).unwrap();
        room.tick();
        assert_eq!(heard(&mut room, anna, anna).0.unwrap().x, start.x + SPEED);
        for sequence in 2..200 {
            room.event(anna, &input(sequence, -1, -1, false)).unwrap();
            room.tick();
        }
        let mark = heard(&mut room, anna, anna).0.unwrap();
        assert_eq!((mark.x, mark.y), (0, 0));
    }

    #[test]
    fn nobody_is_faster_than_the_clock() {
        let mut room = Harness::new(|_| Arena::default());
        let anna = room.join("anna", b"").unwrap();
        room.tick();
        let start = heard(&mut room, anna, anna).0.unwrap();
        for sequence in 1..=20 {
            room.event(anna, &input(sequence, 1, 0, false)).unwrap();
        }
        assert_eq!(room.event(anna, &input(21, 1, 0, false)), Err(TOO_FAST));
        room.tick();
        assert_eq!(heard(&mut room, anna, anna).0.unwrap().x, start.x + SPEED);
        // A stall of ten ticks is made up for with ten inputs.
        room.stall(Duration::from_millis(500));
        assert_eq!(heard(&mut room, anna, anna).0.unwrap().sequence, 11);
    }

    #[test]
    fn hits_take_health_until_the_player_begins_again() {
        let mut room = Harness::new(|_| Arena::default());
        let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
        room.tick();
        let (from, to) = (heard(&mut room, anna, anna).0.unwrap(), heard(&mut room, bert, bert).0.unwrap());
        // Anna walks to Bert's row, left of him.
        let mut sequence = 0;
        let mut go = |room: &mut Harness, dx, dy, shoots| {
            sequence += 1;
            room.event(anna, &input(sequence, dx, dy, shoots)).unwrap();
            room.tick();
        };
        (0..(to.y - from.y).abs() / SPEED).for_each(|_| go(&mut room, 0, (to.y - from.y).signum() as i8, false));
        (0..(to.x - from.x - 100).abs() / SPEED).for_each(|_| {
            go(&mut room, (to.x - from.x - 100).signum() as i8, 0, false);
        });
        go(&mut room, 1, 0, false);
        room.skip();
        let mut healths = Vec::new();
        for _ in 0..4 {
            go(&mut room, 0, 0, true);
            go(&mut room, 0, 0, true);
            let (mark, news) = heard(&mut room, bert, bert);
            let [News::Shot { .. }, News::Hit { shooter, target, health }] = news[..] else {
                panic!("one shot, since a second must be loaded: {news:?}")
            };
            assert_eq!((shooter, target), (anna, bert));
            healths.push((health, mark.unwrap().health));
            (0..10).for_each(|_| room.tick());
        }
        assert_eq!(healths, [(75, 75), (50, 50), (25, 25), (0, FULL_HEALTH)]);
    }

    #[test]
    fn an_arena_is_for_sixteen_and_inputs_only() {
        let mut room = Harness::new(|_| Arena::default());
        let members: Vec<_> = (0..16).map(|_| room.join("", b"").unwrap()).collect();
        assert_eq!(room.join("", b""), Err(FULL));
        assert_eq!(room.event(members[0], b"hello"), Err(NOT_AN_INPUT));
        assert_eq!(room.value(members[0], Key::room(2), &[0; 7]), Err(NOT_AN_INPUT));
        room.tick();
        room.leave(members[3]).unwrap();
        room.tick();
        let heard = room.heard(members[0]);
        assert!(heard.contains(&Heard::room_value(members[3].0, "")), "its mark is deleted");
        assert!(room.join("", b"").is_ok());
    }
}
