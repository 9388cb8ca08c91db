//! Going on where another connection has stopped (PROTOCOL 12.2).
//!
//! ```text
//! HELLO with token ──> WELCOME, bit 0 set:   JOIN each room with since, send what was not accepted, LEAVE
//!                                 bit clear: JOIN each room with since, hand back what was not accepted
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::directs::Directs;
use super::greeting::Greeting;
use super::progress::Progress;
use super::room::Room;
use super::session::Session;
use super::unaccepted::{Bounds, Unaccepted};
use super::{Client, ClientConfig, Error, JoinOptions, Surprise, Timing, Token, Wait};
use crate::name::RoomName;
use crate::wire::control::{Command, Join, Leave, Mode};
use crate::wire::header::flags;
use crate::wire::{
    Capabilities, ClientData, Control, Epoch, Extensions, Handle, Header, Position, RequestId, RoomId, Target,
};

/// What is left of a session whose connection broke: all that another connection needs to go on.
///
/// It holds the messages that are not known to be accepted, within the bounds of the
/// [`ClientConfig`], and a token that is as good as the session: keep it to yourself.
#[derive(Clone, Debug)]
pub struct ResumePoint {
    pub(super) token: Token,
    /// The highest direct that was taken.
    pub(super) directs: u64,
    /// Messages numbered so far.
    pub(super) sent: u64,
    pub(super) unaccepted: Unaccepted,
    /// Refusals that were heard.
    pub(super) refused: BTreeSet<u64>,
    pub(super) rooms: Vec<PointRoom>,
}

/// A room of a session that may be resumed.
#[derive(Clone, Debug)]
pub(super) struct PointRoom {
    pub(super) handle: Handle,
    /// None where the address named it.
    pub(super) name: Option<RoomName>,
    pub(super) options: JoinOptions,
    pub(super) leaving: bool,
    pub(super) room: Option<RoomId>,
    pub(super) taken: Option<(Epoch, Position)>,
    pub(super) tick: u64,
}

impl ResumePoint {
    /// Each room by the client's own number, with its name and the last position that was taken whole.
    pub fn rooms(&self) -> impl Iterator<Item = (Handle, &str, Option<(Epoch, Position)>)> {
        self.rooms.iter().filter_map(|room| Some((room.handle, room.name.as_ref()?.as_str(), room.taken)))
    }

    /// Every message that is not known to be accepted, with its frame.
    pub(super) fn kept(&self) -> impl Iterator<Item = (u64, Bytes)> {
        self.unaccepted.iter().map(|(number, frame)| (number, frame.clone()))
    }

    /// How many messages are not known to be accepted.
    #[must_use]
    pub fn unaccepted(&self) -> usize {
        self.unaccepted.iter().count()
    }
}

/// What became of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// Whether it is the same session: rooms, handles, member numbers and message numbers go on.
    pub session: bool,
    /// First and last direct that will not come.
    pub lost_directs: Option<(u64, u64)>,
    /// How many messages were sent again, because they had not arrived. They keep their numbers.
    pub resent: usize,
    /// In a new session: messages that may have arrived or not. They were not sent again, for
    /// nobody knows; that is the application's to decide.
    pub unconfirmed: Vec<Unconfirmed>,
}

/// A message that may have arrived or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unconfirmed {
    /// The number it had.
    pub number: u64,
    /// The room, which keeps its handle.
    pub handle: Handle,
    /// What kind of message.
    pub target: Target,
    /// When it was to leave.
    pub timing: Timing,
    /// The message.
    pub payload: Bytes,
}

impl Client {
    /// Connects, and goes on with the session of a connection that broke, if the server still has it;
    /// else with a new one. Either way every room is joined again on its handle, from the last position
    /// that was taken: [`Event::Joined`](super::Event::Joined) tells whether it was recovered,
    /// [`Event::Refused`](super::Event::Refused) that it could not be joined. Handles given before
    /// stay good. A batch of which only a part was taken comes again whole. What [`Sender::receive`](super::Sender::receive) had asked for is not asked again.
    ///
    /// The capabilities `resume` and `accepted` are offered whatever the configuration says.
    ///
    /// After an error that advises to retry, the same point can be tried again; after a success it must
    /// not be. Dropping the future drops the connection.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn resume(config: &ClientConfig, point: &ResumePoint) -> Result<(Self, Resumed), Error> {
        let connecting = Self::connect_unbounded(config, Some(point));
        let connected = timeout(config.connect_timeout, connecting).await;
        connected.map_err(|_| Error::TimedOut(Wait::Connect))?
    }

    /// What another connection needs to go on with this session, also after this one has failed.
    /// None where the server does not resume sessions, or where messages were sent whose arrival it
    /// does not tell; nor after the session has ended as asked.
    ///
    /// Take it when [`next`](Self::next) has failed: what is taken or sent later is not in it.
    #[must_use]
    pub fn resume_point(&self) -> Option<ResumePoint> {
        self.receiver.resume_point()
    }
}

/// What a connection begins with, behind WELCOME.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) session: Session,
    /// Frames to send before everything else.
    pub(super) frames: Vec<Bytes>,
    /// The last request and the last handle that are in use.
    pub(super) requests: u64,
    pub(super) handles: u64,
    pub(super) resumed: Resumed,
}

