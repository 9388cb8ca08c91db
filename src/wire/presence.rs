//! What a presence record says of a member (PROTOCOL 8.5).
//!
//! ```text
//! | 01 here  | subject: string | data ...
//! | 02 away  |
//! | 03 left  | reason: varint |
//! | 04 count | members: varint |
//! ```

use super::{DecodeError, Put, Reader, Reason, put_string, put_varint};

/// The payload of a presence or members record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence<'a> {
    /// The member came, came back, or changed its data.
    Here {
        /// Who the server knows it to be; empty for anonymous clients.
        subject: &'a [u8],
        /// What the member shows of itself.
        data: &'a [u8],
    },
    /// Its connection is gone, its place is kept.
    Away,
    /// It is no longer a member.
    Left(Reason),
    /// The room only tells how many members it has.
    Count(u64),
    /// A state this version does not know, to be ignored.
    Unknown(u8),
}

impl<'a> Presence<'a> {
    /// Reads a record's payload.
    ///
    /// # Errors
    /// Where a field cannot be read.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        Ok(match reader.u8()? {
            0x01 => Self::Here { subject: reader.string()?, data: reader.take_rest() },
            0x02 => Self::Away,
            0x03 => Self::Left(Reason(reader.varint()?)),
            0x04 => Self::Count(reader.varint()?),
            state => Self::Unknown(state),
        })
    }

    /// Appends the payload. An unknown state is only its byte.
    pub fn encode(&self, out: &mut impl Put) {
        match *self {
            Self::Here { subject, data } => {
                out.put_u8(0x01);
                put_string(subject, out);
                out.put(data);
            }
            Self::Away => out.put_u8(0x02),
            Self::Left(reason) => {
                out.put_u8(0x03);
                put_varint(reason.0, out);
            }
            Self::Count(members) => {
                out.put_u8(0x04);
                put_varint(members, out);
            }
            Self::Unknown(state) => out.put_u8(state),
        }
    }
}
