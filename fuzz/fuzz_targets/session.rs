//! A script of bytes, time steps, notices from the rooms and connections that break: a session never
//! panics, everything it says is whole frames of a server, what it asks concerns rooms that were
//! joined, what it told as accepted it never takes back, and it ends with a reason of the table.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use tickwire::command::{Command, Hold};
use tickwire::dispatcher::Refusal;
use tickwire::limits::Limits;
use tickwire::session::{Ending, Facts, Output, Session, Token};
use tickwire::time::Time;
use tickwire::wire::control::Command as Told;
use tickwire::wire::{
    Capabilities, Control, Decoder, FrameType, Handle, Ping, PingBody, Reason, RequestId, Sender, split_frame,
};

fuzz_target!(|data: &[u8]| {
    let Some((mode, script)) = data.split_first() else { return };
    let room = (mode & 2 != 0).then(|| Bytes::from_static(b"lobby"));
    let session = match mode & 1 {
        0 => Session::over_websocket(facts(), room, Time::ZERO),
        _ => Session::over_tcp(facts(), Time::ZERO),
    };
    let mut run = Run { life: Life::new(session, 1), parked: None, buffer: BytesMut::new(), now: 0, sent: 0, tokens: 1 };
    if mode & 1 != 0 && mode & 4 != 0 {
        run.buffer.extend_from_slice(&[0xd7, 0x54, 0x57, 1]);
    }
    if mode & 4 != 0 {
        run.buffer.extend_from_slice(if mode & 8 == 0 { HELLO } else { CAPABLE });
    }
    if let Err(ending) = run.script(script) {
        assert!(Reason::ALL.contains(&ending.reason));
    }
});

const HELLO: &[u8] = &[2, 0, 5, 0, 1, 1, 0, 0, 0];
/// With every capability of section 12.
const CAPABLE: &[u8] = &[2, 0, 5, 0, 1, 1, 0x6f, 0, 0];
/// So many rooms a session may be in.
const ROOMS: usize = 3;
/// What one step may make a session say, beyond what is in proportion to its bytes: the refusals
/// that a resume repeats.
const SAID: usize = 20_000;

fn facts() -> Arc<Facts> {
    let mut limits = Limits::default();
    limits.max_rooms = ROOMS;
    limits.max_message = 100;
    let hasher = foldhash::fast::RandomState::default();
    Arc::new(Facts { limits, capabilities: Capabilities(0x6f), clock: 1, wall: 2, hasher, rejections: Arc::default() })
}

fn token(number: u8) -> Token {
    Token::new(7, [number; 16])
}

/// A session, and what is known of it.
struct Life {
    session: Session,
    joined: BTreeSet<Handle>,
    /// The serial of the last join on a handle.
    serials: BTreeMap<Handle, u64>,
    /// Joined, and not again since the session was resumed.
    away: BTreeSet<Handle>,
    /// Data frames that came.
    data_frames: u64,
    /// Of the last data frame that was passed on.
    number: u64,
    /// The last number that was told as accepted.
    accepted: u64,
}

struct Run {
    life: Life,
    /// Waits for another connection.
    parked: Option<Life>,
    buffer: BytesMut,
    /// Milliseconds.
    now: u64,
    /// Bytes.
    sent: u64,
    tokens: u8,
}

impl Life {
    fn new(session: Session, number: u8) -> Self {
        let session = session.with_token(token(number));
        let (joined, away) = (BTreeSet::new(), BTreeSet::new());
        Self { session, joined, serials: BTreeMap::new(), away, data_frames: 0, number: 0, accepted: 0 }
    }

