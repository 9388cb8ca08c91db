//! What a member may be told, and may say (PROTOCOL 15): the one place that decides, for live batches, history,
//! snapshots and resumed sessions alike.
//!
//! ```text
//! frame on its way ──> Rights::show ──> whole | without its records | not at all
//! ```

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::identity::Identity;
use crate::name::RoomName;
use crate::wire::control::Mode;
use crate::wire::header::flags;
use crate::wire::{FrameType, Header, Kind, Reason, ServerData, Target};

/// What a member may publish: a set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publishing(u8);

impl Publishing {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Events.
    pub const EVENTS: Self = Self(1);
    /// Values.
    pub const VALUES: Self = Self(1 << 1);
    /// Directs, and requests to the room.
    pub const DIRECTS: Self = Self(1 << 2);
    /// Of the others, what is marked as urgent.
    pub const URGENT: Self = Self(1 << 3);
    /// Everything.
    pub const ALL: Self = Self(0b1111);

    /// Those that either has.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that both have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is something that may be published.
    #[must_use]
    pub const fn is_something(self) -> bool {
        self.0 & !Self::URGENT.0 != 0
    }

    /// Whether a message may be published.
    #[inline]
    #[must_use]
    pub const fn allows(self, target: Target, urgent: bool) -> bool {
        let kind = match target {
            Target::Event => Self::EVENTS,
            Target::Value(_) => Self::VALUES,
            Target::Direct(_) => Self::DIRECTS,
        };
        let wanted = if urgent { kind.with(Self::URGENT) } else { kind };
        self.0 & wanted.0 == wanted.0
    }
}

/// Which kinds of segments a member may receive, whether it may have the past, and what it may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Who is there, and who comes and goes.
    pub presence: bool,
    /// Events.
    pub events: bool,
    /// Values.
    pub values: bool,
    /// Batches from before the join.
    pub history: bool,
    /// What it may publish.
    pub publish: Publishing,
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self { presence: true, events: true, values: true, history: true, publish: Publishing::ALL };

    /// As far as frames are concerned that are sent.
    #[must_use]
    pub const fn sight(self) -> Sight {
        Sight { presence: self.presence, events: self.events, values: self.values }
    }

    /// What both allow.
    #[must_use]
    pub const fn within(self, other: Self) -> Self {
        Self {
            presence: self.presence && other.presence,
            events: self.events && other.events,
            values: self.values && other.values,
            history: self.history && other.history,
            publish: self.publish.common(other.publish),
        }
    }

    /// What of a mode these rights leave (PROTOCOL 6.4).
    ///
    /// # Errors
    /// [`Reason::NOT_ALLOWED`], where neither publishing nor receiving is left.
    pub fn grant(self, asked: Mode) -> Result<Mode, Reason> {
        let receives = self.presence || self.events || self.values;
        let bits =
            [(Mode::PUBLISH, self.publish.is_something()), (Mode::RECEIVE, receives), (Mode::MEMBERS, self.presence)];
        let mode = bits.into_iter().filter(|(_, may)| !may).fold(asked, |mode, (bit, _)| Mode(mode.0 & !bit.0));
        // Whether what was asked for makes sense is its session's business.
        let is_left = |mode: Mode| mode.0 & Mode::BOTH.0 != 0;
        if is_left(mode) || !is_left(asked) { Ok(mode) } else { Err(Reason::NOT_ALLOWED) }
    }

    /// How a frame from the server is shown to whoever has these rights: see [`Sight::show`].
    #[must_use]
    pub fn show(self, frame: &Bytes) -> Shown {
        self.sight().show(frame)
    }
}

/// Rights in a byte, as every member has them: four kinds of what it is told, four of what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed(u8);

impl Packed {
    /// The rights of somebody who joined in this mode.
    pub(crate) fn new(mode: Mode, rights: Rights) -> Self {
        let publish = if mode.has(Mode::PUBLISH) { rights.publish } else { Publishing::NONE };
        let Rights { presence, events, values, history, .. } = rights;
        let told =
            [presence, events, values, history].into_iter().rev().fold(0, |bits, told| bits << 1 | u8::from(told));
        Self(publish.0 << 4 | told)
    }