impl Beginning {
    /// What follows from WELCOME and, where there was one, from the connection before.
    pub(super) fn new(
        greeting: &Greeting,
        config: &ClientConfig,
        point: Option<&ResumePoint>,
    ) -> Result<Self, Surprise> {
        let keeps = greeting.terms.capabilities.has(Capabilities::ACCEPTED);
        let keep = keeps.then(|| Bounds::new(config.unaccepted_bytes, config.unaccepted_messages));
        match (point, greeting.resumed) {
            (Some(point), true) => Self::resumed(greeting, keep, point, config.url.room()),
            (None, true) => Err(Surprise::ResumedUnasked),
            (point, false) => Ok(Self::fresh(greeting, keep, point)),
        }
    }

    /// The session is the same.
    fn resumed(
        greeting: &Greeting,
        keep: Option<Bounds>,
        point: &ResumePoint,
        addressed: Option<RoomName>,
    ) -> Result<Self, Surprise> {
        let mut unaccepted = point.unaccepted.clone();
        // PROTOCOL 12.3: only what was sent is accepted, and it stays accepted. Where that is not told,
        // nobody knows how messages are numbered on.
        let found = greeting.accepted;
        let unknown = point.sent > 0 && keep.is_none();
        if found > point.sent || found < unaccepted.accepted() || unknown {
            return Err(Surprise::Accepted { sent: point.sent, found });
        }
        unaccepted.handle_accepted(found);
        unaccepted.set_bounds(keep);
        let resend = unaccepted.resend();
        let (token, refused) = (greeting.token.clone(), point.refused.clone());
        let progress = Progress::continued(token, point.sent, unaccepted, refused);
        let known = point.rooms.iter().filter_map(|room| Some((room.room?, Room::resumed(room.handle, room.tick))));
        let directs = Directs::resumed(point.directs, greeting.lost_directs);
        let session = Session::new(greeting, Arc::new(progress), directs, known);
        let resumed = Resumed {
            session: true,
            lost_directs: greeting.lost_directs,
            resent: resend.len(),
            unconfirmed: Vec::new(),
        };
        let mut beginning = Self::rejoined(session, resumed, Some(point), addressed.as_ref());
        // PROTOCOL 12.2: behind the joins, as they are for these rooms.
        beginning.frames.extend(resend);
        // Behind what was published before them.
        for room in point.rooms.iter().filter(|room| room.leaving) {
            beginning.leave(room);
        }
        Ok(beginning)
    }

    /// The session is a new one.
    fn fresh(greeting: &Greeting, keep: Option<Bounds>, point: Option<&ResumePoint>) -> Self {
        let progress = Arc::new(Progress::new(greeting.token.clone(), keep));
        let session = Session::new(greeting, progress, Directs::default(), std::iter::empty());
        let unaccepted = point.iter().flat_map(|point| point.unaccepted.iter());
        let unconfirmed = unaccepted.filter_map(|(number, frame)| Unconfirmed::new(number, frame)).collect();
        Self::rejoined(session, Resumed { unconfirmed, ..Resumed::default() }, point, None)
    }

    /// Joins every room again, on its handle. `addressed` is the room that the address names, where
    /// the server does not join it by itself: in a session that goes on (PROTOCOL 12.2).
    fn rejoined(session: Session, resumed: Resumed, point: Option<&ResumePoint>, addressed: Option<&RoomName>) -> Self {
        // Request 1 was hello.
        let mut beginning = Self { session, frames: Vec::new(), requests: 1, handles: 0, resumed };
        for room in point.iter().flat_map(|point| &point.rooms) {
            beginning.handles = beginning.handles.max(room.handle.0);
            if !room.leaving {
                beginning.rejoin(room, addressed);
            }
        }
        beginning
    }

    fn rejoin(&mut self, room: &PointRoom, addressed: Option<&RoomName>) {
        let Some(name) = room.name.as_ref().or(addressed) else { return };
        let mut room = room.clone();
        if let Some((epoch, position)) = room.taken.filter(|_| room.options.mode.has(Mode::RECEIVE)) {
            room.options = room.options.since(epoch, position);
        }
        let encoded = room.options.extensions();
        let extensions = Extensions::from_encoded(&encoded).unwrap_or_default();
        let (handle, mode) = (room.handle, room.options.mode);
        self.ask(Command::Join(Join { handle, mode, name: name.as_str().as_bytes(), extensions }), room);
    }

    /// A session that goes on is still in a room that was being left.
    fn leave(&mut self, room: &PointRoom) {
        let leave = Leave { handle: room.handle, extensions: Extensions::NONE };
        self.ask(Command::Leave(leave), room.clone());
    }

    fn ask(&mut self, command: Command<'_>, room: PointRoom) {
        self.requests += 1;
        let request = RequestId(self.requests);
        let mut out = BytesMut::new();
        Control::new(request, command).encode(&mut out);
        self.frames.push(out.freeze());
        self.session.progress.handle_rejoin(room, request);
    }
}

impl Unconfirmed {
    /// From a frame that was sent.
    pub(super) fn new(number: u64, frame: &Bytes) -> Option<Self> {
        let (header, payload) = frame.split_first_chunk::<{ Header::LEN }>()?;
        let [.., options] = *header;
        let data = ClientData::decode(options, payload).ok()?;
        let timing = if options & flags::URGENT == 0 { Timing::Tick } else { Timing::Urgent };
        let payload = frame.slice_ref(data.payload);
        Some(Self { number, handle: data.handle, target: data.target, timing, payload })
    }
}
