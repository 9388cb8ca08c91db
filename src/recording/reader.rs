//! Reads a recording, entry behind entry, and drops a torn last one.

use std::io::Read;

use super::block::{Head, MAX_BODY, contains_block};
use super::{Entry, Error, MAGIC, Preface, Torn, VERSION};
use crate::wire;

/// Iterates over the entries of a recording. Wrap a file in a `BufReader`.
///
/// The iterator ends at the end of the file, before a last entry that is torn or damaged
/// ([`torn`](Self::torn) then tells), or after the first error. At most two blocks are in memory.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    preface: Preface,
    /// Where the next block begins.
    offset: u64,
    torn: Option<Torn>,
    ended: bool,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the preface.
    ///
    /// # Errors
    /// Where this is not a recording, or its preface is not whole.
    pub fn new(mut input: R) -> Result<Self, Error> {
        let mut buffer = Vec::new();
        fill(&mut input, MAGIC.len() + 1, &mut buffer)?;
        match buffer.split_first_chunk() {
            Some((magic, [VERSION])) if *magic == MAGIC => {}
            Some((magic, [version])) if *magic == MAGIC => return Err(Error::Version(*version)),
            _ => return Err(Error::NotARecording),
        }
        let mut offset = buffer.len() as u64;
        let Found::Block(len) = read_block(&mut input, &mut buffer)? else { return Err(Error::Preface) };
        let body = buffer.get(Head::LEN..).unwrap_or_default();
        let preface = Preface::decode(body).ok_or(Error::Preface)?;
        offset = offset.saturating_add(len);
        Ok(Self { input, preface, offset, torn: None, ended: false, buffer })
    }

    /// What is known before the first entry.
    #[must_use]
    pub const fn preface(&self) -> &Preface {
        &self.preface
    }

    /// What was dropped at the end, once the end is reached.
    #[must_use]
    pub const fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// How many bytes of whole blocks have been read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    fn read(&mut self) -> Result<Option<Entry>, Error> {
        let offset = self.offset;
        match read_block(&mut self.input, &mut self.buffer)? {
            Found::End => Ok(None),
            Found::Torn(bytes) => {
                self.torn = Some(Torn { offset, bytes });
                Ok(None)
            }
            Found::Corrupt => Err(Error::Corrupt { offset }),
            Found::Block(len) => {
                self.offset = offset.saturating_add(len);
                let mut body = wire::Reader::new(self.buffer.get(Head::LEN..).unwrap_or_default());
                let unreadable = |error| Error::Unreadable { offset, error };
                let time = body.varint().map_err(unreadable)?;
                Entry::new(time, body.rest().to_vec()).map(Some).map_err(unreadable)
            }
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.read().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

/// What stands at the front of the rest of a file.
enum Found {
    /// A whole block of so many bytes, in the buffer.
    Block(u64),
    /// Nothing.
    End,
    /// The last block, which is not whole or not as it was written: so many bytes.
    Torn(u64),
    /// A damaged block that is not the last.
    Corrupt,
}

/// Reads a block, head included, into the buffer.
fn read_block(input: &mut impl Read, buffer: &mut Vec<u8>) -> Result<Found, Error> {
    buffer.clear();
    fill(input, Head::LEN, buffer)?;
    let Some(head) = buffer.first_chunk() else {
        let torn = Found::Torn(buffer.len() as u64);
        return Ok(if buffer.is_empty() { Found::End } else { torn });
    };
    let Some(head) = Head::decode(*head) else { return read_damaged(input, buffer) };
    fill(input, head.body_len(), buffer)?;
    let body = buffer.get(Head::LEN..).unwrap_or_default();
    let len = buffer.len() as u64;
    if body.len() < head.body_len() {
        return Ok(Found::Torn(len));
    }
    if head.fits(body) {
        return Ok(Found::Block(len));
    }
    // The length holds, so it is the last one only where the file ends with it.
    let last = fill(input, 1, buffer)? == 0;
    Ok(if last { Found::Torn(len) } else { Found::Corrupt })
}

/// A head is damaged, so that nobody knows how long its block is. It is the last one where no more
/// follows than one block may have, and no whole block in that.
fn read_damaged(input: &mut impl Read, buffer: &mut Vec<u8>) -> Result<Found, Error> {
    let more = fill(input, MAX_BODY + 1, buffer)?;
    // Another block begins behind this head at the earliest.
    let rest = buffer.get(Head::LEN..).unwrap_or_default();
    let last = more <= MAX_BODY && !contains_block(rest);
    Ok(if last { Found::Torn(buffer.len() as u64) } else { Found::Corrupt })
}

/// Appends up to `len` bytes, fewer at the end of the file: how many.
fn fill(input: &mut impl Read, len: usize, buffer: &mut Vec<u8>) -> Result<usize, Error> {
    Ok(input.take(len as u64).read_to_end(buffer)?)
}
