//! Rules inside rooms: what logic is asked and told, what it can do, and what its failing costs.

mod bounds;
mod calls;
mod endings;
mod ticks;

use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use tickwire::class::RoomClass;
use tickwire::limits::Limits;
use tickwire::logic::{Asked, Context, Harness, Idle, Message, RoomLogic, Tick, Verdict};
use tickwire::wire::{MemberNumber, Reason};

/// A reason of the application.
pub const OWN: Reason = Reason(960);

/// Logic that does what it is told in messages, and reports every call.
pub struct Probe {
    calls: Sender<String>,
    /// The call that panics.
    panics_in: &'static str,
    wants_ticks: bool,
    idle: Idle,
    open: Option<Asked>,
}

impl Probe {
    /// A logic that wants no ticks, and what it reports.
    pub fn new() -> (impl Fn(&str) -> Self + Send + Sync + Clone, Receiver<String>) {
        let (calls, reports) = channel();
        let make = move |panics_in: &str| Self {
            calls: calls.clone(),
            panics_in: PLACES.iter().find(|place| **place == panics_in).copied().unwrap_or_default(),
            wants_ticks: false,
            idle: Idle::Linger,
            open: None,
        };
        (make, reports)
    }

    fn report(&self, place: &str, call: String) {
        assert_ne!(self.panics_in, place, "told to");
        // A test that reads no reports has let go of them.
        let _unread = self.calls.send(call);
    }

    /// Obeys, and says what becomes of the words themselves.
    fn obey(&mut self, text: &str, room: &mut Context<'_>) -> Verdict {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let member = || MemberNumber(rest.split(' ').next().unwrap_or_default().parse().unwrap());
        let result = match word {
            "refuse" => return Verdict::Refuse(rest.parse().map_or(OWN, Reason)),
            "change" => return Verdict::Change(Bytes::copy_from_slice(rest.as_bytes())),
            "swallow" => Ok(()),
            "say" => room.send(rest.as_bytes()),
            "but" => room.send(rest.as_bytes()).and(Err(OWN)),
            "tell" => room.direct(member(), rest.as_bytes()),
            "set" => room.set(member().0, rest.as_bytes()),
            "delete" => room.delete(member().0),
            "now" => {
                room.flush_now();
                room.send(rest.as_bytes())
            }
            "kick" => {
                room.kick(member(), OWN);
                Ok(())
            }
            "close" => {
                room.close(rest.parse().map_or(Reason::ROOM_CLOSED, Reason));
                room.send(b"the end")
            }
            "ticks" => {
                self.wants_ticks = rest == "on";
                Ok(())
            }
            "idle" => {
                self.idle = Idle::Close;
                Ok(())
            }
            "who" => {
                let who = |member: tickwire::logic::Member<'_>| {
                    let subject = String::from_utf8_lossy(member.subject).into_owned();
                    format!("{}={subject}{}", member.number, if member.away { "?" } else { "" })
                };
                let all: Vec<String> = room.members().map(who).collect();
                assert_eq!(all.len(), room.member_count());
                room.send(all.join(" ").as_bytes())
            }
            _ => return Verdict::Relay,
        };
        result.map_or_else(Verdict::Refuse, |()| Verdict::Swallow)
    }
}

/// Where a probe can be told to panic.
pub const PLACES: [&str; 10] =
    ["ticks", "joined", "left", "away", "back", "message", "request", "flush", "idle", "drop"];

impl RoomLogic for Probe {
    fn wants_ticks(&self) -> bool {
        assert_ne!(self.panics_in, "ticks", "told to");
        self.wants_ticks
    }

    fn joined(&mut self, member: MemberNumber, data: &[u8], room: &mut Context<'_>) -> Result<Bytes, Reason> {
        let text = std::str::from_utf8(data).unwrap();
        self.report("joined", format!("joined {member} {text:?} of {}", room.member_count()));
        match text.split_once(' ') {
            Some(("refuse", _)) => Err(OWN),
            Some(("answer", len)) => Ok(vec![b'a'; len.parse().unwrap()].into()),
            _ => match self.obey(text, room) {
                Verdict::Refuse(reason) => Err(reason),
                _ => Ok(Bytes::copy_from_slice(format!("welcome to {}", room.name()).as_bytes())),
            },
        }
    }

    fn left(&mut self, member: MemberNumber, reason: Reason, room: &mut Context<'_>) {
        self.report("left", format!("left {member} {} of {}", reason.0, room.member_count()));
        if reason == Reason::PONG_TIMEOUT {
            room.close(OWN);
        }
    }

    fn away(&mut self, member: MemberNumber, _room: &mut Context<'_>) {
        self.report("away", format!("away {member}"));
    }

    fn back(&mut self, member: MemberNumber, room: &mut Context<'_>) {
        self.report("back", format!("back {member} {}", room.member(member).unwrap().away));
    }

    fn message(&mut self, from: MemberNumber, message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        let text = String::from_utf8_lossy(message.payload).into_owned();
        self.report("message", format!("message {from} {:?} {text:?} t{}", message.target, room.tick()));
        self.obey(&text, room)
    }

    fn request(&mut self, asked: Asked, payload: &[u8], room: &mut Context<'_>) -> Result<(), Reason> {
        self.report("request", format!("request {} {}", asked.from, asked.id));
        match payload {
            b"never" => Err(OWN),
            b"later" => {
                self.open = Some(asked);
                Ok(())
            }
            _ => room.answer(asked, &[b"re: ", payload].concat()),
        }
    }

    fn flush(&mut self, tick: Tick, room: &mut Context<'_>) {
        assert_eq!((tick.number, tick.now), (room.tick(), room.now()));
        self.report("flush", format!("flush {} +{}", tick.number, tick.elapsed));
        if let Some(asked) = self.open.take() {
            room.answer(asked, b"at last").unwrap();
        }
    }

    fn idle(&mut self, room: &Context<'_>) -> Idle {
        self.report("idle", format!("idle {}", room.member_count()));
        self.idle
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_ne!(self.panics_in, "drop", "told to");
        }
    }
}

/// A room with a probe, and what it reports.
pub fn room() -> (Harness, Receiver<String>) {
    room_with(|_, _| {})
}

/// With other limits or another class.
pub fn room_with(change: impl FnOnce(&mut Limits, &mut RoomClass)) -> (Harness, Receiver<String>) {
    let (mut limits, mut class) = (Limits::default(), RoomClass::default());
    change(&mut limits, &mut class);
    let (make, reports) = Probe::new();
    (Harness::with("room", limits, class, move |_| make("")), reports)
}

/// What was reported since the last time must be these lines.
#[track_caller]
pub fn check(reports: &Receiver<String>, expected: &[&str]) {
    let calls: Vec<String> = reports.try_iter().collect();
    assert_eq!(calls, expected);
}
