//! An arena: the server decides where everybody is and who is hit; players send only what they want.
//!
//! ```text
//! cargo run --release --example arena [WEBSOCKET_PORT [TCP_PORT]]
//!
//! player ──input 41, 42, 43──> arena ──once a tick──> marks (values), shots and hits (events)
//!    └─ predicts itself         one input a tick       a mark names the last input in it: 41
//!    └─ on the mark: takes its position, and applies 42 and 43 again
//! ```
//!
//! Bots play in it, each a client over TCP. One of them predicts its own position as a game client would,
//! and counts how often the arena disagrees.

mod messages;
mod rules;
#[path = "../serving/mod.rs"]
mod serving;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tickwire::client::{Batch, Event, Membership};
use tickwire::wire::Key;
use tickwire::wire::control::Mode;

use self::messages::{Input, Mark, News};
use self::rules::{Arena, SIDE, SPEED};

const ROOM: &str = "arena/1";
const BOTS: u16 = 6;
const PERIOD: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<(), serving::Failure> {
    let server = serving::builder(PERIOD)?.logic("arena/*", |_| Arena::default()).bind().await?;
    serving::announce(&server, ROOM, "this is refused: it is no input")?;
    for bot in 1..=BOTS {
        let playing = play(serving::tcp(&server)?, bot);
        tokio::spawn(async move {
            if let Err(failure) = playing.await {
                eprintln!("bot {bot}: {failure}");
            }
        });
    }
    serving::run(server).await
}

/// A bot. The first one also prints what it knows, once a second.
async fn play(url: String, bot: u16) -> Result<(), serving::Failure> {
    let mut client = serving::connect(url).await?;
    let membership = client.join(ROOM, Mode::BOTH).await?;
    let mut view = View::new(membership);
    let mut tick = tokio::time::interval(PERIOD);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let input = view.decide(bot);
                client.event(view.membership.handle, &input.encode()).await?;
            }
            _ = second.tick(), if bot == 1 => view.print(),
            event = client.next() => match event? {
                Event::Batch(batch) | Event::Snapshot(batch) => view.handle(&batch),
                Event::GoingAway { .. } | Event::Left { .. } | Event::Closed(_) => return Ok(()),
                _ => {}
            },
        }
    }
}

/// What a player knows.
struct View {
    membership: Membership,
    marks: BTreeMap<u64, Mark>,
    tick: u64,
    shots: u32,
    hits: u32,
    /// Inputs that no mark has named yet.
    sent: VecDeque<Input>,
    sequence: u16,
    /// Where this player believes to be.
    predicted: Option<Mark>,
    corrections: u32,
}

impl View {
    fn new(membership: Membership) -> Self {
        let (marks, sent) = (BTreeMap::new(), VecDeque::new());
        let (tick, shots, hits, sequence, predicted, corrections) = (0, 0, 0, 0, None, 0);
        Self { membership, marks, tick, shots, hits, sent, sequence, predicted, corrections }
    }

    /// Walks in squares, shoots often, and moves at once without waiting for the server.
    fn decide(&mut self, bot: u16) -> Input {
        self.sequence = self.sequence.wrapping_add(1);
        let turn = (self.sequence / (20 + bot * 3) + bot) % 4;
        let (dx, dy) = [(1, 0), (0, 1), (-1, 0), (0, -1)][usize::from(turn)];
        let input = Input { sequence: self.sequence, dx, dy, shoots: self.sequence.is_multiple_of(15) };
        self.sent.push_back(input);
        if let Some(mark) = &mut self.predicted {
            apply(mark, input);
        }
        input
    }

    fn handle(&mut self, batch: &Batch) {
        self.tick = batch.tick();
        for record in batch.records() {
            let Some(key) = record.key.map(Key::from_wire) else {
                match News::decode(record.payload) {
                    Some(News::Shot { .. }) => self.shots += 1,
                    Some(News::Hit { .. }) => self.hits += 1,
                    None => {}
                }
                continue;
            };
            match Mark::decode(record.payload) {
                Some(mark) => {
                    self.marks.insert(key.number(), mark);
                    if key == Key::room(self.membership.member.0) {
                        self.reconcile(mark);
                    }
                }
                // An empty payload: the player has left.
                None => drop(self.marks.remove(&key.number())),
            }
        }
    }

    /// The arena has told where this player was after one of its inputs: from there on, the later inputs
    /// are applied again.
    fn reconcile(&mut self, mark: Mark) {
        while self.sent.front().is_some_and(|input| mark.sequence.wrapping_sub(input.sequence) < 0x8000) {
            self.sent.pop_front();
        }
        let mut now = mark;
        self.sent.iter().for_each(|input| apply(&mut now, *input));
        let before = self.predicted.replace(now);
        self.corrections += u32::from(before.is_some_and(|before| (before.x, before.y) != (now.x, now.y)));
    }

    fn print(&self) {
        let marks = self.marks.iter();
        let line: Vec<String> =
            marks.map(|(member, mark)| format!("{member} at {},{} ({}%)", mark.x, mark.y, mark.health)).collect();
        println!(
            "tick {:5} | {} | {} shots, {} hits | {} inputs ahead, {} corrections",
            self.tick,
            line.join("  "),
            self.shots,
            self.hits,
            self.sent.len(),
            self.corrections
        );
    }
}

/// The rule of movement, as the arena has it.
fn apply(mark: &mut Mark, input: Input) {
    mark.x = (mark.x + i16::from(input.dx.signum()) * SPEED).clamp(0, SIDE);
    mark.y = (mark.y + i16::from(input.dy.signum()) * SPEED).clamp(0, SIDE);
    mark.sequence = input.sequence;
}
