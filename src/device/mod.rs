//! A client for devices: no socket, no clock, no heap and no `std` (PROTOCOL 10.2, clients/SPEC.md).
//!
//! ```text
//! your socket ──feed──> Intake ──pieces──> Device ──next_event──> what came
//! your socket <─output── control, Queue <──publish, set, send, join── your program
//! your clock  ──poll───> Device: open a connection now, shut the one there is, or nothing
//! ```
//!
//! Bytes and milliseconds go in, bytes and events come out. All memory is the caller's: [`Buffers`] are borrowed, and
//! rooms are `ROOMS` of them inside the [`Device`]. A frame need not fit: records are read one by one, so that
//! `input` holds one message and not the 16 KiB of a frame. `clients/c/tickwire.h` is the same in C; `docs/devices.md`
//! has the sizes, and what both leave out.
//!
//! ```
//! use tickwire::device::{Action, Buffers, Device, Event, JoinOptions, Options};
//!
//! let (mut input, mut output, mut control) = ([0; 256], [0; 512], [0; 192]);
//! let buffers = Buffers { input: &mut input, output: &mut output, control: &mut control };
//! let mut device = Device::<1>::new(buffers, Options { seed: 4711, ..Options::default() })?;
//! device.connect();
//! device.join(0, "sensors/kitchen", JoinOptions::PUBLISH)?;
//! // In every round of the loop:
//! while let Some(event) = device.next_event() {
//!     if let Event::Refused { reason, .. } = event { /* .. */ }
//! }
//! assert_eq!(device.poll(1000), Action::Open);
//! # Ok::<(), tickwire::device::Refusal>(())
//! ```

#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod compose;
mod data;
mod ending;
mod event;
mod handle;
mod intake;
mod messages;
mod options;
mod queue;
mod room;
mod show;
#[cfg(test)]
mod tests;
mod time;

pub use event::{Breach, Error, Event, Message, Outcome};
pub use options::{Action, Buffers, JoinOptions, Options, Refusal, RoomState, State, control_min};

use self::data::Current;
use self::ending::Link;
use self::intake::Intake;
use self::queue::Queue;
use self::room::Room;
use self::time::Time;
use crate::wire::{Capabilities, Reason};

/// The smallest `input`: the longest command without texts and foreign extensions, with room to spare. 128.
pub const INPUT_MIN: usize = 128;

/// The longest resume token (PROTOCOL 12.2). 64.
const MAX_RESUME: usize = 64;

/// A client with places for `ROOMS` rooms.
#[derive(Debug)]
pub struct Device<'a, const ROOMS: usize> {
    options: Options<'a>,
    rooms: [Room<'a>; ROOMS],
    intake: Intake<'a>,
    queue: Queue<'a>,
    /// One command on its way: made when the one before has left.
    control: &'a mut [u8],
    control_len: usize,
    control_at: usize,
    state: State,
    told: State,
    reason: Option<Reason>,
    dropped: usize,
    error: Option<Error>,
    link: Link,
    session: Session,
    resume: [u8; MAX_RESUME],
    resume_len: usize,
    /// The highest direct that was taken, or is lost.
    directs: u64,
    /// The first that is lost, and was not told.
    directs_lost: Option<u64>,
    time: Time,
    /// The data frame whose records come.
    current: Option<Current>,
    /// The first unconfirmed message was told, and goes with the next call.
    pop: bool,
    random: u32,
    tries: u32,
    token: Token,
}

/// What belongs to one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    hello: bool,
    welcomed: bool,
    capabilities: Capabilities,
    /// The server's limit in bytes; 0 before it is known.
    max_message: usize,
    /// Of the ping that has to be answered.
    pong: Option<u64>,
    /// Bytes of frames that the application has taken.
    consumed: u64,
}

/// How far the renewal of a token is.
#[derive(Clone, Copy, Debug, Default)]
struct Token {
    /// The server has to be told.
    renew: bool,
    /// The application was asked since the last WELCOME.
    asked: bool,
    /// Nothing is tried until it has answered.
    wanted: bool,
    tell: bool,
}

