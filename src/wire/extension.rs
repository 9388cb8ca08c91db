//! The list of extensions that ends every command and ping (PROTOCOL 3.3).
//!
//! ```text
//! | type: varint | length: varint | bytes |  ...      types ascend
//! ```

use super::{DecodeError, Put, Reader, put_string, put_varint};

/// Extensions as they stand on the wire, already checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    encoded: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// No extensions.
    pub const NONE: Self = Self { encoded: &[] };

    /// Takes an encoded list, to the end of the slice.
    ///
    /// # Errors
    /// Where an extension is cut off or types do not ascend.
    pub fn from_encoded(encoded: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(encoded);
        let mut last = None;
        while !reader.rest().is_empty() {
            let kind = reader.varint()?;
            // PROTOCOL 3.3: ascending, so that a list has one encoding.
            if last.is_some_and(|last| kind <= last) {
                return Err(DecodeError::ExtensionOrder);
            }
            last = Some(kind);
            reader.string()?;
        }
        Ok(Self { encoded })
    }

    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Self::from_encoded(reader.take_rest())
    }

    /// The list as it stands on the wire.
    #[must_use]
    pub const fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    /// Type and content of each.
    pub fn iter(self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let mut reader = Reader::new(self.encoded);
        core::iter::from_fn(move || Some((reader.varint().ok()?, reader.string().ok()?)))
    }

    /// The content of the extension `kind`.
    #[must_use]
    pub fn get(self, kind: u64) -> Option<&'a [u8]> {
        self.iter().find_map(|(found, content)| (found == kind).then_some(content))
    }

    /// The first odd type that `known` does not list: it must not be ignored (PROTOCOL 3.3).
    #[must_use]
    pub fn unknown_critical(self, known: &[u64]) -> Option<u64> {
        self.iter().map(|(kind, _)| kind).find(|kind| kind % 2 == 1 && !known.contains(kind))
    }
}

/// Appends one extension. Callers append in ascending order.
pub fn put_extension(kind: u64, content: &[u8], out: &mut impl Put) {
    put_varint(kind, out);
    put_string(content, out);
}

/// The type numbers of this version's extensions.
pub mod kind {
    /// HELLO: the token.
    pub const TOKEN: u64 = 1;
    /// HELLO: the client's software.
    pub const AGENT: u64 = 2;
    /// HELLO: a resume token, and the highest direct seen.
    pub const RESUME: u64 = 4;
    /// WELCOME: the resume token.
    pub const RESUME_TOKEN: u64 = 2;
    /// WELCOME: milliseconds within which the session may be resumed.
    pub const GRACE: u64 = 4;
    /// WELCOME: first and last direct that is lost.
    pub const LOST_DIRECTS: u64 = 6;
    /// WELCOME: the subject the server knows the client by.
    pub const SUBJECT: u64 = 8;
    /// REFUSED and CLOSE: a text for people. JOIN and JOINED: data for and from the room's logic.
    pub const TEXT: u64 = 2;
    /// JOIN: data for the room's logic.
    pub const LOGIC: u64 = 2;
    /// CLOSE and REFUSED: milliseconds to wait.
    pub const AFTER: u64 = 4;
    /// JOIN: epoch and last position.
    pub const SINCE: u64 = 4;
    /// JOINED: positions that are lost.
    pub const LOST: u64 = 4;
    /// REFUSED, CLOSE and GOING_AWAY: another address.
    pub const ADDRESS: u64 = 6;
    /// JOIN: presence data.
    pub const PRESENCE: u64 = 6;
    /// CLOSE: lowest and highest version.
    pub const VERSIONS: u64 = 8;
    /// GOING_AWAY: rooms and their positions.
    pub const POSITIONS: u64 = 8;
}
