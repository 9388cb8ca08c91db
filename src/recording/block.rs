//! Bytes with a length and checks: what a recording is made of.
//!
//! ```text
//! | length: u32 | body's CRC: u32 | CRC of the eight bytes before: u32 | body, length bytes |
//! ```

use super::MAX_FRAMES;
use crate::wire::{Put, VARINT_MAX_LEN};

/// The most bytes of a body: frames, and the time before them.
pub(super) const MAX_BODY: usize = MAX_FRAMES + VARINT_MAX_LEN;

/// The head of a block, whose own check holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the body; at most [`MAX_BODY`].
    len: usize,
    crc: u32,
}

impl Head {
    /// Bytes of a head.
    pub(super) const LEN: usize = 12;

    /// `None` where its check fails, or where it announces more than a block may have.
    pub(super) fn decode(bytes: [u8; Self::LEN]) -> Option<Self> {
        let (fields, check) = bytes.split_last_chunk()?;
        let (len, crc) = fields.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok().filter(|len| *len <= MAX_BODY)?;
        let crc = u32::from_be_bytes(*crc.first_chunk()?);
        (u32::from_be_bytes(*check) == crc32fast::hash(fields)).then_some(Self { len, crc })
    }

    /// Bytes of the body.
    pub(super) const fn body_len(self) -> usize {
        self.len
    }

    /// Whether this is the body that the head was written for.
    pub(super) fn fits(self, body: &[u8]) -> bool {
        body.len() == self.len && crc32fast::hash(body) == self.crc
    }
}

/// Appends a block; `body` has at most [`MAX_BODY`] bytes.
pub(super) fn encode(body: &[u8], out: &mut impl Put) {
    debug_assert!(body.len() <= MAX_BODY, "the caller keeps bodies below the limit");
    let len = u32::try_from(body.len()).expect("the limit is below 2^32");
    let mut fields = [0; 8];
    let (first, second) = fields.split_at_mut(4);
    first.copy_from_slice(&len.to_be_bytes());
    second.copy_from_slice(&crc32fast::hash(body).to_be_bytes());
    out.put(&fields);
    out.put(&crc32fast::hash(&fields).to_be_bytes());
    out.put(body);
}

/// Whether a whole block begins anywhere in `bytes`.
pub(super) fn contains_block(bytes: &[u8]) -> bool {
    let begins_at = |start: usize| {
        let Some((head, rest)) = bytes.get(start..)?.split_first_chunk() else { return Some(false) };
        let head = Head::decode(*head)?;
        Some(head.fits(rest.get(..head.body_len())?))
    };
    (0..bytes.len()).any(|start| begins_at(start).unwrap_or(false))
}
