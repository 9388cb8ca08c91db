//! `tickwire replay`: a recording, published again.
//!
//! ```text
//! file ──entries──> Replay ──what is due──> Crew ──a connection for each member──> server
//!                     └── Survey: read once before, so that members are known and damage is found
//! ```
//!
//! Events and values are published, each member's by a connection of its own; presence and directs
//! are not. So a member's messages keep their order; between members there is none but the time.
//! What is due follows from the clock: a stall makes messages late, and moves nothing.

mod connection;
mod crew;
mod pace;
mod report;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use tickwire::client::Url;
use tickwire::recording::{Entry, Reader};
use tickwire::wire::{Key, Kind, Record, Target};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use self::crew::Crew;
use self::pace::{Pace, Speed};
use super::contents::{Survey, failure, open};
use super::progress::Progress;
use super::reach::ReachArguments;
use super::sub::DEFAULT_URL;
use super::{Failure, run_on_one_thread};

/// What to replay, where, and how fast.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The file
    file: PathBuf,
    /// How many times as fast as it was recorded; 0 or max for as fast as the server takes
    #[arg(long, value_name = "X", default_value = "1", value_parser = pace::speed)]
    speed: Speed,
    /// The room to publish to [default: the recorded one]
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// The server: ws://host:port/ws or tcp://host:port
    #[arg(long, default_value = DEFAULT_URL)]
    url: Url,
    #[command(flatten)]
    reach: ReachArguments,
    /// How many times, one after the other
    #[arg(long = "loop", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    loops: u32,
    /// Connections at most, one for each recorded member; further members share them
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    members: u16,
    /// Print what is in the file, and connect to nobody
    #[arg(long)]
    dry_run: bool,
    /// Print the summary as a JSON object
    #[arg(long)]
    json: bool,
}

/// The longest that nobody looks whether a connection has ended. 1 s: also how often progress is shown.
const LOOK: Duration = Duration::from_secs(1);

/// Replays, or prints what would be.
pub(crate) fn run(arguments: &ReplayArguments) -> Result<(), Failure> {
    let survey = Survey::read(&arguments.file)?;
    if arguments.dry_run {
        report::write_survey(&survey, arguments, &mut io::stdout().lock())?;
    }
    // Nothing is sent of what cannot be sent to its end.
    if let Some(damage) = &survey.damage {
        return Err(failure(&arguments.file, damage));
    }
    if arguments.dry_run {
        return Ok(());
    }
    run_on_one_thread(LocalSet::new().run_until(replay(arguments, &survey)))
}

async fn replay(arguments: &ReplayArguments, survey: &Survey) -> Result<(), Failure> {
    if let Some(torn) = survey.torn {
        eprintln!("tickwire: {torn}");
    }
    let mut replay = Replay::connect(arguments, survey).await?;
    let done = tokio::select! {
        done = replay.run(arguments) => done,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| Failure::Runtime(format!("Ctrl-C cannot be caught: {error}")))
        }
    };
    report::write_replay(&replay, arguments, &mut io::stdout().lock())?;
    done?;
    replay.crew.close().await;
    Ok(())
}

/// A replay while it runs.
#[derive(Debug)]
struct Replay {
    room: String,
    crew: Crew,
    began: Instant,
    events: u64,
    values: u64,
    /// Messages that are larger than this server takes.
    too_large: u64,
    /// How late messages left, in microseconds.
    lateness: Histogram<u64>,
    next_look: Instant,
}

impl Replay {
    /// Opens the connections.
    async fn connect(arguments: &ReplayArguments, survey: &Survey) -> Result<Self, Failure> {
        let room = arguments.room.clone().unwrap_or_else(|| survey.preface.room.as_str().to_owned());
        let members = survey.contents.members.len();
        let connections = members.clamp(1, usize::from(arguments.members));
        eprintln!("replaying {members} members into {room} at {}; Ctrl-C ends it", arguments.url);
        let crew = Crew::connect(&arguments.reach.config(&arguments.url)?, &room, connections, members).await?;
        let lateness = Histogram::new(3).expect("three digits are allowed");
        let began = Instant::now();
        Ok(Self { room, crew, began, events: 0, values: 0, too_large: 0, lateness, next_look: began })
    }

    /// Replays as often as asked, and waits until the room has handled everything.
    async fn run(&mut self, arguments: &ReplayArguments) -> Result<(), Failure> {
        let mut progress = Progress::new();
        for _ in 0..arguments.loops {
            self.play(open(&arguments.file)?, arguments, &mut progress).await?;
        }
        self.crew.settle().await
    }

    /// Replays a recording once.
    async fn play(
        &mut self,
        recording: Reader<BufReader<File>>,
        arguments: &ReplayArguments,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        // The values of the first snapshot come first, without pace.
        let mut pace: Option<Pace> = None;
        for entry in recording {
            let entry = entry.map_err(|error| failure(&arguments.file, &error))?;
            let paced = entry.data().any(|data| matches!(data.kind, Kind::Event | Kind::Value));
            if !paced && !entry.data().any(|data| data.kind == Kind::Snapshot) {
                continue;
            }
            if paced && pace.is_none() {
                self.crew.settle().await?;
                pace = Some(Pace::new(arguments.speed, entry.time, Instant::now()));
            }
            let due = pace.as_ref().and_then(|pace| pace.due(entry.time));
            while let Some(wait) = due.map(|due| due.min(self.next_look)).filter(|wait| *wait > Instant::now()) {
                sleep_until(wait).await;
                self.look(progress)?;
            }
            self.look(progress)?;
            self.publish(&entry, due).await?;
        }
        Ok(())
    }

    /// Publishes what an entry has for that.
    async fn publish(&mut self, entry: &Entry, due: Option<Instant>) -> Result<(), Failure> {
        for data in entry.data() {
            // A snapshot may hold more than a room takes at once; the original did not come from members.
            let due = due.filter(|_| data.kind != Kind::Snapshot);
            for record in data.records().flatten() {
                let target = match (data.kind, record.key) {
                    (Kind::Event, _) => Target::Event,
                    (Kind::Value | Kind::Snapshot, Some(key)) => Target::Value(Key::from_wire(key)),
                    _ => continue,
                };
                self.send(&record, target, due).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, record: &Record<'_>, target: Target, due: Option<Instant>) -> Result<(), Failure> {
        if due.is_none() {
            // Nothing but the server's answers says how fast is too fast.
            self.crew.make_room(record).await?;
        }
        if !self.crew.publish(record, target).await? {
            self.too_large += 1;
            return Ok(());
        }
        *if target == Target::Event { &mut self.events } else { &mut self.values } += 1;
        if let Some(due) = due {
            let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.lateness.saturating_record(late);
        }
        Ok(())
    }

    /// Shows progress, and notices a connection that has ended, now and then.
    fn look(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let now = Instant::now();
        if now < self.next_look {
            return Ok(());
        }
        self.next_look = now + LOOK;
        progress.show(|| {
            let (messages, refused) = (self.events + self.values, self.crew.refused());
            let (late, seconds) = (self.lateness_ms(0.99), self.began.elapsed().as_secs());
            let late = late.map(|late| format!(", p99 {late:.1} ms late")).unwrap_or_default();
            format!("{messages} messages, {refused} refused{late}, {seconds} s")
        });
        self.crew.check()
    }

    /// A quantile of how late messages left; `None` where none had a time.
    fn lateness_ms(&self, quantile: f64) -> Option<f64> {
        (!self.lateness.is_empty()).then(|| self.lateness.value_at_quantile(quantile) as f64 / 1000.0)
    }
}
