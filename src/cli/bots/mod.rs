//! `tickwire bots`: dots that wander through the arena of the first page, shoot and talk.
//!
//! ```text
//! arguments ──> a task for each bot, a connection and a member of its own ──> server
//!                   └── Tally <── moves, shots, texts, reconnects
//! ```
//!
//! Bots publish and receive nothing, so that hundreds cost little. They ask for no resume: one that is gone is
//! gone from the arena at once, and does not wait there for its return.

mod bot;
mod dot;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tickwire::client::{ClientConfig, Url};
use tickwire::name::RoomName;
use tickwire::server::page;
use tickwire::wire::Capabilities;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use self::bot::Bot;
use super::progress::Progress;
use super::reach::ReachArguments;
use super::sub::DEFAULT_URL;
use super::{Failure, connect, output, run_on_one_thread};

/// How many, and where.
#[derive(Clone, Debug, Args)]
pub(crate) struct BotsArguments {
    /// How many, each with a connection of its own
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// The room
    #[arg(long, value_name = "NAME", default_value = page::ROOM)]
    room: String,
    /// The server: ws://host:port/ws or tcp://host:port
    #[arg(long, default_value = DEFAULT_URL)]
    url: Url,
    #[command(flatten)]
    reach: ReachArguments,
    /// Print the summary as a JSON object
    #[arg(long)]
    json: bool,
}

/// Connections made at the same time. 32: far below what servers let wait for hello.
const CONNECT_AT_ONCE: usize = 32;

/// How often progress is shown.
const LOOK: Duration = Duration::from_secs(1);

/// What all bots did, on one thread.
#[derive(Debug, Default)]
struct Tally {
    /// How many are in the room.
    here: Cell<u64>,
    moves: Cell<u64>,
    shots: Cell<u64>,
    texts: Cell<u64>,
    refused: Cell<u64>,
    reconnects: Cell<u64>,
    /// Why the last connection ended or could not be made.
    trouble: RefCell<Option<String>>,
}

/// Runs bots until Ctrl-C, or until none of them may go on.
pub(crate) fn run(arguments: &BotsArguments) -> Result<(), Failure> {
    run_on_one_thread(LocalSet::new().run_until(async {
        let interrupted = async {
            let caught = tokio::signal::ctrl_c().await;
            caught.map_err(|error| Failure::Runtime(format!("Ctrl-C cannot be caught: {error}")))
        };
        play(arguments, interrupted, &mut io::stdout().lock()).await
    }))
}

/// Runs bots until `interrupted`, and writes what they did.
async fn play(
    arguments: &BotsArguments,
    interrupted: impl Future<Output = Result<(), Failure>>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if RoomName::new(arguments.room.as_bytes()).is_none() {
        let room = output::escaped(arguments.room.as_bytes());
        return Err(Failure::Usage(format!("{room}: {}", tickwire::client::Error::RoomName)));
    }
    let config = arguments.reach.config(&arguments.url)?.capabilities(Capabilities::default());
    // Whoever mistypes the address is told so, instead of waiting.
    connect(&config).await?.close().await?;
    eprintln!("{} bots for {} at {}; Ctrl-C ends them", arguments.count, arguments.room, arguments.url);
    let (tally, began) = (Rc::new(Tally::default()), Instant::now());
    let mut bots = start(arguments, &config, &tally);
    let ended = tokio::select! {
        ended = interrupted => ended,
        () = watch(&tally) => Ok(()),
        () = async { while bots.join_next().await.is_some() {} } => {
            let why = tally.trouble.take().unwrap_or_else(|| "none of them is left".into());
            Err(Failure::Runtime(format!("the bots have ended: {why}")))
        }
    };
    drop(bots);
    write_summary(arguments, &tally, began.elapsed(), out)?;
    ended
}

fn start(arguments: &BotsArguments, config: &ClientConfig, tally: &Rc<Tally>) -> JoinSet<()> {
    let connecting = Rc::new(Semaphore::new(CONNECT_AT_ONCE));
    let mut bots = JoinSet::new();
    for number in 0..arguments.count {
        let bot = Bot::new(number, config.clone(), arguments.room.clone(), Rc::clone(tally), Rc::clone(&connecting));
        bots.spawn_local(bot.run());
    }
    bots
}

/// Shows progress, for ever.
async fn watch(tally: &Tally) {
    let mut progress = Progress::new();
    let mut looks = tokio::time::interval(LOOK);
    let mut before = 0;
    loop {
        looks.tick().await;
        let moves = tally.moves.get() - before;
        before = tally.moves.get();
        progress.show(|| {
            let trouble = tally.trouble.borrow();
            let trouble = trouble.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
            let (here, shots, texts) = (tally.here.get(), tally.shots.get(), tally.texts.get());
            format!("{here} here, {moves} moves/s, {shots} shots, {texts} texts{trouble}")
        });
    }
}

fn write_summary(arguments: &BotsArguments, tally: &Tally, ran: Duration, out: &mut impl Write) -> io::Result<()> {
    let Tally { moves, shots, texts, refused, reconnects, .. } = tally;
    let seconds = ran.as_secs_f64();
    if arguments.json {
        let object = json!({
            "room": arguments.room,
            "bots": arguments.count,
            "seconds": seconds,
            "moves": moves.get(),
            "shots": shots.get(),
            "texts": texts.get(),
            "refused": refused.get(),
            "reconnects": reconnects.get(),
        });
        return writeln!(out, "{object}");
    }
    writeln!(out, "{} bots in {} for {seconds:.1} s", arguments.count, arguments.room)?;
    writeln!(out, "  moves       {}", moves.get())?;
    writeln!(out, "  shots       {}", shots.get())?;
    writeln!(out, "  texts       {}", texts.get())?;
    writeln!(out, "  refused     {}", refused.get())?;
    writeln!(out, "  reconnects  {}", reconnects.get())
}
