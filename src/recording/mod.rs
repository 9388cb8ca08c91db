//! Recordings: what a room sent, in a file, to look at and to send again. `docs/recording.md` has
//! the bytes.
//!
//! ```text
//! | magic, version | preface | entry | entry | ... | entr      a torn last entry is dropped
//!
//! block:    | length: u32 | body's CRC: u32 | head's CRC: u32 | body, length bytes |
//! preface:  a block of   | room | epoch | period | wall | start |
//! entry:    a block of   | time | frame | frame ... |
//! ```
//!
//! A [`Writer`] appends, a [`Reader`] iterates; neither holds more than one block. The head has a
//! check of its own, so that a length can be trusted before its body is read.

mod block;
mod error;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use self::error::{Error, Torn};
pub use self::reader::Reader;
pub use self::writer::Writer;

use crate::name::RoomName;
use crate::wire::header::flags;
use crate::wire::{
    self, DecodeError, Epoch, FrameType, Put, RawFrame, ServerData, put_string, put_varint, split_frame,
};

/// What a recording starts with; no text and no frame does.
pub const MAGIC: [u8; 4] = [0xd7, 0x54, 0x57, 0x52];

/// The version of the format, one byte behind the magic.
pub const VERSION: u8 = 1;

/// The most bytes of an entry's frames. 128 KiB: any frame fits, and a few that belong together.
pub const MAX_FRAMES: usize = 128 * 1024;

/// What is known before the first entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preface {
    /// The room.
    pub room: RoomName,
    /// The life of the room that was recorded.
    pub epoch: Epoch,
    /// The room's period, in microseconds; below 2^53, as all numbers here.
    pub period: u64,
    /// What to add to server time for microseconds since 1970.
    pub wall: u64,
    /// Server time when recording began, in microseconds.
    pub start: u64,
}

impl Preface {
    fn encode(&self, out: &mut impl Put) {
        put_string(self.room.as_str().as_bytes(), out);
        out.put(&self.epoch.0);
        put_varint(self.period, out);
        put_varint(self.wall, out);
        put_varint(self.start, out);
    }

    /// `None` where it cannot be read, or where something follows it.
    fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = wire::Reader::new(body);
        let room = RoomName::new(reader.string().ok()?)?;
        let epoch = Epoch(reader.array().ok()?);
        let [period, wall, start] = [reader.varint().ok()?, reader.varint().ok()?, reader.varint().ok()?];
        reader.rest().is_empty().then_some(Self { room, epoch, period, wall, start })
    }
}

/// What came at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Server time when it came, in microseconds.
    pub time: u64,
    /// Whole data frames of a server: one or more.
    frames: Vec<u8>,
}

impl Entry {
    /// An entry of encoded frames; `time` is below 2^53.
    ///
    /// # Errors
    /// Where these are not one or more whole data frames of a server, uncompressed and with records
    /// that can be read.
    pub fn new(time: u64, frames: Vec<u8>) -> Result<Self, DecodeError> {
        check_frames(&frames)?;
        Ok(Self { time, frames })
    }

    /// The frames as they were sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.frames
    }

    /// The frames one by one; those of a kind that this version does not know are left out.
    pub fn data(&self) -> impl Iterator<Item = ServerData<'_>> {
        // They were read once before this was made, so that nothing readable is left out here.
        Frames(&self.frames)
            .map_while(Result::ok)
            .filter_map(|frame| ServerData::decode(frame.header.flags, frame.payload).ok().flatten())
    }
}

/// One or more whole data frames that can be read to the end. Compressed ones are not recorded:
/// what they hold depends on what its receiver negotiated.
fn check_frames(frames: &[u8]) -> Result<(), DecodeError> {
    if frames.is_empty() {
        return Err(DecodeError::Truncated);
    }
    for frame in Frames(frames) {
        let frame = frame?;
        if frame.header.frame_type != FrameType::Data {
            return Err(DecodeError::UnknownType(frame.header.frame_type as u8));
        }
        let Some(data) = ServerData::decode(frame.header.flags, frame.payload)? else { continue };
        if data.options & flags::COMPRESSED != 0 {
            return Err(DecodeError::ReservedFlags(frame.header.flags));
        }
        for record in data.records() {
            record?;
        }
    }
    Ok(())
}

/// Takes frames off the front of a slice; ends after the first error.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Result<RawFrame<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        // The length has 16 bits: no other limit is needed.
        match split_frame(rest, usize::from(u16::MAX), wire::Sender::Server) {
            Ok(Some((frame, rest))) => {
                self.0 = rest;
                Some(Ok(frame))
            }
            Ok(None) => Some(Err(DecodeError::Truncated)),
            Err(error) => Some(Err(error)),
        }
    }
}
