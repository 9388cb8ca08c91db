//! `tickwire record`: what a room sends, into a file.
//!
//! ```text
//! Client ──Event──> Recorder ──frames, with a time──> Writer ──flushed each second──> file
//! ```

use std::fs::File;
use std::future::Future;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tickwire::client::{Batch, Client, Error, Event, Membership, Url};
use tickwire::name::RoomName;
use tickwire::recording::{Preface, Writer};
use tickwire::wire::control::Mode;
use tickwire::wire::header::flags;
use tickwire::wire::{Head, Kind, Position, Reason, RoomId, ServerData};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::contents::{Contents, failure};
use super::progress::Progress;
use super::reach::ReachArguments;
use super::sub::DEFAULT_URL;
use super::{Failure, connect, output, run_on_one_thread, units};

/// What to record, and for how long.
#[derive(Debug, Args)]
pub(crate) struct RecordArguments {
    /// The room
    room: String,
    /// The file to write
    file: PathBuf,
    /// The server: ws://host:port/ws or tcp://host:port
    #[arg(long, default_value = DEFAULT_URL)]
    url: Url,
    #[command(flatten)]
    reach: ReachArguments,
    /// End after so many events and values; those set before do not count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, such as 30s or 5m [default: with Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,
    /// Overwrite the file, if there is one
    #[arg(long)]
    force: bool,
    /// Print the summary as a JSON object
    #[arg(long)]
    json: bool,
}

/// Questions about the server's clock before the first entry. 8: as many as compete for the best.
const PINGS: usize = 8;

/// Between two flushes. 1 s: what a crash may cost.
const FLUSH: Duration = Duration::from_secs(1);

/// Bytes of records in one frame; with its head they fit the 16 bits of its length.
const MAX_RECORDS: usize = 65_000;

/// Records until it is told to stop, or the session ends.
pub(crate) fn run(arguments: &RecordArguments) -> Result<(), Failure> {
    run_on_one_thread(record(arguments))
}

