//! A script of bytes, time steps and notices from the rooms: a session never panics, everything it
//! says is whole frames of a server, what it asks concerns rooms that were joined, and it ends with
//! a reason of the table.
#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use tickwire::command::Command;
use tickwire::limits::Limits;
use tickwire::session::{Ending, Facts, Output, Session};
use tickwire::time::Time;
use tickwire::wire::{Capabilities, Decoder, Handle, Reason, Sender};

#[allow(dead_code, unused_imports, reason = "this target reads frames, and leaves the model to another")]
#[path = "../../tests/it/model/mod.rs"]
mod model;

fuzz_target!(|data: &[u8]| {
    let Some((mode, script)) = data.split_first() else { return };
    let room = (mode & 2 != 0).then(|| Bytes::from_static(b"lobby"));
    let start = |facts| match mode & 1 {
        0 => Session::over_websocket(facts, room, Time::ZERO),
        _ => Session::over_tcp(facts, Time::ZERO),
    };
    let mut run = Run { session: start(facts()), buffer: BytesMut::new(), now: 0, joined: BTreeSet::new(), number: 0 };
    if mode & 4 != 0 {
        run.buffer.extend_from_slice(if mode & 1 == 0 { HELLO } else { MAGIC_AND_HELLO });
    }
    let mut output = Output::default();
    let ended = run.script(script, &mut output);
    model::see(&output.replies);
    if let Err(ending) = ended {
        assert!(Reason::ALL.contains(&ending.reason));
    }
});

const HELLO: &[u8] = &[2, 0, 5, 0, 1, 1, 0, 0, 0];
const MAGIC_AND_HELLO: &[u8] = &[0xd7, 0x54, 0x57, 1, 2, 0, 5, 0, 1, 1, 0, 0, 0];

fn facts() -> Arc<Facts> {
    let mut limits = Limits::default();
    limits.max_rooms = 3;
    limits.max_message = 100;
    let (capabilities, hasher) = (Capabilities::default(), foldhash::fast::RandomState::default());
    Arc::new(Facts { limits, capabilities, clock: 1, wall: 2, hasher })
}

struct Run {
    session: Session,
    buffer: BytesMut,
    /// Milliseconds.
    now: u64,
    joined: BTreeSet<Handle>,
    /// Of the last data frame that was passed on.
    number: u64,
}

impl Run {
    /// Steps of a verb, a length, and so many bytes.
    fn script(&mut self, mut script: &[u8], output: &mut Output) -> Result<(), Ending> {
        self.frames(output)?;
        while let [verb, len, rest @ ..] = script {
            let now = Time::from_micros(self.now * 1000);
            let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*len)));
            script = rest;
            match verb % 16 {
                0 => {
                    self.now += u64::from(*len) * 100;
                    self.session.handle_timeout(self.sent, Time::from_micros(self.now * 1000), output)?;
                }
                1 => {
                    self.sent += u64::from(*len) * 1000;
                    self.session.handle_sending(self.sent, now, output);
                    assert!(self.session.unconsumed(self.sent, now) <= self.sent);
                },
                2 => self.session.handle_paused(now),
                3 => self.session.handle_resumed(now),
                4 => self.session.handle_going_away(1, 2, output),
                5 => self.session.count_refusal(now)?,
                6 => self.session.handle_websocket_ping(now)?,
                7 => {
                    self.joined.remove(&Handle((*len).into()));
                    self.session.handle_released(Handle((*len).into()), now);
                }
                _ => self.buffer.extend_from_slice(bytes),
            }
            self.frames(output)?;
            assert!(self.session.is_open() || self.session.deadline(now) <= Time::from_micros(5_000_000));
        }
        Ok(())
    }

    fn frames(&mut self, output: &mut Output) -> Result<(), Ending> {
        if !self.session.handle_preamble(&mut self.buffer)? {
            return Ok(());
        }
        let decoder = |session: &Session| Decoder::new(Sender::Client, session.max_frame());
        while let Some(frame) = decoder(&self.session).decode(&mut self.buffer)? {
            let result = self.session.handle_frame(&frame, Time::from_micros(self.now * 1000), output);
            output.commands.drain(..).for_each(|(_, command)| self.check(&command));
            result?;
        }
        Ok(())
    }

    fn check(&mut self, command: &Command) {
        match command {
            Command::Join(join) => assert!(self.joined.insert(join.handle) && self.joined.len() <= 3),
            Command::Leave { handle, .. } => assert!(self.joined.remove(handle)),
            Command::SetPresence { handle, data, .. } => assert!(self.joined.contains(handle) && data.len() <= 256),
            Command::Publish(message) => {
                assert!(self.joined.contains(&message.handle) && message.payload.len() <= 100);
                assert!(message.number > self.number);
                self.number = message.number;
            }
        }
    }
}
