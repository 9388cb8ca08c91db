//! Pings and their answers: liveness, clocks and consumption (PROTOCOL 9).
//!
//! ```text
//! client:          | time | consumed | directs | extensions
//! server asks:     | time | accepted | extensions
//! server answers:  | time | clock: u32 | received | sent | accepted | extensions
//! ```

use super::header::flags;
use super::{Counter, DecodeError, Extensions, Header, Put, Reader, header::FrameType, header::Sender, put_varint};

/// A ping frame of either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping<'a> {
    /// Microseconds of the asker's own clock; an answer repeats it.
    pub time: u64,
    /// What this side tells with it.
    pub body: PingBody,
    /// What this version does not know.
    pub extensions: Extensions<'a>,
}

/// What differs by side and direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingBody {
    /// A client asks or answers.
    Client {
        /// Whether this answers a ping.
        answer: bool,
        /// Bytes of frames its application has taken since hello; 0 where it does not report.
        consumed: u64,
        /// The highest direct its application has taken.
        directs: u64,
    },
    /// A server asks.
    ServerAsk {
        /// The highest accepted data frame.
        accepted: u64,
    },
    /// A server answers.
    ServerAnswer {
        /// Names the server's clock.
        clock: u32,
        /// Server time of hearing the question, in microseconds.
        received: u64,
        /// Server time of answering, in microseconds.
        sent: u64,
        /// The highest accepted data frame.
        accepted: u64,
    },
}

impl<'a> Ping<'a> {
    /// Reads the payload of a ping frame with these header `flags`.
    ///
    /// # Errors
    /// Where a field cannot be read.
    pub fn decode(flags: u8, payload: &'a [u8], sender: Sender) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let answer = flags & flags::ANSWER != 0;
        let time = reader.varint()?;
        let body = match (sender, answer) {
            (Sender::Client, answer) => {
                PingBody::Client { answer, consumed: reader.varint()?, directs: reader.varint()? }
            }
            (Sender::Server, false) => PingBody::ServerAsk { accepted: reader.varint()? },
            (Sender::Server, true) => PingBody::ServerAnswer {
                clock: u32::from_be_bytes(reader.array()?),
                received: reader.varint()?,
                sent: reader.varint()?,
                accepted: reader.varint()?,
            },
        };
        Ok(Self { time, body, extensions: Extensions::decode(&mut reader)? })
    }

    /// Whether this frame answers another.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        matches!(self.body, PingBody::ServerAnswer { .. } | PingBody::Client { answer: true, .. })
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut impl Put) {
        let mut len = Counter::default();
        self.encode_payload(&mut len);
        let payload_len = u16::try_from(len.0).expect("a ping is a few dozen bytes");
        let flags = if self.is_answer() { flags::ANSWER } else { 0 };
        Header { frame_type: FrameType::Ping, payload_len, flags }.encode(out);
        self.encode_payload(out);
    }

    /// Bytes that [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut len = Counter::default();
        self.encode_payload(&mut len);
        Header::LEN + len.0
    }

    fn encode_payload(&self, out: &mut impl Put) {
        put_varint(self.time, out);
        match self.body {
            PingBody::Client { consumed, directs, .. } => {
                put_varint(consumed, out);
                put_varint(directs, out);
            }
            PingBody::ServerAsk { accepted } => put_varint(accepted, out),
            PingBody::ServerAnswer { clock, received, sent, accepted } => {
                out.put(&clock.to_be_bytes());
                put_varint(received, out);
                put_varint(sent, out);
                put_varint(accepted, out);
            }
        }
        out.put(self.extensions.encoded());
    }
}
