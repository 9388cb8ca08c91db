//! HELLO and WELCOME: what a client says first, and what it must hear first (PROTOCOL 6.1, 6.2, 10.2).
//!
//! ```text
//! connecting ──HELLO──> greeting ──WELCOME──> open
//!                           └──────CLOSE────> closed
//! ```

use bytes::{Bytes, BytesMut};

use super::clock::Sample;
use super::membership::two_varints;
use super::session::{closed, understood};
use super::{ClientConfig, Error, Scheme, Surprise, Terms, Token};
use crate::wire::control::{Command, Hello, Welcome};
use crate::wire::extension::kind;
use crate::wire::header::flags;
use crate::wire::{
    Capabilities, Control, Extensions, Frame, FrameType, Header, MAGIC, RequestId, VERSION, put_extension, put_string,
    put_varint,
};

/// The most that the tokens of a HELLO have together, in bytes. 60,000: with it, the frame fits the 16
/// bits of a length; servers take far less (PROTOCOL 13).
const MAX_TOKENS: usize = 60_000;

/// What a client sends first (PROTOCOL 4.1, 6.1); `resume` is a resume token and the highest direct taken.
///
/// # Errors
/// [`Error::MessageTooLarge`] where the tokens do not fit a frame.
pub(super) fn hello(
    config: &ClientConfig,
    capabilities: Capabilities,
    resume: Option<(&Token, u64)>,
) -> Result<Bytes, Error> {
    let mut extensions = Vec::new();
    if let Some(token) = &config.token {
        put_extension(kind::TOKEN, token.as_bytes(), &mut extensions);
    }
    if let Some((token, directs)) = resume {
        let mut content = Vec::new();
        put_string(token.as_bytes(), &mut content);
        put_varint(directs, &mut content);
        put_extension(kind::RESUME, &content, &mut extensions);
    }
    if extensions.len() > MAX_TOKENS {
        return Err(Error::MessageTooLarge { len: extensions.len(), limit: MAX_TOKENS });
    }
    let mut out = BytesMut::new();
    if config.url.scheme() == Scheme::Tcp {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION]);
    }
    let extensions = Extensions::from_encoded(&extensions)?;
    let hello = Hello { capabilities, extensions, ..Hello::default() };
    Control::new(RequestId(1), Command::Hello(hello)).encode(&mut out);
    Ok(out.freeze())
}

/// What a WELCOME says.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) terms: Terms,
    pub(super) resumed: bool,
    /// The highest accepted message of the session.
    pub(super) accepted: u64,
    pub(super) token: Option<Token>,
    pub(super) lost_directs: Option<(u64, u64)>,
    pub(super) sample: Option<Sample>,
    /// Bytes of its frame.
    pub(super) bytes: u64,
}

impl Greeting {
    /// Reads the first frame; `None` where it is to be ignored. `now` is in microseconds since hello.
    ///
    /// # Errors
    /// [`Error::Closed`] for a CLOSE, [`Surprise::NotWelcome`] for anything else.
    pub(super) fn read(frame: &Frame, offered: Capabilities, now: u64) -> Result<Option<Self>, Error> {
        // PROTOCOL 10.2: WELCOME or CLOSE comes first.
        if frame.header.frame_type != FrameType::Control {
            return Err(Surprise::NotWelcome.into());
        }
        match Control::decode(&frame.payload)?.command {
            Command::Welcome(welcome) if understood(welcome.extensions) => {
                let bytes = (Header::LEN + frame.payload.len()) as u64;
                Ok(Some(Self::new(&welcome, offered, bytes, now)))
            }
            Command::Welcome(_) => Ok(None),
            Command::Close(close) => Err(Error::Closed(closed(&close))),
            _ => Err(Surprise::NotWelcome.into()),
        }
    }

    fn new(welcome: &Welcome<'_>, offered: Capabilities, bytes: u64, now: u64) -> Self {
        let token = welcome.extensions.get(kind::RESUME_TOKEN).filter(|token| !token.is_empty());
        Self {
            terms: Terms::new(welcome, offered),
            resumed: welcome.flags & flags::RESUMED != 0,
            accepted: welcome.accepted,
            token: token.map(|token| Token::new(Bytes::copy_from_slice(token))),
            lost_directs: two_varints(welcome.extensions, kind::LOST_DIRECTS),
            // Hello was sent at time 0, so it was the first question.
            sample: Sample::new(0, welcome.time, welcome.time, now),
            bytes,
        }
    }
}