impl<'a, const ROOMS: usize> Device<'a, ROOMS> {
    /// Begins: disconnected, in no room.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] where a buffer is too small: [`INPUT_MIN`], [`control_min`].
    pub fn new(buffers: Buffers<'a>, options: Options<'a>) -> Result<Self, Refusal> {
        if buffers.input.len() < INPUT_MIN || buffers.control.len() < control_min(options.token.len(), 0) {
            return Err(Refusal::TooLarge);
        }
        Ok(Self {
            // Zero is the one seed from which nothing follows.
            random: options.seed.max(1),
            options,
            rooms: [Room::EMPTY; ROOMS],
            intake: Intake::new(buffers.input),
            queue: Queue::new(buffers.output),
            control: buffers.control,
            control_len: 0,
            control_at: 0,
            state: State::Disconnected,
            told: State::Disconnected,
            reason: None,
            dropped: 0,
            error: None,
            link: Link::None,
            session: Session::default(),
            resume: [0; MAX_RESUME],
            resume_len: 0,
            directs: 0,
            directs_lost: None,
            time: Time::default(),
            current: None,
            pop: false,
            tries: 0,
            token: Token::default(),
        })
    }

    /// The state now; [`Event::State`] tells every change.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The state of a room; `Left` where there is no such place.
    #[must_use]
    pub fn room_state(&self, room: usize) -> RoomState {
        self.rooms.get(room).map_or(RoomState::Left, |room| room.state)
    }

    /// Goes on after the beginning, or after [`disconnect`](Self::disconnect): tries at once.
    pub const fn connect(&mut self) {
        if matches!(self.state, State::Disconnected) {
            self.state = State::Connecting;
            self.reason = None;
            self.tries = 0;
            self.time.at = self.time.now;
            self.token.asked = false;
            self.token.wanted = false;
        }
    }

    /// Says goodbye and forgets the session. Rooms stay wanted.
    pub fn disconnect(&mut self) {
        if !matches!(self.state, State::Closed | State::Disconnected) {
            self.state = State::Disconnected;
            self.reason = Some(Reason::FINISHED);
            self.resume_len = 0;
            self.hang_up(Some(Reason::FINISHED));
        }
    }

    /// The same for good: leaves all rooms, and gives up what waits. What has left and was not accepted is told:
    /// [`Event::Unconfirmed`].
    pub fn close(&mut self) {
        if self.state != State::Closed {
            self.disconnect();
            self.give_up(Reason::FINISHED);
        }
    }

    /// Wants a room, from now on, in a place below `ROOMS`.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`] where the place is in use, or there is none; [`Refusal::TooLarge`] where `control` cannot hold
    /// its presence data, or a name is above 64 bytes.
    pub fn join(&mut self, room: usize, name: &'a str, options: JoinOptions<'a>) -> Result<(), Refusal> {
        if control_min(0, options.presence.len()) > self.control.len() || name.len() > 64 {
            return Err(Refusal::TooLarge);
        }
        let place = self.rooms.get_mut(room).filter(|place| !place.wanted).ok_or(Refusal::NoRoom)?;
        if self.state == State::Closed {
            return Err(Refusal::NoRoom);
        }
        place.want(name, options);
        Ok(())
    }

    /// Wants it no more. What waits for it is given up, and how much that was is told with [`Event::Room`].
    pub fn leave(&mut self, room: usize) {
        if let Some(place) = self.rooms.get_mut(room).filter(|place| place.wanted) {
            place.unwant();
            place.dropped = self.queue.purge(Some(room));
        }
    }

    /// Asks for nothing more of a room, or for all again (PROTOCOL 6.11); [`Event::Paused`] answers.
    pub fn pause(&mut self, room: usize, paused: bool) {
        if let Some(place) = self.rooms.get_mut(room) {
            place.what = if paused { 2 } else { 0 };
        }
    }

    /// Another token: told to the server at once, and in the next hello.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] where `control` cannot hold it.
    pub const fn set_token(&mut self, token: &'a [u8]) -> Result<(), Refusal> {
        if control_min(token.len(), 0) > self.control.len() {
            return Err(Refusal::TooLarge);
        }
        self.options.token = token;
        self.token.renew = self.session.welcomed;
        self.token.wanted = false;
        Ok(())
    }

    /// The server's time in microseconds, by the best of the last pings. It does not go back within a connection; 0 before the
    /// first.
    pub fn server_time(&mut self) -> u64 {
        self.time.server(self.session.welcomed)
    }

    /// Whether the server has this, and the connection is there.
    const fn can(&self, capability: Capabilities) -> bool {
        self.session.welcomed && self.session.capabilities.has(capability)
    }
}
