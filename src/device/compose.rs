//! Commands of a device, made one at a time when the one before has left, so that `control` need not hold more.
//!
//! ```text
//! CLOSE, or: HELLO, answer to a ping, then for each room LEAVE | JOIN | RECEIVE, TOKEN, ping
//! ```

use super::ending::Link;
use super::room::{Phase, Room};
use super::{Device, MAX_RESUME};
use crate::wire::control::{Close, Command, Hello, Join, Leave, Receive, Token};
use crate::wire::extension::kind;
use crate::wire::{
    Capabilities, Control, Epoch, Extensions, Handle, Header, MAGIC, Ping, PingBody, Position, Put, RequestId,
    SliceWriter, VERSION, put_varint, varint_len,
};

/// Requests are numbered by what they are: one of a kind is under way at a time.
pub(super) const HELLO: RequestId = RequestId(1);
pub(super) const TOKEN: RequestId = RequestId(2);
const CLOSE: RequestId = RequestId(3);
const ROOMS_FROM: u64 = 4;

/// What a request of a room asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Join,
    Leave,
    Receive,
}

/// The request number of a room's command.
fn request_of(room: usize, asked: Asked) -> RequestId {
    RequestId(ROOMS_FROM + 3 * room as u64 + asked as u64)
}

/// The room and the command behind a request number.
pub(super) fn asked_by(request: RequestId) -> Option<(usize, Asked)> {
    // Of 64 bits a small processor divides by a routine of a kilobyte.
    let number = u32::try_from(request.0.checked_sub(ROOMS_FROM)?).ok()?;
    let asked = [Asked::Join, Asked::Leave, Asked::Receive].into_iter().nth(usize::try_from(number % 3).ok()?)?;
    Some((usize::try_from(number / 3).ok()?, asked))
}

/// The name of this software, for the server's log.
const AGENT: &[u8] = b"tickwire device";

/// What this client can do, if the server can.
const CAPABILITIES: Capabilities = Capabilities::RESUME
    .with(Capabilities::HISTORY)
    .with(Capabilities::RECEIVE)
    .with(Capabilities::TOKEN)
    .with(Capabilities::ACCEPTED);

impl<const ROOMS: usize> Device<'_, ROOMS> {
    pub(super) const fn may_write(&self) -> bool {
        matches!(self.link, Link::Open | Link::Closing(_))
    }

    /// The next command, in `control`: its bytes.
    pub(super) fn compose(&mut self) -> usize {
        if let Link::Closing(said) = &mut self.link {
            let Some(reason) = said.take() else { return 0 };
            let close = Command::Close(Close { reason, extensions: Extensions::NONE });
            return put(self.control, &[], CLOSE, close, |_| {});
        }
        if !self.session.hello {
            return self.compose_hello();
        }
        if let Some(time) = self.session.pong.take() {
            return self.compose_ping(time, true);
        }
        for index in 0..ROOMS {
            let len = self.compose_room(index);
            if len > 0 {
                return len;
            }
        }
        if self.token.renew && self.can(Capabilities::TOKEN) {
            self.token.renew = false;
            let token = Token { token: self.options.token, extensions: Extensions::NONE };
            return put(self.control, &[], TOKEN, Command::Token(token), |_| {});
        }
        if self.session.welcomed && self.time.is_ping_due() {
            return self.compose_ping(self.time.micros(), false);
        }
        0
    }

    fn compose_hello(&mut self) -> usize {
        self.session.hello = true;
        let [first, second, third] = MAGIC;
        // Any record, any frame: what is too large for `input` is skipped and told.
        let hello = Hello { capabilities: CAPABILITIES, max_record: 0, max_frame: 0, extensions: Extensions::NONE };
        let (token, directs) = (self.options.token, self.directs);
        let resume = self.resume.get(..self.resume_len.min(MAX_RESUME)).unwrap_or_default();
        put(self.control, &[first, second, third, VERSION], HELLO, Command::Hello(hello), |out| {
            if !token.is_empty() {
                put_head(kind::TOKEN, token.len(), out);
                out.put(token);
            }
            put_head(kind::AGENT, AGENT.len(), out);
            out.put(AGENT);
            if !resume.is_empty() {
                put_head(kind::RESUME, 1 + resume.len() + varint_len(directs), out);
                put_varint(resume.len() as u64, out);
                out.put(resume);
                put_varint(directs, out);
            }
        })
    }

    fn compose_ping(&mut self, time: u64, answer: bool) -> usize {
        let body = PingBody::Client { answer, consumed: self.session.consumed, directs: self.directs };
        let mut out = SliceWriter::new(self.control);
        Ping { time, body, extensions: Extensions::NONE }.encode(&mut out);
        out.written().map_or(0, <[u8]>::len)
    }

    fn compose_room(&mut self, index: usize) -> usize {
        let (can_receive, now) = (self.can(Capabilities::RECEIVE), self.time.now);
        // Whether an earlier session goes on is not known before WELCOME. If so, what it sends again goes first (PROTOCOL 12.2).
        let may_leave = self.session.welcomed && !self.queue.repeats();
        let Some(room) = self.rooms.get_mut(index) else { return 0 };
        let handle = Handle(index as u64 + 1);
        let Some(asked) = room.next_command(may_leave, now, can_receive) else { return 0 };
        let request = request_of(index, asked);
        match asked {
            Asked::Leave => {
                let leave = Leave { handle, extensions: Extensions::NONE };
                put(self.control, &[], request, Command::Leave(leave), |_| {})
            }
            Asked::Receive => {
                let receive = Receive { handle, what: room.what, divisor: 1, area: 0, extensions: Extensions::NONE };
                put(self.control, &[], request, Command::Receive(receive), |_| {})
            }
            Asked::Join => {
                let (name, mode) = (room.name.as_bytes(), room.options.mode);
                let join = Join { handle, mode, name, extensions: Extensions::NONE };
                let (since, presence) = (room.since, room.options.presence);
                put(self.control, &[], request, Command::Join(join), |out| put_join(since, presence, out))
            }
        }
    }
}

