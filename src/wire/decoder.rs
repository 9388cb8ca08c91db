//! Whole frames off the front of a read buffer, without copying a payload.
//!
//! ```text
//! BytesMut |hdr|payload|hdr|payl        a frame is split off as Bytes; the rest waits for more
//! ```

use bytes::{Buf, Bytes, BytesMut};

use super::header::Sender;
use super::{DecodeError, Header};

/// A whole frame whose payload shares the read buffer.
///
/// Whoever keeps `payload` keeps the whole buffer it was read into: copy what stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type, length and flags, checked.
    pub header: Header,
    /// Exactly as many bytes as the header says.
    pub payload: Bytes,
}

impl Frame {
    /// The last `len` bytes of the payload: a message without what stands before it. It is the same
    /// reference of the buffer that the frame was, so it costs no counting.
    #[inline]
    #[must_use]
    pub fn into_tail(self, len: usize) -> Bytes {
        let mut payload = self.payload;
        payload.advance(payload.len().saturating_sub(len));
        payload
    }
}

/// Takes frames off a stream of bytes; the same for every transport.
#[derive(Clone, Debug)]
pub struct Decoder {
    max_payload: usize,
    sender: Sender,
}

impl Decoder {
    /// A decoder of what `sender` sends, with at most `max_payload` bytes a frame.
    #[must_use]
    pub const fn new(sender: Sender, max_payload: usize) -> Self {
        Self { max_payload, sender }
    }

    /// Changes the limit, from the next frame on.
    pub const fn set_max_payload(&mut self, max_payload: usize) {
        self.max_payload = max_payload;
    }

    /// Takes the next frame off a stream; `Ok(None)` means that more bytes are needed.
    /// Never reserves memory, so a length that is only announced costs nothing.
    ///
    /// # Errors
    /// What the header's check finds. The stream cannot be trusted any further.
    #[inline]
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some(header) = self.peek(buffer)? else { return Ok(None) };
        let mut payload = buffer.split_to(Header::LEN + usize::from(header.payload_len)).freeze();
        payload.advance(Header::LEN);
        Ok(Some(Frame { header, payload }))
    }

    /// Takes the next frame off a WebSocket message; `Ok(None)` means that it is used up.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and [`DecodeError::PartialFrame`] where the message ends inside a frame.
    #[inline]
    pub fn decode_message(&self, message: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        if message.is_empty() {
            return Ok(None);
        }
        // PROTOCOL 4.2: one or more whole frames.
        let header = self.peek(message)?.ok_or(DecodeError::PartialFrame)?;
        let mut payload = message.split_to(Header::LEN + usize::from(header.payload_len));
        payload.advance(Header::LEN);
        Ok(Some(Frame { header, payload }))
    }

    /// Whether [`decode`](Self::decode) has an answer without more bytes.
    #[must_use]
    pub fn has_frame(&self, buffer: &[u8]) -> bool {
        !matches!(self.peek(buffer), Ok(None))
    }

    /// How many bytes the frame at the front of `buffer` still lacks, if its header is there.
    #[must_use]
    pub fn missing(&self, buffer: &[u8]) -> Option<usize> {
        let header = Header::decode(*buffer.first_chunk()?, self.max_payload, self.sender).ok()?;
        (Header::LEN + usize::from(header.payload_len)).checked_sub(buffer.len())
    }

    /// The header at the front, if the whole frame is there.
    #[inline]
    fn peek(&self, bytes: &[u8]) -> Result<Option<Header>, DecodeError> {
        let Some((header, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let header = Header::decode(*header, self.max_payload, self.sender)?;
        Ok((rest.len() >= header.payload_len.into()).then_some(header))
    }
}
