//! Data frames: one message from a client, records of one segment from a server (PROTOCOL 7 and 8).
//!
//! ```text
//! client:  | handle | key or member | payload ...
//! server:  | room | position | tick: u16 |  record  record  ...
//! record:  | length | member | key | payload |
//! ```

use super::header::flags;
use super::{
    DecodeError, Handle, Header, Key, Kind, MemberNumber, Position, Put, Reader, RoomId, header::FrameType, put_varint,
    varint_len,
};

/// A message as a client sends it: one to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientData<'a> {
    /// The room, by the client's own number.
    pub handle: Handle,
    /// What kind of message, and what that kind needs.
    pub target: Target,
    /// [`flags::COMPRESSED`], [`flags::URGENT`] and [`flags::ACKNOWLEDGE`]; no other bits.
    pub options: u8,
    /// The message.
    pub payload: &'a [u8],
}

/// Where a client's message goes inside the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To every receiver, in order.
    Event,
    /// The latest of this key.
    Value(Key),
    /// To one member.
    Direct(MemberNumber),
}

impl<'a> ClientData<'a> {
    const OPTIONS: u8 = flags::COMPRESSED | flags::URGENT | flags::ACKNOWLEDGE;

    /// Reads the payload of a data frame with these header `flags`.
    ///
    /// # Errors
    /// Where a field cannot be read, or the kind is not for clients.
    #[inline]
    pub fn decode(flags: u8, payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let kind = Kind::from_flags(flags).map_err(DecodeError::KindNotForClients)?;
        // PROTOCOL 5: a kind that is not for clients is refused without looking at the payload.
        if !matches!(kind, Kind::Event | Kind::Value | Kind::Direct) {
            return Err(DecodeError::KindNotForClients(kind as u8));
        }
        let handle = Handle(reader.varint()?);
        let target = match kind {
            Kind::Value => Target::Value(Key::from_wire(reader.varint()?)),
            Kind::Direct => Target::Direct(MemberNumber(reader.varint()?)),
            _ => Target::Event,
        };
        Ok(Self { handle, target, options: flags & Self::OPTIONS, payload: reader.rest() })
    }

    /// Appends the frame. The caller keeps the payload below the server's limit.
    pub fn encode(&self, out: &mut impl Put) {
        Header { frame_type: FrameType::Data, payload_len: self.payload_len(), flags: self.flags() }.encode(out);
        put_varint(self.handle.0, out);
        match self.target {
            Target::Event => {}
            Target::Value(key) => put_varint(key.wire(), out),
            Target::Direct(member) => put_varint(member.0, out),
        }
        out.put(self.payload);
    }

    /// Bytes that [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Header::LEN + usize::from(self.payload_len())
    }

    /// The flags of the frame's header.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        let kind = match self.target {
            Target::Event => Kind::Event,
            Target::Value(_) => Kind::Value,
            Target::Direct(_) => Kind::Direct,
        };
        kind.flags() | self.options
    }

    fn payload_len(&self) -> u16 {
        let extra = match self.target {
            Target::Event => 0,
            Target::Value(key) => varint_len(key.wire()),
            Target::Direct(member) => varint_len(member.0),
        };
        let len = varint_len(self.handle.0) + extra + self.payload.len();
        u16::try_from(len).expect("the caller keeps messages below the frame limit")
    }
}

/// What starts every data frame from a server (PROTOCOL 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The room, by the server's number.
    pub room: RoomId,
    /// The batch's position, or what stands in its place for this kind.
    pub position: Position,
    /// The low 16 bits of the tick.
    pub tick: u16,
}

impl Head {
    /// Appends the head.
    #[inline]
    pub fn encode(&self, out: &mut impl Put) {
        put_varint(self.room.0, out);
        put_varint(self.position.0, out);
        out.put(&self.tick.to_be_bytes());
    }

    /// Bytes that [`encode`](Self::encode) appends.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        varint_len(self.room.0) + varint_len(self.position.0) + 2
    }
}

