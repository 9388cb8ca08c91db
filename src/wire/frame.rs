//! A frame as borrowed bytes: header and payload, taken whole off the front of a slice (PROTOCOL 5).

use super::header::Sender;
use super::{DecodeError, Header};

/// A whole frame, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// Type, length and flags, checked.
    pub header: Header,
    /// Exactly as many bytes as the header says.
    pub payload: &'a [u8],
}

/// Takes a frame off the front of `bytes`: the frame and what follows it, or `None` where more
/// bytes are needed. `max_payload` is in bytes.
///
/// # Errors
/// What the header's check finds, as soon as its four bytes are there.
#[inline]
pub fn split_frame(
    bytes: &[u8],
    max_payload: usize,
    sender: Sender,
) -> Result<Option<(RawFrame<'_>, &[u8])>, DecodeError> {
    let Some((header, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let header = Header::decode(*header, max_payload, sender)?;
    let Some((payload, rest)) = rest.split_at_checked(header.payload_len.into()) else { return Ok(None) };
    Ok(Some((RawFrame { header, payload }, rest)))
}