impl Room<'_> {
    /// What has to go out now; it counts as gone.
    fn next_command(&mut self, may_leave: bool, now: u64, can_receive: bool) -> Option<Asked> {
        if self.leave {
            match self.phase {
                Phase::None | Phase::Leaving => self.leave = false,
                _ if !may_leave => {}
                _ => {
                    self.leave = false;
                    self.phase = Phase::Leaving;
                    return Some(Asked::Leave);
                }
            }
            return None;
        }
        match self.phase {
            Phase::None | Phase::Held if self.wanted && now >= self.retry_at => {
                self.phase = Phase::Asked;
                self.asked = 0;
                Some(Asked::Join)
            }
            Phase::In if can_receive && self.what != self.asked => {
                self.asked = self.what;
                Some(Asked::Receive)
            }
            _ => None,
        }
    }

    /// Whether it waits to be joined again.
    pub(super) fn is_waiting(&self) -> bool {
        self.wanted && self.phase == Phase::None
    }
}

/// The extensions of a JOIN, by ascending types.
fn put_join(since: Option<(Epoch, Position)>, presence: &[u8], out: &mut SliceWriter<'_>) {
    if let Some((epoch, position)) = since {
        put_head(kind::SINCE, epoch.0.len() + varint_len(position.0), out);
        out.put(&epoch.0);
        put_varint(position.0, out);
    }
    if !presence.is_empty() {
        put_head(kind::PRESENCE, presence.len(), out);
        out.put(presence);
    }
}

/// Type and length of an extension, whose content follows: in one piece it would need a buffer of its own.
fn put_head(kind: u64, len: usize, out: &mut impl Put) {
    put_varint(kind, out);
    put_varint(len as u64, out);
}

/// Writes a command and extensions that are not in one piece, behind `before`. Its bytes; 0 where it does not fit, which
/// `control_min` rules out.
fn put(
    control: &mut [u8],
    before: &[u8],
    request: RequestId,
    command: Command<'_>,
    extensions: impl FnOnce(&mut SliceWriter<'_>),
) -> usize {
    let mut out = SliceWriter::new(control);
    out.put(before);
    Control::new(request, command).encode(&mut out);
    extensions(&mut out);
    let len = out.written().map_or(0, <[u8]>::len);
    // The header's length was of the command alone.
    let payload = u16::try_from(len.saturating_sub(before.len() + Header::LEN)).unwrap_or_default();
    if let Some([_, high, low, ..]) = control.get_mut(before.len()..) {
        [*high, *low] = payload.to_be_bytes();
    }
    len
}
