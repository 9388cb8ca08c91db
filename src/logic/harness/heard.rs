//! What members were told, read from the frames they were sent.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::command::{Hold, SessionId};
use crate::dispatcher::{Direct, FrameClass, Outlet, Refusal};
use crate::wire::control::Command;
use crate::wire::extension::kind::LOGIC;
use crate::wire::{
    Control, FrameType, Key, Kind, MemberNumber, Presence, Reason, Record, Sender, ServerData, split_frame,
};

/// One thing that a member was told. Member 0 is the room itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// It is a member.
    Joined {
        /// What the logic answered.
        answer: Vec<u8>,
    },
    /// An event.
    Event {
        /// Who sent it.
        from: MemberNumber,
        /// The message.
        payload: Vec<u8>,
    },
    /// A value was set, or deleted where the payload is empty.
    Value {
        /// Its owner; for a value of the room, who wrote it.
        from: MemberNumber,
        /// Its key.
        key: Key,
        /// The value.
        payload: Vec<u8>,
    },
    /// The latest values, as of the last flush, by key.
    Snapshot(Vec<(MemberNumber, Key, Vec<u8>)>),
    /// Somebody came, came back, or shows other data.
    Here {
        /// Who.
        member: MemberNumber,
        /// As the server knows it.
        subject: Vec<u8>,
    },
    /// Somebody's connection is gone.
    Away(MemberNumber),
    /// Somebody has left.
    Gone {
        /// Who.
        member: MemberNumber,
        /// Why.
        reason: Reason,
    },
    /// How many members there are.
    Count(u64),
    /// A direct.
    Direct {
        /// Who sent it.
        from: MemberNumber,
        /// The request that it answers, or 0.
        answers: u64,
        /// The message.
        payload: Vec<u8>,
    },
    /// It is no longer a member.
    Left(Reason),
    /// A message was refused after it had been taken: a direct whose receiver left before the tick.
    Refused(Reason),
}

impl Heard {
    /// An event, to compare with.
    #[must_use]
    pub fn event(from: MemberNumber, payload: impl AsRef<[u8]>) -> Self {
        Self::Event { from, payload: payload.as_ref().to_vec() }
    }

    /// A member's value, to compare with.
    #[must_use]
    pub fn value(from: MemberNumber, key: u64, payload: impl AsRef<[u8]>) -> Self {
        Self::Value { from, key: Key::member(key), payload: payload.as_ref().to_vec() }
    }

    /// A value of the room that its logic has set, to compare with.
    #[must_use]
    pub fn room_value(key: u64, payload: impl AsRef<[u8]>) -> Self {
        Self::Value { from: MemberNumber::ROOM, key: Key::room(key), payload: payload.as_ref().to_vec() }
    }

    /// A direct that answers nothing, to compare with.
    #[must_use]
    pub fn direct(from: MemberNumber, payload: impl AsRef<[u8]>) -> Self {
        Self::Direct { from, answers: 0, payload: payload.as_ref().to_vec() }
    }

    /// The logic's answer to a request, to compare with.
    #[must_use]
    pub fn answer(request: u64, payload: impl AsRef<[u8]>) -> Self {
        Self::Direct { from: MemberNumber::ROOM, answers: request, payload: payload.as_ref().to_vec() }
    }
}

/// Keeps what every session was sent.
#[derive(Debug, Default)]
pub(super) struct Desk {
    heard: BTreeMap<SessionId, Vec<Heard>>,
    joined: Option<(SessionId, MemberNumber)>,
    /// Whose command is being handled: its refusal is the command's result.
    asking: Option<SessionId>,
    refusal: Option<Reason>,
}

impl Desk {
    pub(super) fn take(&mut self, session: SessionId) -> Vec<Heard> {
        self.heard.remove(&session).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.heard.clear();
    }

    /// A session's command is about to be handled.
    pub(super) const fn handle_asking(&mut self, session: SessionId) {
        self.asking = Some(session);
        self.refusal = None;
    }

