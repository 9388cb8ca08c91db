//! Compressed records (PROTOCOL 12.4): inflated with a bound that holds while inflating.
//!
//! ```text
//! | head | raw deflate stream |  ──>  at most 64 KiB of records
//! ```

use bytes::Bytes;

use super::Surprise;
use crate::deflate::{self, InflateError, MAX_RECORDS};

/// Inflates one stream after the other, with the same memory.
#[derive(Debug)]
pub(super) struct Inflater {
    inflater: deflate::Inflater,
    records: Vec<u8>,
}

impl Inflater {
    pub(super) const fn new() -> Self {
        Self { inflater: deflate::Inflater::new(), records: Vec::new() }
    }

    /// The records of one frame.
    ///
    /// # Errors
    /// [`Surprise::Corrupt`] where the bytes are not exactly one stream, and [`Surprise::Inflated`]
    /// where they are more than they may be.
    pub(super) fn inflate(&mut self, compressed: &[u8]) -> Result<Bytes, Surprise> {
        self.inflater.inflate(compressed, MAX_RECORDS, &mut self.records).map_err(|error| match error {
            InflateError::TooLarge => Surprise::Inflated,
            InflateError::Corrupt => Surprise::Corrupt,
        })?;
        Ok(Bytes::copy_from_slice(&self.records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress, Status};
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