    /// Reads what the session said, and what it asked of the rooms.
    fn check(&mut self, output: &mut Output) {
        let mut rest = &output.replies.split()[..];
        while !rest.is_empty() {
            let (frame, next) = split_frame(rest, 65_535, Sender::Server).expect("readable").expect("whole");
            rest = next;
            match frame.header.frame_type {
                FrameType::Data => panic!("a session sends no data"),
                FrameType::Ping => match Ping::decode(frame.header.flags, frame.payload, Sender::Server) {
                    Ok(Ping { body: PingBody::ServerAsk { accepted }, .. }) => self.tells(accepted),
                    Ok(Ping { body: PingBody::ServerAnswer { accepted, .. }, .. }) => self.tells(accepted),
                    other => panic!("{other:?}"),
                },
                FrameType::Control => match Control::decode(frame.payload).expect("readable").command {
                    Told::Accepted(told) => self.tells(told.number),
                    Told::Welcome(told) => {
                        assert!(told.flags == 1 || (told.accepted, self.accepted) == (0, 0));
                        assert!(self.accepted <= told.accepted && told.accepted <= self.data_frames);
                        self.accepted = told.accepted;
                    }
                    Told::Refused(told) => assert!(told.number <= self.data_frames),
                    Told::GoingAway(_) => {}
                    other => panic!("{other:?}"),
                },
            }
        }
        output.commands.drain(..).for_each(|(_, command)| self.asks(&command));
    }

    /// PROTOCOL 12.3: it only grows, and counts what came.
    fn tells(&mut self, accepted: u64) {
        if self.session.capabilities().has(Capabilities::ACCEPTED) {
            assert!(self.accepted <= accepted && accepted <= self.data_frames);
            self.accepted = accepted;
        } else {
            assert_eq!(accepted, 0);
        }
    }

    fn asks(&mut self, command: &Command) {
        let capable = |bit| assert!(self.session.capabilities().has(bit));
        if let Command::Join(join) = command {
            assert!(self.serials.insert(join.handle, join.serial) < Some(join.serial));
        }
        match command {
            Command::Join(join) if join.returning => assert!(self.away.remove(&join.handle)),
            Command::Join(join) => assert!(self.joined.insert(join.handle) && self.joined.len() <= ROOMS),
            Command::Leave { handle, .. } => {
                assert!(self.joined.remove(handle));
                self.away.remove(handle);
            }
            Command::SetPresence { handle, data, .. } => assert!(self.joined.contains(handle) && data.len() <= 256),
            Command::Receive { handle, .. } => {
                capable(Capabilities::RECEIVE);
                assert!(self.joined.contains(handle));
            }
            Command::Members { handle, .. } => {
                capable(Capabilities::PAGES);
                assert!(self.joined.contains(handle));
            }
            Command::Renew { handle, .. } => {
                capable(Capabilities::TOKEN);
                assert!(self.joined.contains(handle));
            }
            Command::Publish(message) => {
                assert!(self.joined.contains(&message.handle) && message.payload.len() <= 100);
                assert!(self.number < message.number && message.number <= self.data_frames);
                self.number = message.number;
                if message.compressed {
                    capable(Capabilities::DEFLATE);
                }
                if message.acknowledge {
                    capable(Capabilities::ACCEPTED);
                }
            }
        }
    }
}

