//! What a device is made of, and what it answers at once.

use crate::wire::control::Mode;

/// Memory for one connection. All of it stays of the size it has.
#[derive(Debug)]
pub struct Buffers<'a> {
    /// What has come: at least [`INPUT_MIN`](super::INPUT_MIN), and as much as the largest message with 24 bytes beside it. A
    /// larger message is skipped, and told.
    pub input: &'a mut [u8],
    /// Messages until they are accepted: each takes its length and up to 20 bytes.
    pub output: &'a mut [u8],
    /// One command on its way: [`control_min`].
    pub control: &'a mut [u8],
}

/// The `control` that a token and presence data of these lengths need, in bytes. 192 hold all else that a command holds: a
/// resume token (64), a name (64), and 64 for numbers.
#[must_use]
pub const fn control_min(token: usize, presence: usize) -> usize {
    192 + token + presence
}

/// Who the device is, and how it comes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// A token (PROTOCOL 15.1); empty: none.
    pub token: &'a [u8],
    /// Whether the program can get another token when [`Event::TokenWanted`](super::Event::TokenWanted) asks for one.
    pub renews: bool,
    /// Of the backoff: different on every device, such as its serial number.
    pub seed: u32,
}

/// What a member does in a room.
#[derive(Clone, Copy, Debug)]
pub struct JoinOptions<'a> {
    /// Publish, receive, list members.
    pub mode: Mode,
    /// Whether the device's own messages are told too.
    pub echo: bool,
    /// Shown to other members, at most 256 bytes.
    pub presence: &'a [u8],
}

impl JoinOptions<'_> {
    /// Publishes, and receives nothing but directs: what a sensor wants.
    pub const PUBLISH: Self = Self { mode: Mode::PUBLISH, echo: false, presence: &[] };
    /// Publishes and receives.
    pub const BOTH: Self = Self { mode: Mode::BOTH, echo: false, presence: &[] };
}

/// States of a client (clients/SPEC.md, 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing is tried.
    #[default]
    Disconnected,
    /// An attempt is under way, or waited for.
    Connecting,
    /// WELCOME came.
    Connected,
    /// For good.
    Closed,
}

/// States of a room (clients/SPEC.md, 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomState {
    /// Not wanted, or refused for good.
    #[default]
    Left,
    /// Wanted; the answer has not come, or there is no connection.
    Joining,
    /// JOINED came on this connection.
    Joined,
}

/// What the caller's loop has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    Nothing,
    /// Open a connection, then say [`opened`](super::Device::opened), or [`lost`](super::Device::lost) where there is none.
    Open,
    /// Close the connection, then say [`lost`](super::Device::lost).
    Shut,
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No place in `output` until older messages are accepted.
    Full,
    /// Larger than a buffer, or than the server takes.
    TooLarge,
    /// It could not leave at once, and was to be dropped then.
    Dropped,
    /// The room is not wanted, or there is no such place, or the client is closed.
    NoRoom,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full => "there is no place until older messages are accepted",
            Self::TooLarge => "larger than a buffer, or than the server takes",
            Self::Dropped => "it could not leave at once",
            Self::NoRoom => "the room is not wanted, or there is no such place",
        })
    }
}

impl core::error::Error for Refusal {}