    /// As they are granted, within the mode.
    pub(crate) const fn rights(self) -> Rights {
        let bits = self.0;
        Rights {
            presence: bits & 1 != 0,
            events: bits & 2 != 0,
            values: bits & 4 != 0,
            history: bits & 8 != 0,
            publish: self.publish(),
        }
    }

    /// What may be published.
    #[inline]
    pub(crate) const fn publish(self) -> Publishing {
        Publishing(self.0 >> 4)
    }
}

impl Default for Rights {
    fn default() -> Self {
        Self::ALL
    }
}

/// Which kinds of segments a member is shown. Those who see the same share frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Who is there, and who comes and goes.
    pub presence: bool,
    /// Events.
    pub events: bool,
    /// Values.
    pub values: bool,
}

impl Sight {
    /// Everything.
    pub const ALL: Self = Rights::ALL.sight();

    /// How a frame from the server is shown to whoever sees these kinds. A kind that is hidden keeps
    /// its numbered frames without records, so that positions stay whole (PROTOCOL 8.3).
    #[must_use]
    pub fn show(self, frame: &Bytes) -> Shown {
        let Some(data) = read(frame) else { return Shown::Whole };
        let seen = match data.kind {
            Kind::Presence | Kind::Members => self.presence,
            Kind::Event => self.events,
            Kind::Value | Kind::Snapshot => self.values,
            Kind::Direct => true,
        };
        match data.kind {
            _ if seen => Shown::Whole,
            // These take no number, so nobody misses them.
            Kind::Value | Kind::Members => Shown::Nothing,
            _ => {
                let blank = ServerData { records: &[], options: data.options & !flags::COMPRESSED, ..data };
                let mut bytes = Vec::with_capacity(blank.encoded_len());
                blank.encode(&mut bytes);
                Shown::Blank(bytes.into())
            }
        }
    }
}

/// What of a frame may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The frame as it is.
    Whole,
    /// This one instead, which only counts its position.
    Blank(Bytes),
    /// Nothing.
    Nothing,
}

/// A data frame as the server made it; `None` for control frames.
fn read(frame: &Bytes) -> Option<ServerData<'_>> {
    let (header, payload) = frame.split_first_chunk::<{ Header::LEN }>()?;
    let [frame_type, _, _, flags] = *header;
    if frame_type != FrameType::Data as u8 {
        return None;
    }
    ServerData::decode(flags, payload).ok().flatten()
}

/// Who wants to be in a room, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Who the client is; empty where it is anonymous.
    pub subject: &'a [u8],
    /// Who it has proved to be, and what that allows; `None` in a server that asks nobody for that.
    pub identity: Option<&'a Identity>,
    /// The room.
    pub room: &'a RoomName,
    /// What the client asked for.
    pub mode: Mode,
    /// The name of the key that an operator has said over HTTP; `None` for clients. With it, [`mode`](Self::mode) is
    /// to publish or to receive, and the rights count for this one request. Whoever kicks a member or closes the room is
    /// asked about as one who looks, with [`Mode::RECEIVE`]: these cannot be told apart here. What a key may do beyond
    /// looking is what its scopes say.
    pub key: Option<&'a str>,
}

impl Asking<'_> {
    /// What the client's token grants in this room; everything, in a server that asks for none.
    ///
    /// # Errors
    /// [`Reason::NOT_ALLOWED`] where it grants no join.
    pub fn granted(&self) -> Result<Rights, Reason> {
        self.identity.map_or(Ok(Rights::ALL), |identity| identity.grants.verbs(self.room).rights())
    }
}

/// Decides who may be in a room, and what it is told and may say there: asked at every join, also at
/// those that resume a session, for every membership of a session whose token is renewed, and for what operators
/// with a key ask of a room over HTTP ([`Asking::key`]).
#[derive(Clone)]
pub struct Authorise(Arc<Decide>);

