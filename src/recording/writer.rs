//! Writes a recording, entry behind entry.

use std::io::{self, Write};

use super::{MAGIC, MAX_FRAMES, Preface, VERSION, block, check_frames};
use crate::wire::{VARINT_END, put_varint};

/// Appends entries to a recording. Wrap a file in a `BufWriter`, and call [`flush`](Self::flush)
/// now and then: what was flushed outlives this process.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    bytes: u64,
    body: Vec<u8>,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Starts a recording.
    ///
    /// # Errors
    /// Where it cannot be written, or where a number is 2^53 or more ([`io::ErrorKind::InvalidInput`]).
    pub fn new(out: W, preface: &Preface) -> io::Result<Self> {
        let mut writer = Self { out, bytes: 0, body: Vec::new(), block: Vec::new() };
        if [preface.period, preface.wall, preface.start].iter().any(|number| *number >= VARINT_END) {
            return Err(invalid("a number of the preface is 2^53 or more"));
        }
        preface.encode(&mut writer.body);
        writer.block.extend(MAGIC);
        writer.block.push(VERSION);
        writer.write_block()?;
        Ok(writer)
    }

    /// Appends an entry: encoded frames that came at `time`, server time in microseconds.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`], and nothing is written, where no [`Entry`](super::Entry)
    /// holds such frames, where they have more than [`MAX_FRAMES`] bytes, or the time is 2^53 or
    /// more; and where it cannot be written.
    pub fn write(&mut self, time: u64, frames: &[u8]) -> io::Result<()> {
        if frames.len() > MAX_FRAMES || time >= VARINT_END {
            return Err(invalid("an entry is larger, or later, than it may be"));
        }
        check_frames(frames).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        put_varint(time, &mut self.body);
        self.body.extend_from_slice(frames);
        self.write_block()
    }

    /// Passes on what is buffered.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// How many bytes the recording has.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it is written to.
    #[must_use]
    pub const fn get_ref(&self) -> &W {
        &self.out
    }

    /// What it was written to. Nothing is flushed.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Writes the body as a block, at once, so that a failure leaves at most one torn block.
    fn write_block(&mut self) -> io::Result<()> {
        block::encode(&self.body, &mut self.block);
        let written = self.out.write_all(&self.block);
        self.bytes = self.bytes.saturating_add(self.block.len() as u64);
        self.body.clear();
        self.block.clear();
        written
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
