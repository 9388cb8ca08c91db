//! Reading from and writing to plain bytes, without `std` and without allocating.

use super::{DecodeError, varint};

/// Takes fields off the front of a slice. Nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been taken yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where there are fewer.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes a fixed number of bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where there is none.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Takes a varint (PROTOCOL 3.1).
    ///
    /// # Errors
    /// Where it is cut off, not minimal, or 2^53 or more.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        varint::read_varint(self)
    }

    /// Takes a string: a varint length, then so many bytes (PROTOCOL 3.2).
    ///
    /// # Errors
    /// Where the length cannot be read, or exceeds what is left.
    #[inline]
    pub fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        // A length above what `usize` holds is certainly above what is left.
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        self.bytes(len)
    }

    /// Takes everything that is left.
    pub const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }
}

/// Where encoders write.
pub trait Put {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// Appends one byte.
    #[inline]
    fn put_u8(&mut self, byte: u8) {
        self.put(&[byte]);
    }
}

/// Counts what an encoder writes, so that `encoded_len` is exact by construction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(
    /// Bytes written so far.
    pub usize,
);

impl Put for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Writes into a fixed slice: what a device without an allocator encodes with.
#[derive(Debug)]
pub struct SliceWriter<'a> {
    slice: &'a mut [u8],
    len: usize,
}

impl<'a> SliceWriter<'a> {
    /// Writes to the front of `slice`.
    pub const fn new(slice: &'a mut [u8]) -> Self {
        Self { slice, len: 0 }
    }

    /// The bytes written, or `None` where they did not fit.
    #[must_use]
    pub fn written(&self) -> Option<&[u8]> {
        self.slice.get(..self.len)
    }
}

impl Put for SliceWriter<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(place) = self.slice.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
        }
        // Past the end the length goes on, which is how `written` knows.
        self.len = end;
    }
}

#[cfg(any(feature = "std", test))]
impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(feature = "std")]
impl Put for bytes::BytesMut {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Appends a string: a varint length, then the bytes (PROTOCOL 3.2).
pub fn put_string(bytes: &[u8], out: &mut impl Put) {
    varint::put_varint(bytes.len() as u64, out);
    out.put(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_writer_says_when_it_did_not_fit() {
        let mut room = [0; 3];
        let mut writer = SliceWriter::new(&mut room);
        writer.put(&[1, 2]);
        assert_eq!(writer.written(), Some(&[1, 2][..]));
        writer.put(&[3, 4]);
        assert_eq!(writer.written(), None);
    }
}