/// A data frame from a server: a head and records, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerData<'a> {
    /// What the records are.
    pub kind: Kind,
    /// [`flags::COMPRESSED`], [`flags::URGENT`] and [`flags::MORE`]; no other bits.
    pub options: u8,
    /// Room, position and tick.
    pub head: Head,
    /// Encoded records, or a deflate stream of them where the frame is compressed.
    pub records: &'a [u8],
}

impl<'a> ServerData<'a> {
    const OPTIONS: u8 = flags::COMPRESSED | flags::URGENT | flags::MORE;

    /// Reads a frame's payload: the head and, without looking into them, the records.
    /// `Ok(None)` for a reserved kind, which a client ignores.
    ///
    /// # Errors
    /// Where the head cannot be read.
    pub fn decode(flags: u8, payload: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let Ok(kind) = Kind::from_flags(flags) else { return Ok(None) };
        let mut reader = Reader::new(payload);
        let head = Head {
            room: RoomId(reader.varint()?),
            position: Position(reader.varint()?),
            tick: u16::from_be_bytes(reader.array()?),
        };
        Ok(Some(Self { kind, options: flags & Self::OPTIONS, head, records: reader.rest() }))
    }

    /// The records one by one; the iterator ends after the first error.
    #[must_use]
    pub const fn records(&self) -> Records<'a> {
        Records { reader: Reader::new(self.records), has_key: self.kind.has_key() }
    }

    /// Appends the frame. The caller keeps its payload below 64 KiB.
    pub fn encode(&self, out: &mut impl Put) {
        encode_server_header(self.kind, self.options, &self.head, self.records.len(), out);
        out.put(self.records);
    }

    /// Bytes that [`encode`](Self::encode) appends.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        Header::LEN + self.head.encoded_len() + self.records.len()
    }
}

/// Appends header and head of a server's data frame whose records take `records_len` bytes.
pub fn encode_server_header(kind: Kind, options: u8, head: &Head, records_len: usize, out: &mut impl Put) {
    let len = head.encoded_len() + records_len;
    let payload_len = u16::try_from(len).expect("segments are split below the frame limit");
    Header { frame_type: FrameType::Data, payload_len, flags: kind.flags() | options }.encode(out);
    head.encode(out);
}

/// One message inside a segment (PROTOCOL 8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Who sent it, by the server's word.
    pub member: MemberNumber,
    /// For kinds that have it: a value's key, or the data frame that a direct answers.
    pub key: Option<u64>,
    /// The message.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// The most that length, member and key take beside the payload.
    pub const MAX_OVERHEAD: usize = 3 + 8 + 8;

    /// Appends the record.
    #[inline]
    pub fn encode(&self, out: &mut impl Put) {
        put_varint(self.payload.len() as u64, out);
        put_varint(self.member.0, out);
        if let Some(key) = self.key {
            put_varint(key, out);
        }
        out.put(self.payload);
    }

    /// Bytes that [`encode`](Self::encode) appends.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        varint_len(self.payload.len() as u64)
            + varint_len(self.member.0)
            + self.key.map_or(0, varint_len)
            + self.payload.len()
    }
}

/// Reads records off the front of a segment, without allocating.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    has_key: bool,
}

impl<'a> Records<'a> {
    /// Reads `encoded` records of `kind`.
    #[must_use]
    pub const fn new(kind: Kind, encoded: &'a [u8]) -> Self {
        Self { reader: Reader::new(encoded), has_key: kind.has_key() }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    #[inline]
    fn read(&mut self) -> Result<Record<'a>, DecodeError> {
        let len = self.reader.varint()?;
        let member = MemberNumber(self.reader.varint()?);
        let key = if self.has_key { Some(self.reader.varint()?) } else { None };
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        Ok(Record { member, key, payload: self.reader.bytes(len)? })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest().is_empty() {
            return None;
        }
        let record = self.read();
        if record.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(record)
    }
}
