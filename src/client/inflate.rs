//! Compressed records (PROTOCOL 12.4): inflated with a bound that holds while inflating.
//!
//! ```text
//! | head | raw deflate stream |  ──>  at most 64 KiB of records
//! ```

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::Surprise;

/// The most a frame inflates to (PROTOCOL 12.4).
const MAX_RECORDS: usize = 64 * 1024;

/// The least that is reserved. 1 KiB: most frames inflate to less, once.
const FIRST: usize = 1024;

/// Inflates one stream after the other, with the same memory.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    /// What has come out; never more than a byte above the most.
    records: Vec<u8>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { stream: Decompress::new(false), records: Vec::with_capacity(FIRST) }
    }

    /// The records of one frame.
    ///
    /// # Errors
    /// [`Surprise::Corrupt`] where the bytes are not exactly one stream, and [`Surprise::Inflated`]
    /// where they are more than they may be.
    pub(super) fn inflate(&mut self, compressed: &[u8]) -> Result<Bytes, Surprise> {
        self.stream.reset(false);
        self.records.clear();
        loop {
            let (used, came) = (self.stream.total_in(), self.records.len());
            let rest = usize::try_from(used).ok().and_then(|used| compressed.get(used..)).ok_or(Surprise::Corrupt)?;
            // It fills the capacity and reserves nothing itself.
            let status = self.stream.decompress_vec(rest, &mut self.records, FlushDecompress::None);
            if self.records.len() > MAX_RECORDS {
                return Err(Surprise::Inflated);
            }
            match status {
                Ok(Status::StreamEnd) if self.stream.total_in() == compressed.len() as u64 => {
                    return Ok(Bytes::copy_from_slice(&self.records));
                }
                // More behind the end, or no stream at all.
                Ok(Status::StreamEnd) | Err(_) => return Err(Surprise::Corrupt),
                Ok(Status::Ok | Status::BufError) if self.records.len() == self.records.capacity() => {
                    // One byte above the most, so that more than the most is noticed.
                    let most = (MAX_RECORDS + 1).saturating_sub(self.records.len());
                    self.records.reserve_exact(self.records.len().clamp(FIRST, MAX_RECORDS).min(most));
                }
                // There is a place, and nothing fills it: the stream is cut off.
                Ok(Status::Ok | Status::BufError) => {
                    if (self.stream.total_in(), self.records.len()) == (used, came) {
                        return Err(Surprise::Corrupt);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 1024);
        let mut stream = Compress::new(Compression::best(), false);
        assert_eq!(stream.compress_vec(bytes, &mut out, FlushCompress::Finish).unwrap(), Status::StreamEnd);
        out
    }

    #[test]
    fn the_most_is_inflated_and_not_a_byte_more() {
        let mut inflater = Inflater::new();
        let most = vec![7; MAX_RECORDS];
        assert_eq!(inflater.inflate(&deflate(&most)).unwrap(), most);
        assert_eq!(inflater.inflate(&deflate(&vec![7; MAX_RECORDS + 1])), Err(Surprise::Inflated));
        let bomb = deflate(&vec![0; 8 << 20]);
        assert!(bomb.len() < 65_535, "it fits a frame");
        assert_eq!(inflater.inflate(&bomb), Err(Surprise::Inflated));
        assert_eq!(inflater.inflate(&deflate(b"still works")).unwrap(), &b"still works"[..]);
        assert_eq!(inflater.inflate(&deflate(b"")).unwrap(), &b""[..]);
    }

    #[test]
    fn what_is_not_exactly_one_stream_is_corrupt() {
        let mut inflater = Inflater::new();
        let stream = deflate(&b"to be or not to be".repeat(20));
        for end in 0..stream.len() {
            assert_eq!(inflater.inflate(&stream[..end]), Err(Surprise::Corrupt), "cut off at {end}");
        }
        let longer = [&stream[..], &[0]].concat();
        assert_eq!(inflater.inflate(&longer), Err(Surprise::Corrupt), "a byte behind the end");
        assert_eq!(inflater.inflate(&[0xff; 9]), Err(Surprise::Corrupt), "no such block");
    }

    proptest! {
        #[test]
        fn whatever_was_deflated_comes_back(bytes in proptest::collection::vec(0_u8..4, 0..20_000)) {
            prop_assert_eq!(Inflater::new().inflate(&deflate(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn no_bytes_inflate_to_more(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(records) = Inflater::new().inflate(&bytes) {
                prop_assert!(records.len() <= MAX_RECORDS);
            }
        }
    }
}