type Decide = dyn Fn(&Asking<'_>) -> Result<Rights, Reason> + Send + Sync;

impl Authorise {
    /// Decides by this function; what it refuses is refused with its reason.
    pub fn new(decide: impl Fn(&Asking<'_>) -> Result<Rights, Reason> + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// Rooms of the server's own are for operators who look on, whatever the application says; and these never
    /// may more than their keys.
    pub(crate) fn ask(&self, asking: &Asking<'_>) -> Result<Rights, Reason> {
        let looks_on = asking.identity.is_some_and(|identity| identity.grants.is_operators());
        let own = looks_on.then(|| asking.granted()).transpose()?;
        if asking.room.is_reserved() {
            return own.ok_or(Reason::NOT_ALLOWED);
        }
        let rights = (self.0)(asking)?;
        Ok(own.map_or(rights, |own| rights.within(own)))
    }
}

impl Default for Authorise {
    /// Everybody may what [`Asking::granted`] says.
    fn default() -> Self {
        Self::new(|asking: &Asking<'_>| asking.granted())
    }
}

impl fmt::Debug for Authorise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorise(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Head, Key, MemberNumber, Position, RoomId};

    fn frame(kind: Kind, options: u8) -> Bytes {
        let head = Head { room: RoomId(300), position: Position(70_000), tick: 9 };
        let key: &[u8] = if kind.has_key() { &[1, 7, 2, b'x'] } else { &[1, 7, b'x'] };
        let mut bytes = Vec::new();
        ServerData { kind, options, head, records: key }.encode(&mut bytes);
        bytes.into()
    }

    #[test]
    fn a_mode_is_what_is_left_of_it() {
        let none = Rights { presence: false, events: false, values: false, history: true, publish: Publishing::URGENT };
        let all = Mode(7);
        assert_eq!((Rights::ALL.grant(all), none.grant(all)), (Ok(all), Err(Reason::NOT_ALLOWED)));
        let says = Rights { publish: Publishing::DIRECTS, ..none };
        assert_eq!((says.grant(all), says.grant(Mode::RECEIVE)), (Ok(Mode::PUBLISH), Err(Reason::NOT_ALLOWED)));
        let sees = Rights { values: true, ..none };
        assert_eq!((sees.grant(all), sees.grant(Mode::PUBLISH)), (Ok(Mode::RECEIVE), Err(Reason::NOT_ALLOWED)));
        let lists = Rights { presence: true, ..none };
        assert_eq!(lists.grant(all), Ok(Mode(6)));
    }

    #[test]
    fn rights_fit_a_byte() {
        for bits in 0..=u8::MAX {
            let rights = Packed(bits).rights();
            assert_eq!(Packed::new(Mode::BOTH, rights), Packed(bits));
            let silent = Packed::new(Mode::RECEIVE, rights);
            assert_eq!(silent.rights(), Rights { publish: Publishing::NONE, ..rights });
            for (place, target) in
                [Target::Event, Target::Value(Key::room(0)), Target::Direct(MemberNumber(1))].into_iter().enumerate()
            {
                let may = bits & 16 << place != 0;
                assert_eq!(Packed(bits).publish().allows(target, false), may);
                assert_eq!(Packed(bits).publish().allows(target, true), may && bits & 128 != 0);
            }
        }
    }

    #[test]
    fn what_is_hidden_keeps_its_position() {
        let blind = Rights { presence: false, events: false, values: false, history: false, publish: Publishing::NONE };
        for kind in [Kind::Event, Kind::Presence, Kind::Snapshot] {
            let whole = frame(kind, flags::MORE);
            assert_eq!(Rights::ALL.show(&whole), Shown::Whole);
            let Shown::Blank(blank) = blind.show(&whole) else { panic!("{kind:?}") };
            let data = ServerData::decode(blank[3], &blank[4..]).unwrap().unwrap();
            assert_eq!((data.kind, data.options, data.records.len()), (kind, flags::MORE, 0));
            assert_eq!((data.head.room, data.head.position, data.head.tick), (RoomId(300), Position(70_000), 9));
        }
        assert_eq!(blind.show(&frame(Kind::Value, 0)), Shown::Nothing);
        assert_eq!(blind.show(&frame(Kind::Members, 0)), Shown::Nothing);
        assert_eq!(blind.show(&frame(Kind::Direct, 0)), Shown::Whole);
    }
}