async fn record(arguments: &RecordArguments) -> Result<(), Failure> {
    let path = &arguments.file;
    if !arguments.force && path.exists() {
        return Err(failure(path, &"there is such a file already; --force overwrites it"));
    }
    let mut client = connect(&arguments.reach.config(&arguments.url)?).await?;
    let (preface, membership) = join(&mut client, &arguments.room).await?;
    // The file comes last, so that nothing is overwritten for a room that cannot be joined.
    let file = create(path, arguments.force).map_err(|error| failure(path, &error))?;
    let recorder = Recorder::new(BufWriter::new(file), &preface, membership);
    let mut recorder = recorder.map_err(|error| failure(path, &error))?;
    eprintln!("recording {} from {}; Ctrl-C ends it", preface.room, arguments.url);

    let deadline = arguments.duration.and_then(|duration| recorder.began.checked_add(duration));
    let stop = async {
        tokio::select! {
            () = until(deadline) => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    };
    let ended = recorder.run(&mut client, arguments.count, stop).await;
    let file = recorder.finish().map_err(|error| failure(path, &error))?;
    file.get_ref().sync_all().map_err(|error| failure(path, &error))?;
    recorder.write_summary(arguments, &mut io::stdout().lock())?;
    ended?;
    // Everything is in the file; a server that does not say goodbye changes nothing.
    let _ = client.close().await;
    Ok(())
}

/// Joins to receive, with the list of members where it is not too long.
pub(super) async fn join(client: &mut Client, room: &str) -> Result<(Preface, Membership), Failure> {
    for _ in 0..PINGS {
        client.ping().await?;
    }
    let joined = match client.join(room, Mode::RECEIVE.with(Mode::MEMBERS)).await {
        // PROTOCOL 6.3: more members than a snapshot holds.
        Err(Error::Refused(refusal)) if refusal.reason == Reason::CAPABILITY => client.join(room, Mode::RECEIVE).await,
        joined => joined,
    };
    let shown = output::escaped(room.as_bytes());
    let membership = joined.map_err(|error| Failure::Runtime(format!("{shown}: {}", output::error(&error))))?;
    let preface = Preface {
        room: RoomName::new(room.as_bytes()).ok_or(Error::RoomName)?,
        epoch: membership.epoch,
        period: membership.period,
        wall: client.terms().wall,
        start: client.clock().server_time(Instant::now()).unwrap_or(membership.tick_time),
    };
    Ok((preface, membership))
}

fn create(path: &Path, force: bool) -> io::Result<File> {
    let mut options = File::options();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(path)
}

/// Waits for a moment; for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Writes what comes, and counts it.
#[derive(Debug)]
pub(super) struct Recorder<W: Write> {
    writer: Writer<W>,
    membership: Membership,
    /// Server time when it began, in microseconds, and that moment here. Later times count from it,
    /// so that they never go back when the estimate gets better.
    start: u64,
    began: Instant,
    contents: Contents,
    frames: Vec<u8>,
}

impl<W: Write> Recorder<W> {
    /// Starts a recording.
    pub(super) fn new(out: W, preface: &Preface, membership: Membership) -> io::Result<Self> {
        let mut writer = Writer::new(out, preface)?;
        writer.flush()?;
        let (began, contents) = (Instant::now(), Contents::default());
        Ok(Self { writer, membership, start: preface.start, began, contents, frames: Vec::new() })
    }

    /// Records until `stop` or the end of the session, which is a failure.
    pub(super) async fn run(
        &mut self,
        client: &mut Client,
        count: Option<u64>,
        stop: impl Future<Output = io::Result<()>>,
    ) -> Result<(), Failure> {
        let mut stop = pin!(stop);
        let mut flush = interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut progress = Progress::new();
        while count.is_none_or(|count| self.contents.events + self.contents.values < count) {
            tokio::select! {
                stopped = &mut stop => {
                    return stopped.map_err(|error| Failure::Runtime(format!("Ctrl-C cannot be caught: {error}")));
                }
                _ = flush.tick() => {
                    self.writer.flush()?;
                    progress.show(|| self.progress());
                }
                event = client.next() => self.handle(event?)?,
            }
        }
        Ok(())
    }

    /// Flushes what is left, and returns what it was written to.
    pub(super) fn finish(&mut self) -> io::Result<&W> {
        self.writer.flush()?;
        Ok(self.writer.get_ref())
    }

    /// Writes what belongs into a recording.
    pub(super) fn handle(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Batch(batch) | Event::Presence(batch) | Event::Snapshot(batch) | Event::Direct(batch) => {
                self.write(&batch)
            }
            Event::Left { reason, .. } => {
                Err(Failure::Runtime(format!("recording has ended: the server ended the membership, {reason}")))
            }
            Event::Closed(closing) => {
                let why = closing.reason.map(|reason| output::reason(reason, &closing.text));
                let why = why.unwrap_or_else(|| "the connection ended without a reason".into());
                Err(Failure::Runtime(format!("recording has ended: {why}")))
            }
            Event::GoingAway { closes, .. } => {
                eprintln!("tickwire: the server is going away in at most {} s", closes.as_secs());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        let Self { frames, contents, .. } = self;
        frames.clear();
        let fits = encode(self.membership.room, batch, |data| {
            contents.count(data);
            data.encode(frames);
        });
        fits.map_err(|len| Failure::Runtime(format!("a message of {len} bytes is larger than a frame may be")))?;
        let since = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.writer.write(self.start.saturating_add(since), &self.frames)?;
        Ok(())
    }

    fn progress(&self) -> String {
        let messages = self.contents.events + self.contents.values;
        let (size, seconds) = (units::show_size(self.writer.bytes()), self.began.elapsed().as_secs());
        format!("{} batches, {messages} messages, {size}, {seconds} s", self.contents.batches)
    }

    fn write_summary(&self, arguments: &RecordArguments, out: &mut impl Write) -> io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        let file = output::escaped(arguments.file.as_os_str().as_encoded_bytes());
        if arguments.json {
            let mut object = Map::new();
            object.insert("room".into(), json!(arguments.room));
            object.insert("file".into(), json!(arguments.file.to_string_lossy()));
            object.insert("bytes".into(), json!(self.writer.bytes()));
            object.insert("seconds".into(), json!((seconds * 1000.0).round() / 1000.0));
            self.contents.insert_json(&mut object);
            return writeln!(out, "{}", Value::Object(object));
        }
        let size = units::show_size(self.writer.bytes());
        writeln!(out, "recorded {} for {seconds:.1} s: {file}, {size}", arguments.room)?;
        self.contents.write_text(out)
    }
}

/// The frames of a batch, as a server sent them: one, unless it was compressed and is too large for
/// one. Fails with the bytes of a record that is.
fn encode(room: RoomId, batch: &Batch, mut each: impl FnMut(&ServerData<'_>)) -> Result<(), usize> {
    let kind = batch.kind();
    let early = if batch.is_early() { flags::URGENT } else { 0 };
    // Only 16 bits of a tick travel.
    let tick = (batch.tick() & 0xffff) as u16;
    let mut head = Head { room, position: batch.position(), tick };
    let (mut records, mut directs) = (Vec::new(), 0);
    for record in batch.records() {
        let len = record.encoded_len();
        if len > MAX_RECORDS {
            return Err(len);
        }
        if records.len() + len > MAX_RECORDS {
            // PROTOCOL 5: directs have no such flag, and their position is a number.
            let more = if kind == Kind::Direct { 0 } else { flags::MORE };
            each(&ServerData { kind, options: early | more, head, records: &records });
            records.clear();
            head.position = Position(head.position.0 + std::mem::take(&mut directs));
        }
        record.encode(&mut records);
        directs += u64::from(kind == Kind::Direct);
    }
    let more = if batch.has_more() { flags::MORE } else { 0 };
    each(&ServerData { kind, options: early | more, head, records: &records });
    Ok(())
}
