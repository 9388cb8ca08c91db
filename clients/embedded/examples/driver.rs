//! A device that is told what to do by lines, and tells by lines what happened: the same as `clients/c/tests/driver.c`, so
//! that `clients/c/tests/conformance.py` plays the scenarios with it.
//!
//! ```text
//! driver host port output_bytes renews
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tickwire::device::{
    Action, Buffers, Device, Error, Event, JoinOptions, Options, Outcome, Refusal, RoomState, State, control_min,
};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind, Presence, Reason};

const ROOMS: usize = 8;

/// How long it waits for bytes before it looks at its commands. Scenarios do not depend on it.
const TURN: Duration = Duration::from_millis(2);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, host, port, output_bytes, renews] = arguments.as_slice() else {
        eprintln!("usage: driver host port output_bytes renews");
        std::process::exit(2);
    };
    let (mut input, mut control) = (vec![0; 8100], vec![0; control_min(4000, 0)]);
    let mut output = vec![0; output_bytes.parse().expect("a number")];
    let buffers = Buffers { input: &mut input, output: &mut output, control: &mut control };
    let options = Options { seed: std::process::id(), renews: renews == "1", ..Options::default() };
    let device = Device::new(buffers, options).expect("the buffers are large enough");
    let mut driver = Driver { device, names: BTreeMap::new(), line: None, address: format!("{host}:{port}") };
    let (commands, from_stdin) = mpsc::sync_channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.map_or(true, |line| commands.send(line).is_err()) {
                return;
            }
        }
    });
    driver.run(&from_stdin);
}

struct Driver<'a> {
    device: Device<'a, ROOMS>,
    names: BTreeMap<&'static str, usize>,
    line: Option<TcpStream>,
    address: String,
}

