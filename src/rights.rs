//! What a member may be told (PROTOCOL 15): the one place that decides, for live batches, history,
//! snapshots and resumed sessions alike.
//!
//! ```text
//! frame on its way ──> Rights::show ──> whole | without its records | not at all
//! ```

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::name::RoomName;
use crate::wire::control::Mode;
use crate::wire::header::flags;
use crate::wire::{FrameType, Header, Kind, Reason, ServerData};

/// Which kinds of segments a member may receive, and whether it may have the past.
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
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self { presence: true, events: true, values: true, history: true };

    /// How a frame from the server is shown to whoever has these rights. A kind that is hidden keeps
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

impl Default for Rights {
    fn default() -> Self {
        Self::ALL
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
    /// The room.
    pub room: &'a RoomName,
    /// What the client asked for.
    pub mode: Mode,
}

/// Decides who may be in a room and what it is told there: asked at every join, also at those that
/// resume a session.
#[derive(Clone)]
pub struct Authorise(Arc<Decide>);

type Decide = dyn Fn(&Asking<'_>) -> Result<Rights, Reason> + Send + Sync;

impl Authorise {
    /// Decides by this function; what it refuses is refused with its reason.
    pub fn new(decide: impl Fn(&Asking<'_>) -> Result<Rights, Reason> + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    pub(crate) fn ask(&self, asking: &Asking<'_>) -> Result<Rights, Reason> {
        (self.0)(asking)
    }
}

impl Default for Authorise {
    /// Everybody may everything.
    fn default() -> Self {
        Self::new(|_| Ok(Rights::ALL))
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
    use crate::wire::{Head, Position, RoomId};

    fn frame(kind: Kind, options: u8) -> Bytes {
        let head = Head { room: RoomId(300), position: Position(70_000), tick: 9 };
        let key: &[u8] = if kind.has_key() { &[1, 7, 2, b'x'] } else { &[1, 7, b'x'] };
        let mut bytes = Vec::new();
        ServerData { kind, options, head, records: key }.encode(&mut bytes);
        bytes.into()
    }

    #[test]
    fn what_is_hidden_keeps_its_position() {
        let blind = Rights { presence: false, events: false, values: false, history: false };
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
