//! Where the past of rooms at rest is put together, so that what little stays of many rooms lies side by
//! side, and not between the memory of connections that have gone.
//!
//! ```text
//! page   | f |......|......| f |......|......| f |......|      while rooms are busy
//! block  | f f f f f f f f f f f ............|                 at rest; goes with the last of its frames
//! ```

use bytes::{Bytes, BytesMut};

/// The block that is being filled. One for all rooms of a shard.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    block: BytesMut,
}

/// Bytes of a block. 16 KiB: four pages of short frames, which the last of them may keep for as long as
/// the history of its room is.
const BLOCK: usize = 16 * 1024;

impl Shelf {
    /// The largest piece that is put there, in bytes. 1 KiB: larger ones are most of a page by themselves.
    pub(super) const SMALL: usize = 1024;

    /// The same frame, in a place beside the others.
    pub(super) fn put(&mut self, frame: &Bytes) -> Bytes {
        if frame.len() > Self::SMALL { frame.clone() } else { self.write(frame) }
    }

    /// A small piece, in a place beside the others.
    pub(super) fn write(&mut self, piece: &[u8]) -> Bytes {
        debug_assert!(piece.len() <= Self::SMALL);
        if self.block.capacity() < piece.len() {
            self.block = BytesMut::with_capacity(BLOCK);
        }
        self.block.extend_from_slice(piece);
        self.block.split().freeze()
    }

    /// No room rests for now: what is left of the block is not waited with.
    pub(crate) fn rest(&mut self) {
        self.block = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_frames_lie_side_by_side_and_large_ones_stay() {
        let mut shelf = Shelf::default();
        let frames: Vec<Bytes> = (0..1000).map(|number: usize| vec![7; number % 300].into()).collect();
        let put: Vec<Bytes> = frames.iter().map(|frame| shelf.put(frame)).collect();
        assert_eq!(put, frames);
        let beside = |pair: &&[Bytes]| pair[0].as_ptr().wrapping_add(pair[0].len()) == pair[1].as_ptr();
        let blocks = 1000 * 150 / BLOCK + 1;
        assert!(put.windows(2).filter(beside).count() >= 999 - blocks);
        let large = Bytes::from(vec![7; Shelf::SMALL + 1]);
        assert_eq!(shelf.put(&large).as_ptr(), large.as_ptr());
    }

    #[test]
    fn a_block_goes_with_the_last_of_its_frames() {
        let mut shelf = Shelf::default();
        let frame = shelf.put(&Bytes::from_static(b"frame"));
        assert!(!frame.is_unique());
        shelf.rest();
        assert!(frame.is_unique());
    }
}
