//! The variable-length integer: unsigned LEB128, minimal, below 2^53 (PROTOCOL 3.1).
//!
//! ```text
//! 1 g g g g g g g   1 g g g g g g g   0 g g g g g g g      lowest seven bits first
//! ```

use super::{DecodeError, Put, Reader};

/// The first number that no varint holds: JavaScript counts exactly below it.
pub const VARINT_END: u64 = 1 << 53;

/// A varint has at most eight bytes: 7 x 8 = 56 bits cover 53.
pub const VARINT_MAX_LEN: usize = 8;

/// The number of bytes that [`put_varint`] writes for `value`.
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    // One byte for each seven significant bits, and one for zero.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends `value`, which must be below [`VARINT_END`].
#[inline]
pub fn put_varint(value: u64, out: &mut impl Put) {
    debug_assert!(value < VARINT_END, "a varint is below 2^53");
    let mut bytes = [0; VARINT_MAX_LEN + 2];
    let mut len = 0;
    let mut rest = value;
    for byte in &mut bytes {
        len += 1;
        // Masked to seven bits, so nothing is lost.
        *byte = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            break;
        }
        *byte |= 0x80;
    }
    out.put(bytes.get(..len).unwrap_or_default());
}

/// Takes a varint off the front of `reader`.
#[inline]
pub(super) fn read_varint(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let first = reader.u8()?;
    if first < 0x80 {
        return Ok(u64::from(first));
    }
    read_long(first, reader)
}

fn read_long(first: u8, reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let mut value = u64::from(first & 0x7f);
    for index in 1..VARINT_MAX_LEN {
        let byte = reader.u8()?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            // PROTOCOL 3.1: minimal, and below 2^53.
            return match byte {
                0 => Err(DecodeError::VarintNotMinimal),
                _ if value >= VARINT_END => Err(DecodeError::VarintTooLarge),
                _ => Ok(value),
            };
        }
    }
    Err(DecodeError::VarintTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: u64, bytes: &[u8]) {
        let mut out = Vec::new();
        put_varint(value, &mut out);
        assert_eq!(out, bytes);
        assert_eq!(varint_len(value), bytes.len());
        let mut reader = Reader::new(bytes);
        assert_eq!(read_varint(&mut reader), Ok(value));
        assert!(reader.rest().is_empty());
    }

    #[test]
    fn lengths_change_at_every_seventh_bit() {
        check(0, &[0]);
        check(127, &[0x7f]);
        check(128, &[0x80, 1]);
        check(16_383, &[0xff, 0x7f]);
        check(16_384, &[0x80, 0x80, 1]);
        check(VARINT_END - 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        for bits in 1..53_u32 {
            assert_eq!(varint_len((1 << bits) - 1), bits.div_ceil(7) as usize);
        }
    }

    #[test]
    fn longer_forms_and_larger_numbers_are_refused() {
        let read = |bytes: &[u8]| read_varint(&mut Reader::new(bytes));
        assert_eq!(read(&[0x80, 0]), Err(DecodeError::VarintNotMinimal));
        assert_eq!(read(&[0x80; 7]), Err(DecodeError::Truncated));
        let end = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(read(&end), Err(DecodeError::VarintTooLarge));
        assert_eq!(read(&[0xff; 9]), Err(DecodeError::VarintTooLarge));
    }
}
