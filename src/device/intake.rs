//! Frames in pieces, so that a device need not hold a whole one (PROTOCOL 5, 8).
//!
//! ```text
//! header ─┬─ control, ping: whole, or as much as fits ──> Control, Ping
//!         ├─ data: head ──> Head, then each record ─────> Record ... End
//!         └─ unknown ───────────────────────────────────> Foreign
//! ```

use core::ops::Range;

use super::Breach;
use crate::wire::{Head, Kind, MemberNumber, Reader, ServerData};

/// A place in the buffer: gone when more is fed.
pub(super) type Span = Range<usize>;

/// Something whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A frame of a type that is not known; it is skipped.
    Foreign,
    /// A command; the end of its extensions may not fit.
    Control { span: Span, is_partial: bool },
    /// A ping.
    Ping { span: Span, flags: u8 },
    /// A data frame begins.
    Head(Kind, u8, Head),
    /// One of its records; without a payload where that does not fit.
    Record { member: MemberNumber, key: u64, len: u64, payload: Option<Span> },
    /// A frame has ended, of so many bytes.
    End(u64),
}

/// The bytes that have come, and how far they are read.
#[derive(Debug)]
pub(super) struct Intake<'a> {
    bytes: &'a mut [u8],
    len: usize,
    /// Bytes at the front that were read.
    read: usize,
    /// More has come since `next` found nothing whole.
    fresh: bool,
    stage: Stage,
    /// Bytes of the frame that were not read.
    left: usize,
    /// Bytes of them that nobody wants.
    skip: usize,
    frame_len: u64,
    frame_type: u8,
    flags: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Whole,
    Head,
    Records(Kind),
    Rest,
}

/// Header, head and what is in front of a record, in bytes.
const HEADER: usize = 4;
const MAX_HEAD: usize = 8 + 8 + 2;
const MAX_RECORD_HEAD: usize = 3 * 8;

impl<'a> Intake<'a> {
    pub(super) const fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            len: 0,
            read: 0,
            fresh: false,
            stage: Stage::Header,
            left: 0,
            skip: 0,
            frame_len: 0,
            frame_type: 0,
            flags: 0,
        }
    }

    /// How many bytes `feed` would take.
    pub(super) const fn space(&self) -> usize {
        self.bytes.len() - self.len + self.read
    }

    /// Takes bytes: how many.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        self.bytes.copy_within(self.read..self.len, 0);
        self.len -= self.read;
        self.read = 0;
        let len = bytes.len().min(self.bytes.len() - self.len);
        if let (Some(place), Some(bytes)) = (self.bytes.get_mut(self.len..self.len + len), bytes.get(..len)) {
            place.copy_from_slice(bytes);
        }
        self.len += len;
        self.fresh |= len > 0;
        len
    }

    /// Whether `next` may find something.
    pub(super) const fn is_unread(&self) -> bool {
        self.fresh && self.len > self.read
    }

    /// The connection is gone. What a span names stays until more is fed.
    pub(super) const fn clear(&mut self) {
        (self.len, self.read, self.left, self.skip) = (0, 0, 0, 0);
        self.stage = Stage::Header;
    }

    pub(super) fn at(&self, span: Span) -> &[u8] {
        self.bytes.get(span).unwrap_or_default()
    }

    /// Skips the rest of the frame.
    pub(super) const fn skip_frame(&mut self) {
        self.skip = self.left;
        self.stage = Stage::Rest;
    }

    /// The next piece; `None` where more bytes are needed. It never waits for more than `bytes` can hold.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, Breach> {
        let found = self.piece();
        self.fresh &= !matches!(found, Ok(None));
        found
    }

    fn piece(&mut self) -> Result<Option<Piece>, Breach> {
        if self.skip > 0 {
            let len = self.skip.min(self.len - self.read);
            self.skip -= len;
            self.take(len);
            if self.skip > 0 {
                return Ok(None);
            }
        }
        if self.stage == Stage::Header {
            let Some(&[frame_type, high, low, flags]) = self.ready().first_chunk::<HEADER>() else { return Ok(None) };
            self.read += HEADER;
            return self.begin(frame_type, u16::from_be_bytes([high, low]), flags);
        }
        match self.stage {
            Stage::Header | Stage::Whole => Ok(self.whole()),
            Stage::Head => self.head(),
            Stage::Records(kind) if self.left > 0 => self.record(kind),
            Stage::Records(_) | Stage::Rest => {
                self.stage = Stage::Header;
                Ok(Some(Piece::End(self.frame_len)))
            }
        }
    }

    /// The frame behind this header; whatever can be read of it now.
    fn begin(&mut self, frame_type: u8, len: u16, flags: u8) -> Result<Option<Piece>, Breach> {
        (self.frame_type, self.flags, self.left) = (frame_type, flags, len.into());
        self.frame_len = HEADER as u64 + u64::from(len);
        self.stage = match (frame_type, Kind::from_flags(flags)) {
            (1, Ok(_)) => Stage::Head,
            (2 | 3, _) => Stage::Whole,
            _ => {
                self.skip_frame();
                return Ok(Some(Piece::Foreign));
            }
        };
        // At most once: the stage is another now.
        self.piece()
    }

    fn whole(&mut self) -> Option<Piece> {
        let len = self.left.min(self.bytes.len());
        if self.ready().len() < len {
            return None;
        }
        let span = self.read..self.read + len;
        self.take(len);
        let is_partial = self.left > 0;
        self.skip_frame();
        Some(match self.frame_type {
            2 => Piece::Control { span, is_partial },
            _ => Piece::Ping { span, flags: self.flags },
        })
    }

    fn head(&mut self) -> Result<Option<Piece>, Breach> {
        let len = self.left.min(MAX_HEAD);
        let Some(bytes) = self.ready().get(..len) else { return Ok(None) };
        let Some(data) = ServerData::decode(self.flags, bytes)? else { return Ok(None) };
        let (kind, head, options) = (data.kind, data.head, data.options);
        let read = len - data.records.len();
        self.take(read);
        self.stage = Stage::Records(kind);
        Ok(Some(Piece::Head(kind, options, head)))
    }

    fn record(&mut self, kind: Kind) -> Result<Option<Piece>, Breach> {
        let len = self.left.min(MAX_RECORD_HEAD);
        let Some(bytes) = self.ready().get(..len) else { return Ok(None) };
        let mut reader = Reader::new(bytes);
        let payload_len = reader.varint()?;
        let member = MemberNumber(reader.varint()?);
        let key = if kind.has_key() { reader.varint()? } else { 0 };
        let head = len - reader.rest().len();
        let size = usize::try_from(payload_len).ok().filter(|size| *size <= self.left - head);
        let size = size.ok_or(crate::wire::DecodeError::Truncated)?;
        let fits = size <= self.bytes.len() - head;
        if fits && self.ready().len() < head + size {
            return Ok(None);
        }
        self.take(head);
        let payload = fits.then(|| self.read..self.read + size);
        if fits {
            self.take(size);
        } else {
            self.skip = size;
        }
        Ok(Some(Piece::Record { member, key, len: payload_len, payload }))
    }

    fn ready(&self) -> &[u8] {
        self.bytes.get(self.read..self.len).unwrap_or_default()
    }

    const fn take(&mut self, len: usize) {
        self.read += len;
        self.left -= len;
    }
}