impl Driver<'_> {
    #[expect(clippy::disallowed_methods, reason = "the clock of a program begins somewhere")]
    fn run(&mut self, commands: &mpsc::Receiver<String>) {
        let began = Instant::now();
        loop {
            let action = self.device.poll(began.elapsed().as_millis() as u64);
            if action == Action::Open {
                self.line = dial(&self.address);
                if self.line.is_some() { self.device.opened() } else { self.device.lost() }
            }
            if self.line.is_some() && (action == Action::Shut || self.transfer().is_none()) {
                self.line = None;
                self.device.lost();
            }
            self.show();
            match commands.recv_timeout(if self.line.is_some() { Duration::ZERO } else { TURN }) {
                Ok(command) => self.obey(&command),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads what there is, and writes what there is. None where the connection is gone.
    fn transfer(&mut self) -> Option<()> {
        let mut chunk = [0; 1000];
        let space = self.device.space().min(chunk.len());
        if space > 0 {
            match self.line.as_mut()?.read(&mut chunk[..space]) {
                Ok(0) => return None,
                Ok(len) => _ = self.device.feed(&chunk[..len]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
            self.show();
        }
        loop {
            let ready = self.device.output();
            if ready.is_empty() {
                return Some(());
            }
            match self.line.as_mut()?.write(ready) {
                Ok(len) => self.device.written(len),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Some(()),
                Err(_) => return None,
            }
            self.show();
        }
    }

    fn show(&mut self) {
        let names: BTreeMap<usize, &str> = self.names.iter().map(|(name, room)| (*room, *name)).collect();
        while let Some(event) = self.device.next_event() {
            if let Some(line) = describe(&event, |room| names.get(&room).copied().unwrap_or_default()) {
                println!("{line}");
            }
        }
    }

    fn obey(&mut self, command: &str) {
        let words: Vec<&str> = command.split(' ').collect();
        let room = words.get(1).map_or(ROOMS, |name| self.room_of(words[0], name));
        let device = &mut self.device;
        let said = match words.as_slice() {
            ["connect"] => return device.connect(),
            ["disconnect"] => return device.disconnect(),
            ["close"] => return device.close(),
            ["token", token] => return device.set_token(token.to_string().leak().as_bytes()).expect("it fits"),
            ["join", name, mode] => {
                let mode: u8 = mode.parse().expect("a number");
                let options = JoinOptions { mode: Mode(mode & 0x7f), echo: mode & 0x80 != 0, presence: &[] };
                return device.join(room, name.to_string().leak(), options).expect("there is a place");
            }
            ["leave", _] => return device.leave(room),
            ["pause", _] => return device.pause(room, true),
            ["unpause", _] => return device.pause(room, false),
            ["publish", _, "0", payload] => device.publish(room, &bytes(payload)),
            ["publish", _, _, payload] => device.publish_or_drop(room, &bytes(payload)),
            ["set", _, key, payload @ ..] => {
                let key = Key::member(key.parse().expect("a number"));
                device.set(room, key, &bytes(payload.first().copied().unwrap_or_default()))
            }
            _ => return,
        };
        let result = match said {
            Ok(()) => "ok",
            Err(Refusal::Full) => "queue-full",
            Err(Refusal::TooLarge) => "too-large",
            Err(Refusal::Dropped) => "dropped",
            Err(Refusal::NoRoom) => "no-room",
        };
        println!("result {result}");
    }

    /// The place of a room's name, which it keeps.
    fn room_of(&mut self, command: &str, name: &str) -> usize {
        if command == "token" {
            return ROOMS;
        }
        let next = self.names.len();
        match self.names.get(name) {
            Some(room) => *room,
            None => *self.names.entry(name.to_string().leak()).or_insert(next),
        }
    }
}

fn dial(address: &str) -> Option<TcpStream> {
    let line = TcpStream::connect(address).ok()?;
    line.set_nodelay(true).ok()?;
    line.set_read_timeout(Some(TURN)).ok()?;
    Some(line)
}

fn describe<'n>(event: &Event<'_>, name: impl Fn(usize) -> &'n str) -> Option<String> {
    Some(match *event {
        Event::State { after, reason, .. } => {
            let state = match after {
                State::Disconnected => "disconnected",
                State::Connecting => "connecting",
                State::Connected => "connected",
                State::Closed => "closed",
            };
            format!("state {state} {}", number(reason))
        }
        Event::Room { room, after, reason, .. } => {
            let state = match after {
                RoomState::Left => "left",
                RoomState::Joining => "joining",
                RoomState::Joined => "joined",
            };
            format!("room {} {state} {}", name(room), number(reason))
        }
        Event::Outcome { room, outcome } => {
            let outcome = match outcome {
                Outcome::Recovered => "recovered",
                Outcome::Gap(..) => "gap",
                Outcome::Snapshot => "snapshot",
            };
            format!("outcome {} {outcome}", name(room))
        }
        Event::Message { room, payload, .. } => format!("event {} {}", name(room), hex(payload)),
        Event::Value { room, member, key, payload, snapshot, .. } => {
            format!("value {} {member} {} {} {}", name(room), key.wire(), u8::from(snapshot), hex(payload))
        }
        Event::Snapshot { room, kind, whole } => {
            let kind = if kind == Kind::Snapshot { 4 } else { 5 };
            format!("snapshot {} {} {kind}", name(room), u8::from(!whole))
        }
        Event::Presence { room, member, presence, snapshot } => {
            let state = match presence {
                Presence::Here { .. } => 1,
                Presence::Away => 2,
                Presence::Left(_) => 3,
                _ => 4,
            };
            format!("presence {} {member} {state} {}", name(room), u8::from(snapshot))
        }
        Event::Paused { room, .. } => format!("done {}", name(room)),
        Event::Refused { reason, .. } => format!("refused {}", reason.0),
        Event::Unconfirmed { message } => format!("unconfirmed {}", hex(message.payload)),
        Event::TokenWanted => "token".into(),
        Event::Error(Error::Version) => "error version".into(),
        Event::Error(Error::Token(_)) => "error token".into(),
        Event::Error(_) => "error protocol".into(),
        _ => return None,
    })
}

fn number(reason: Option<Reason>) -> u64 {
    reason.map_or(0, |reason| reason.0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("hex")).collect()
}
