//! CLOSE and GOING_AWAY: how a session ends (PROTOCOL 6.8, 6.9, 4.3).

use super::Body;
use crate::wire::{DecodeError, Extensions, Put, Reader, Reason, put_varint};

/// The last frame of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why.
    pub reason: Reason,
    /// Text, time to wait, address, versions.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for Close<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { reason: Reason(reader.varint()?), extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.reason.0, out);
        out.put(self.extensions.encoded());
    }
}

/// The server is about to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoingAway<'a> {
    /// When this client should reconnect, in milliseconds from now.
    pub reconnect: u64,
    /// When the connection closes at the latest, in milliseconds from now.
    pub closes: u64,
    /// Address, positions.
    pub extensions: Extensions<'a>,
}

impl<'a> Body<'a> for GoingAway<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { reconnect: reader.varint()?, closes: reader.varint()?, extensions: Extensions::decode(reader)? })
    }

    fn encode(&self, out: &mut impl Put) {
        put_varint(self.reconnect, out);
        put_varint(self.closes, out);
        out.put(self.extensions.encoded());
    }
}
