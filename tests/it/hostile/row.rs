//! One row: a name, where it is played, what is done, and the answer.

use tickwire::wire::Reason;
use tickwire::wire::control::Mode;

use crate::server::support::Transport;

/// What a peer stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Tcp,
    WebSocket,
    /// TCP under TLS.
    Tls,
    /// WebSocket under TLS.
    Wss,
    /// The socket below either, before any handshake.
    BareTls,
    BareWss,
}

pub const ALL: &[On] = &[On::Tcp, On::WebSocket, On::Tls, On::Wss];
pub const TCP: &[On] = &[On::Tcp, On::Tls];
pub const WEB: &[On] = &[On::WebSocket, On::Wss];
pub const BARE: &[On] = &[On::BareTls, On::BareWss];
pub const SECURE: &[On] = &[On::Tls, On::Wss];

/// How far the peer behaves before it does what the row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was said yet.
    Socket,
    /// Up to where HELLO comes.
    Open,
    /// Welcome, with these capabilities.
    Hello(u64),
    /// In room "target", on handle 1 by request 2.
    Joined(u64, Mode),
}

pub const HELLO: Stage = Stage::Hello(0);
pub const JOINED: Stage = Stage::Joined(0, Mode::BOTH);

/// What is done.
#[derive(Clone, Debug)]
pub enum Step {
    /// Frames of ours, as one chunk or one message.
    Frames(Vec<u8>),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// One after the other, each in a write of its own.
    Drip(Vec<u8>),
    /// Bytes below TLS.
    Beneath(Vec<u8>),
    /// The end of what is sent; the peer goes on listening.
    HalfClose,
    /// The socket is cut, with a reset.
    Reset,
    /// The socket is closed.
    Drop,
    /// From now on the server's pings are not answered.
    Deaf,
}

/// What comes of it.
#[derive(Clone, Debug)]
pub enum Answer {
    /// CLOSE with this reason, for this request; then the close frame with this code on WebSocket, and the end.
    Close { reason: Reason, request: u64, code: u16 },
    /// CLOSE amid a flood: a reset may follow.
    CloseAmid(Reason),
    /// These refusals (request, number, reason), and the session goes on as before.
    Refused(Vec<(u64, u64, Reason)>),
    /// An answer of HTTP with this status and these words, in small letters, and the end.
    Status(u16, &'static str),
    /// 101, and a session.
    Upgraded,
    /// 101, WELCOME, and the room of the path is refused.
    UpgradedAndRefused(Reason),
    /// A fatal alert of TLS in the clear, and the end.
    Alert(u8),
    /// The same, behind records of a handshake.
    AlertBehind(u8),
    /// The end, and no word of ours before it.
    End,
    /// A close frame of WebSocket with this code and no CLOSE, and the end.
    CloseFrame(u16),
    /// The peer is gone, and forgotten.
    Forgotten,
}

/// One hostile client.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub on: &'static [On],
    pub stage: Stage,
    pub steps: Vec<Step>,
    pub answer: Answer,
}

/// A row that expects to be served; say what differs.
pub fn row(name: impl Into<String>, on: &'static [On], stage: Stage) -> Row {
    Row { name: name.into(), on, stage, steps: Vec::new(), answer: Answer::Refused(Vec::new()) }
}

impl Row {
    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub fn frames(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Frames(bytes.into()))
    }

    pub fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Raw(bytes.into()))
    }

    pub fn drip(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Drip(bytes.into()))
    }

    pub fn beneath(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Beneath(bytes.into()))
    }

    pub fn half_close(self) -> Self {
        self.then(Step::HalfClose)
    }

    pub fn reset(self) -> Self {
        self.then(Step::Reset).answer(Answer::Forgotten)
    }

    pub fn dropped(self) -> Self {
        self.then(Step::Drop).answer(Answer::Forgotten)
    }

    pub fn deaf(self) -> Self {
        self.then(Step::Deaf)
    }

    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    pub fn close(self, reason: u64) -> Self {
        self.close_for(0, reason)
    }

    /// CLOSE that answers a request.
    pub fn close_for(self, request: u64, reason: u64) -> Self {
        let reason = Reason(reason);
        self.answer(Answer::Close { reason, request, code: reason.close_code() })
    }

    /// CLOSE with another code of WebSocket than its own.
    pub fn violation(self, reason: u64, code: u16) -> Self {
        self.answer(Answer::Close { reason: Reason(reason), request: 0, code })
    }

    pub fn close_amid(self, reason: u64) -> Self {
        self.answer(Answer::CloseAmid(Reason(reason)))
    }

    /// A command is refused.
    pub fn refused(self, request: u64, reason: u64) -> Self {
        self.answer(Answer::Refused(vec![(request, 0, Reason(reason))]))
    }

    /// The first data frame is refused.
    pub fn not_taken(self, reason: u64) -> Self {
        self.answer(Answer::Refused(vec![(0, 1, Reason(reason))]))
    }

    pub fn status(self, status: u16) -> Self {
        self.says(status, "")
    }

    /// Status, and words of the answer in small letters.
    pub fn says(self, status: u16, words: &'static str) -> Self {
        self.answer(Answer::Status(status, words))
    }

    pub fn upgraded(self) -> Self {
        self.answer(Answer::Upgraded)
    }

    pub fn alert(self, description: u8) -> Self {
        self.answer(Answer::Alert(description))
    }

    pub fn alert_behind(self, description: u8) -> Self {
        self.answer(Answer::AlertBehind(description))
    }

    pub fn end(self) -> Self {
        self.answer(Answer::End)
    }
}

impl On {
    pub const fn transport(self) -> Transport {
        match self {
            Self::Tcp | Self::Tls | Self::BareTls => Transport::Tcp,
            Self::WebSocket | Self::Wss | Self::BareWss => Transport::WebSocket,
        }
    }
}

/// A frame as it is: type, flags, payload.
pub fn frame(frame_type: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[frame_type, high, low, flags][..], payload].concat()
}

pub fn data(flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(1, flags, payload)
}

pub fn control(payload: &[u8]) -> Vec<u8> {
    frame(2, 0, payload)
}

pub fn ping(payload: &[u8]) -> Vec<u8> {
    frame(3, 0, payload)
}