    /// It has been handled: why it was refused, if it was.
    pub(super) const fn take_refusal(&mut self) -> Option<Reason> {
        self.asking = None;
        self.refusal.take()
    }

    /// The number that a session was given by the last JOINED.
    pub(super) fn take_joined(&mut self, session: SessionId) -> Option<MemberNumber> {
        self.joined.take().filter(|(joined, _)| *joined == session).map(|(_, member)| member)
    }

    fn hear(&mut self, session: SessionId, heard: Heard) {
        self.heard.entry(session).or_default().push(heard);
    }

    fn hear_control(&mut self, session: SessionId, payload: &[u8]) {
        // What the server itself has encoded can be read.
        let Ok(control) = Control::decode(payload) else { return };
        match control.command {
            Command::Joined(joined) => {
                self.joined = Some((session, joined.member));
                let answer = joined.extensions.get(LOGIC).unwrap_or_default().to_vec();
                self.hear(session, Heard::Joined { answer });
            }
            Command::Left(left) => self.hear(session, Heard::Left(left.reason)),
            _ => {}
        }
    }

    fn hear_data(&mut self, session: SessionId, flags: u8, payload: &[u8]) {
        let Ok(Some(data)) = ServerData::decode(flags, payload) else { return };
        let mut snapshot = Vec::new();
        for record in data.records().map_while(Result::ok) {
            let (from, payload) = (record.member, record.payload.to_vec());
            let key = Key::from_wire(record.key.unwrap_or_default());
            match data.kind {
                Kind::Event => self.hear(session, Heard::Event { from, payload }),
                Kind::Value => self.hear(session, Heard::Value { from, key, payload }),
                Kind::Snapshot => snapshot.push((from, key, payload)),
                Kind::Presence => self.hear_presence(session, record),
                Kind::Direct | Kind::Members => {}
            }
        }
        if data.kind == Kind::Snapshot {
            snapshot.sort_unstable_by_key(|(from, key, _)| (*key, *from));
            self.hear(session, Heard::Snapshot(snapshot));
        }
    }

    fn hear_presence(&mut self, session: SessionId, record: Record<'_>) {
        let member = record.member;
        self.hear(
            session,
            match Presence::decode(record.payload) {
                Ok(Presence::Here { subject, .. }) => Heard::Here { member, subject: subject.to_vec() },
                Ok(Presence::Away) => Heard::Away(member),
                Ok(Presence::Left(reason)) => Heard::Gone { member, reason },
                Ok(Presence::Count(members)) => Heard::Count(members),
                Ok(Presence::Unknown(_)) | Err(_) => return,
            },
        );
    }
}

impl Outlet<SessionId> for Desk {
    fn frame(&mut self, to: &SessionId, _class: FrameClass, frame: &Bytes) {
        let Ok(Some((frame, _))) = split_frame(frame, usize::from(u16::MAX), Sender::Server) else { return };
        match frame.header.frame_type {
            FrameType::Control => self.hear_control(*to, frame.payload),
            FrameType::Data => self.hear_data(*to, frame.header.flags, frame.payload),
            FrameType::Ping => {}
        }
    }

    fn direct(&mut self, to: &SessionId, direct: &Direct) {
        let Direct { from, answers, ref payload, .. } = *direct;
        self.hear(*to, Heard::Direct { from, answers, payload: payload.to_vec() });
    }

    fn refuse(&mut self, to: &SessionId, refusal: &Refusal) {
        if self.asking == Some(*to) && self.refusal.is_none() {
            self.refusal = Some(refusal.reason);
        } else {
            self.hear(*to, Heard::Refused(refusal.reason));
        }
    }

    fn released(&mut self, to: &SessionId, _hold: Hold, left: &Bytes) {
        self.frame(to, FrameClass::Control, left);
    }

    fn close(&mut self, to: &SessionId, reason: Reason) {
        self.hear(*to, Heard::Left(reason));
    }
}
