//! What is in a recording: counted while it is written, and when it is read.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tickwire::recording::{Error, Preface, Reader, Torn};
use tickwire::wire::{Kind, MemberNumber, Position, ServerData};

use super::{Failure, output};

/// How much of each kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) batches: u64,
    pub(super) events: u64,
    pub(super) values: u64,
    /// Values of snapshots.
    pub(super) snapshot: u64,
    pub(super) presence: u64,
    pub(super) directs: u64,
    /// Those whose events and values are recorded; at most [`MAX_MEMBERS`] of them.
    pub(super) members: HashSet<MemberNumber>,
    /// The batch that was counted last.
    last: Option<(Position, u16)>,
}

/// Members that are told apart. 65,536: as many as a room has by default; a file may name more.
const MAX_MEMBERS: usize = 65_536;

impl Contents {
    /// Counts a frame.
    pub(super) fn count(&mut self, data: &ServerData<'_>) {
        for record in data.records().flatten() {
            let publishes = matches!(data.kind, Kind::Event | Kind::Value | Kind::Snapshot);
            if publishes && self.members.len() < MAX_MEMBERS {
                self.members.insert(record.member);
            }
            *match data.kind {
                Kind::Event => &mut self.events,
                Kind::Value => &mut self.values,
                Kind::Snapshot => &mut self.snapshot,
                Kind::Presence | Kind::Members => &mut self.presence,
                Kind::Direct => &mut self.directs,
            } += 1;
        }
        // PROTOCOL 8.1: the frames of a batch share position and tick.
        let batch = Some((data.head.position, data.head.tick));
        if matches!(data.kind, Kind::Event | Kind::Value | Kind::Presence) && batch != self.last {
            self.batches += 1;
            self.last = batch;
        }
    }

    /// A line for each kind.
    pub(super) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "  batches     {}", self.batches)?;
        writeln!(out, "  events      {}", self.events)?;
        writeln!(out, "  values      {}, and {} in snapshots", self.values, self.snapshot)?;
        writeln!(out, "  members     {} published", self.members.len())?;
        writeln!(out, "  presence    {} changes", self.presence)?;
        if self.directs > 0 {
            writeln!(out, "  directs     {}, to the recorder", self.directs)?;
        }
        Ok(())
    }

    /// The same for programs.
    pub(super) fn insert_json(&self, object: &mut Map<String, Value>) {
        let counts = [
            ("batches", self.batches),
            ("events", self.events),
            ("values", self.values),
            ("snapshot_values", self.snapshot),
            ("members", self.members.len() as u64),
            ("presence", self.presence),
            ("directs", self.directs),
        ];
        object.extend(counts.map(|(name, count)| (name.to_owned(), json!(count))));
    }
}

/// A recording that was read once, from end to end.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) preface: Preface,
    pub(super) contents: Contents,
    /// From the start to the last entry.
    pub(super) duration: Duration,
    /// Bytes of what can be read.
    pub(super) bytes: u64,
    pub(super) torn: Option<Torn>,
    /// What keeps the rest from being read.
    pub(super) damage: Option<Error>,
}

impl Survey {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let mut reader = open(path)?;
        let (mut contents, mut last, mut damage) = (Contents::default(), reader.preface().start, None);
        for entry in reader.by_ref() {
            match entry {
                Ok(entry) => {
                    last = last.max(entry.time);
                    entry.data().for_each(|data| contents.count(&data));
                }
                Err(error) => damage = Some(error),
            }
        }
        let duration = Duration::from_micros(last.saturating_sub(reader.preface().start));
        let (bytes, torn) = (reader.offset(), reader.torn());
        Ok(Self { preface: reader.preface().clone(), contents, duration, bytes, torn, damage })
    }
}

/// Opens a recording.
pub(super) fn open(path: &Path) -> Result<Reader<BufReader<File>>, Failure> {
    let file = File::open(path).map_err(|error| failure(path, &error))?;
    Reader::new(BufReader::new(file)).map_err(|error| failure(path, &error))
}

/// A failure of a file, by its name.
pub(super) fn failure(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Runtime(format!("{}: {error}", output::escaped(path.as_os_str().as_encoded_bytes())))
}