impl Run {
    /// Steps of a verb, a length, and so many bytes.
    fn script(&mut self, mut script: &[u8]) -> Result<(), Ending> {
        let mut output = Output::default();
        let result = self.frames(&mut output);
        self.life.check(&mut output);
        result?;
        while let [verb, len, rest @ ..] = script {
            let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*len)));
            script = rest;
            let result = self.step(*verb, *len, bytes, &mut output).and_then(|()| self.frames(&mut output));
            assert!(output.replies.len() < SAID, "{} bytes", output.replies.len());
            self.life.check(&mut output);
            result?;
            let session = &self.life.session;
            assert!(session.is_open() || session.deadline(self.time()) <= self.time().after(facts().limits.hello_timeout));
        }
        Ok(())
    }

    fn step(&mut self, verb: u8, len: u8, bytes: &[u8], output: &mut Output) -> Result<(), Ending> {
        let now = self.time();
        let Life { session, joined, serials, away, data_frames, .. } = &mut self.life;
        // What is said of an earlier hold of a handle changes nothing.
        let stale = len & 8 != 0;
        let mut hold = |handle: Handle| {
            let serial = serials.get(&handle).copied().unwrap_or_default();
            if !stale {
                joined.remove(&handle);
                away.remove(&handle);
            }
            Hold { handle, serial: serial.saturating_sub(u64::from(stale)) }
        };
        match verb % 20 {
            0 => {
                self.now += u64::from(len) * 100;
                let now = Time::from_micros(self.now * 1000);
                session.handle_timeout(self.sent, now, output)?;
            }
            1 => {
                self.sent += u64::from(len) * 1000;
                session.handle_sending(self.sent, now, output);
                assert!(session.unconsumed(self.sent, now) <= self.sent.saturating_mul(2));
            }
            2 => session.handle_paused(now),
            3 => session.handle_resumed(now),
            4 if len == 0 => session.handle_going_away(1, 2, output),
            5 => {
                let joining = (len & 1 == 1).then(|| hold(Handle((len >> 4).into())));
                let number = if joining.is_some() { 0 } else { *data_frames };
                let refusal = Refusal {
                    request: RequestId(0), number, reason: Reason::RATE, joining, avoidable: len & 2 == 2,
                };
                session.handle_refusal(&refusal, now, output)?;
            }
            6 => session.handle_websocket_ping(now)?,
            7 => {
                let hold = hold(Handle((len & 3).into()));
                if len & 16 == 0 {
                    session.handle_released(hold, now);
                } else {
                    session.handle_left(hold, now);
                }
            }
            8 if session.is_open() => session.handle_accepted((len < 255).then_some(len.into()), output),
            9 => self.breaks(),
            10 | 11 => self.owner_answers(len, output)?,
            12 => self.buffer.extend_from_slice(&resuming(len)),
            13 => self.buffer.extend_from_slice(&[1, 0, 3, len & 0x37, len & 3, len >> 6, b'x']),
            14 => self.buffer.extend_from_slice(&[2, 0, 6, 0, 0x0b, 3, len & 3, len >> 6, 1 + (len >> 5 & 1), 0]),
            15 => self.buffer.extend_from_slice(&[2, 0, 4, 0, 0x0f, 4, len & 3, len >> 2]),
            16 => self.buffer.extend_from_slice(&[2, 0, 6, 0, 3, 2, len & 3, 3, 1, b'a' + (len & 3)]),
            _ => self.buffer.extend_from_slice(bytes),
        }
        Ok(())
    }

    /// The connection breaks, and another one begins. What waited before has ended.
    fn breaks(&mut self) {
        if !self.life.session.is_resumable() {
            return;
        }
        let fresh = Life::new(Session::over_websocket(facts(), None, self.time()), 200);
        self.parked = Some(std::mem::replace(&mut self.life, fresh));
        self.buffer.clear();
        self.sent = 0;
    }

    /// Hello asks for a session: it is the one that waits, or there is none.
    fn owner_answers(&mut self, len: u8, output: &mut Output) -> Result<(), Ending> {
        let now = self.time();
        let Some(greeting) = self.life.session.waiting() else { return Ok(()) };
        let (token, seen) = greeting.wanted().expect("it waits for a session");
        let found = self.parked.take_if(|parked| parked.session.accepts(token, b""));
        let Some(mut life) = found else { return self.life.session.handle_not_resumed(now, output) };
        self.tokens = self.tokens.wrapping_add(1);
        let lost = (len & 1 == 1).then_some((seen, seen));
        life.session.handle_returned(&greeting, self::token(self.tokens), lost, now, output);
        assert!(life.session.is_open() && life.session.waiting().is_none());
        life.away = life.joined.clone();
        self.life = life;
        Ok(())
    }

    /// Gives the session what came, as its owner does: nothing while it waits.
    fn frames(&mut self, output: &mut Output) -> Result<(), Ending> {
        let now = self.time();
        let Life { session, data_frames, .. } = &mut self.life;
        if !session.handle_preamble(&mut self.buffer)? {
            return Ok(());
        }
        while session.waiting().is_none() {
            let decoder = Decoder::new(Sender::Client, session.max_frame());
            let Some(frame) = decoder.decode(&mut self.buffer)? else { break };
            *data_frames += u64::from(frame.header.frame_type == FrameType::Data && session.is_open());
            let before = output.replies.len();
            session.handle_frame(frame, now, output)?;
            assert!(output.replies.len() - before <= 200, "an answer is as small as this");
            assert!(output.commands.len() <= 300);
        }
        Ok(())
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now * 1000)
    }
}

/// HELLO with every capability that asks for the session of a token.
fn resuming(number: u8) -> Vec<u8> {
    let mut hello = vec![2, 0, 33, 0, 1, 1, 0x6f, 0, 0, 4, 26, 24];
    hello.extend(token(number).0);
    hello.push(number & 3);
    hello
}
