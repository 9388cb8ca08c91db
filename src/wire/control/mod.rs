//! Control frames: a command, the number of the request, arguments, extensions (PROTOCOL 6).
//!
//! ```text
//! | command: u8 | request: varint | arguments | extensions ...
//! ```

mod answer;
mod close;
mod hello;
mod join;
mod membership;

pub use answer::{Accepted, Done, Gap, Refused};
pub use close::{Close, GoingAway};
pub use hello::{Hello, Token, Welcome};
pub use join::{Join, Joined, Leave, Left, Mode, Outcome};
pub use membership::{Members, Page, Receive, SetPresence};

use super::{Counter, DecodeError, Header, Put, Reader, RequestId, header::FrameType, put_varint};

/// A control frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Control<'a> {
    /// The client's number for this exchange; 0 where the server was not asked.
    pub request: RequestId,
    /// What is asked or told.
    pub command: Command<'a>,
}

/// Commands, in the order of PROTOCOL 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is named after the struct that documents it")]
pub enum Command<'a> {
    Hello(Hello<'a>),
    Welcome(Welcome<'a>),
    Join(Join<'a>),
    Joined(Joined<'a>),
    Leave(Leave<'a>),
    Left(Left<'a>),
    Refused(Refused<'a>),
    Close(Close<'a>),
    GoingAway(GoingAway<'a>),
    Gap(Gap<'a>),
    Receive(Receive<'a>),
    Done(Done<'a>),
    SetPresence(SetPresence<'a>),
    Token(Token<'a>),
    Members(Members<'a>),
    Page(Page<'a>),
    Accepted(Accepted<'a>),
    /// A command of the application, 0xf0 to 0xff, with its bytes.
    Application(u8, &'a [u8]),
    /// A command this version does not know, with its bytes.
    Unknown(u8, &'a [u8]),
}

/// Arguments and extensions of one command.
pub(super) trait Body<'a>: Sized {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;
    fn encode(&self, out: &mut impl Put);
}

impl<'a> Control<'a> {
    /// A command with its request number.
    #[must_use]
    pub const fn new(request: RequestId, command: Command<'a>) -> Self {
        Self { request, command }
    }

    /// Reads the payload of a control frame.
    ///
    /// # Errors
    /// Where a field cannot be read. An unknown command is not an error.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let code = reader.u8()?;
        let request = RequestId(reader.varint()?);
        let r = &mut reader;
        let command = match code {
            0x01 => Command::Hello(Body::decode(r)?),
            0x02 => Command::Welcome(Body::decode(r)?),
            0x03 => Command::Join(Body::decode(r)?),
            0x04 => Command::Joined(Body::decode(r)?),
            0x05 => Command::Leave(Body::decode(r)?),
            0x06 => Command::Left(Body::decode(r)?),
            0x07 => Command::Refused(Body::decode(r)?),
            0x08 => Command::Close(Body::decode(r)?),
            0x09 => Command::GoingAway(Body::decode(r)?),
            0x0a => Command::Gap(Body::decode(r)?),
            0x0b => Command::Receive(Body::decode(r)?),
            0x0c => Command::Done(Body::decode(r)?),
            0x0d => Command::SetPresence(Body::decode(r)?),
            0x0e => Command::Token(Body::decode(r)?),
            0x0f => Command::Members(Body::decode(r)?),
            0x10 => Command::Page(Body::decode(r)?),
            0x11 => Command::Accepted(Body::decode(r)?),
            0xf0..=0xff => Command::Application(code, r.take_rest()),
            _ => Command::Unknown(code, r.take_rest()),
        };
        Ok(Self { request, command })
    }

    /// Appends the frame. Strings and extensions are the caller's to keep below 64 KiB together.
    pub fn encode(&self, out: &mut impl Put) {
        let mut len = Counter::default();
        self.encode_payload(&mut len);
        let payload_len = u16::try_from(len.0).expect("the caller keeps commands below 64 KiB");
        Header { frame_type: FrameType::Control, payload_len, flags: 0 }.encode(out);
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
        out.put_u8(self.command.code());
        put_varint(self.request.0, out);
        match &self.command {
            Command::Hello(body) => body.encode(out),
            Command::Welcome(body) => body.encode(out),
            Command::Join(body) => body.encode(out),
            Command::Joined(body) => body.encode(out),
            Command::Leave(body) => body.encode(out),
            Command::Left(body) => body.encode(out),
            Command::Refused(body) => body.encode(out),
            Command::Close(body) => body.encode(out),
            Command::GoingAway(body) => body.encode(out),
            Command::Gap(body) => body.encode(out),
            Command::Receive(body) => body.encode(out),
            Command::Done(body) => body.encode(out),
            Command::SetPresence(body) => body.encode(out),
            Command::Token(body) => body.encode(out),
            Command::Members(body) => body.encode(out),
            Command::Page(body) => body.encode(out),
            Command::Accepted(body) => body.encode(out),
            Command::Application(_, bytes) | Command::Unknown(_, bytes) => out.put(bytes),
        }
    }
}

impl Command<'_> {
    /// The command byte.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Hello(_) => 0x01,
            Self::Welcome(_) => 0x02,
            Self::Join(_) => 0x03,
            Self::Joined(_) => 0x04,
            Self::Leave(_) => 0x05,
            Self::Left(_) => 0x06,
            Self::Refused(_) => 0x07,
            Self::Close(_) => 0x08,
            Self::GoingAway(_) => 0x09,
            Self::Gap(_) => 0x0a,
            Self::Receive(_) => 0x0b,
            Self::Done(_) => 0x0c,
            Self::SetPresence(_) => 0x0d,
            Self::Token(_) => 0x0e,
            Self::Members(_) => 0x0f,
            Self::Page(_) => 0x10,
            Self::Accepted(_) => 0x11,
            Self::Application(code, _) | Self::Unknown(code, _) => *code,
        }
    }
}
