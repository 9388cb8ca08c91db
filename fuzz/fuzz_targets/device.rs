//! The client for devices: what a server can send, and whatever its program does.
//!
//! What comes in one piece and what comes byte by byte is told as the same events; no message is larger than the buffer that it came
//! through, none waits beyond the one it waits in, and nothing panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::device::{Action, Buffers, Device, JoinOptions, Options};
use tickwire::wire::control::{Command, Joined, Mode, Welcome};
use tickwire::wire::{
    Capabilities, Control, Epoch, Extensions, Handle, Key, MemberNumber, Position, RequestId, RoomId,
};

const INPUT: usize = 192;
const OUTPUT: usize = 160;

type Small<'a> = Device<'a, 2>;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    if first % 2 == 0 {
        let seen = [1, 7, INPUT].map(|chunk| with_device(|device| listen(device, rest, chunk)));
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
    } else {
        with_device(|device| live(device, rest));
    }
});

fn with_device<T>(run: impl FnOnce(&mut Small<'_>) -> T) -> T {
    let (mut input, mut output, mut control) = ([0; INPUT], [0; OUTPUT], [0; 200]);
    let buffers = Buffers { input: &mut input, output: &mut output, control: &mut control };
    let mut device =
        Device::new(buffers, Options { seed: 1, renews: true, ..Options::default() }).expect("large enough");
    device.connect();
    let both = JoinOptions { mode: Mode::BOTH.with(Mode::MEMBERS), echo: false, presence: b"me" };
    device.join(0, "room", both).expect("a place");
    events(&mut device);
    assert_eq!(device.poll(1), Action::Open);
    greet(&mut device, 0, 0);
    run(&mut device)
}

/// What every session begins with: room 0 is joined, as number 1.
fn greet(device: &mut Small<'_>, flags: u8, outcome: u8) {
    device.opened();
    flush(device);
    let extensions = Extensions::from_encoded(b"\x02\x01T").expect("a list");
    let welcome = Welcome {
        capabilities: Capabilities(0x3b),
        flags,
        max_message: 100,
        ping: 1000,
        extensions,
        ..Welcome::default()
    };
    tell(device, Command::Welcome(welcome));
    let joined = Joined {
        handle: Handle(1),
        room: RoomId(1),
        member: MemberNumber(1),
        mode: Mode::BOTH,
        outcome: tickwire::wire::control::Outcome(outcome),
        epoch: Epoch([1; 8]),
        position: Position(0),
        ..Joined::default()
    };
    tell(device, Command::Joined(joined));
}

fn tell(device: &mut Small<'_>, command: Command<'_>) {
    let mut bytes = Vec::new();
    Control::new(RequestId(1), command).encode(&mut bytes);
    device.feed(&bytes);
    events(device);
    flush(device);
}

fn events(device: &mut Small<'_>) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = device.next_event() {
        seen.push(format!("{event:?}"));
    }
    seen
}

/// Writes everything: whether there was something.
fn flush(device: &mut Small<'_>) -> bool {
    let mut wrote = false;
    loop {
        let len = device.output().len();
        if len == 0 {
            return wrote;
        }
        device.written(len);
        wrote = true;
    }
}

/// Everything that is told of these bytes, in chunks of at most this size.
fn listen(device: &mut Small<'_>, mut bytes: &[u8], chunk: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        let space = device.space();
        assert!(space > 0, "an answer has left, so there is a place");
        let (now, later) = bytes.split_at(bytes.len().min(chunk).min(space));
        assert_eq!(device.feed(now), now.len());
        bytes = later;
        // An answer to a ping has to leave before what is behind it is read.
        loop {
            let some = events(device);
            if !flush(device) && some.is_empty() {
                break;
            }
            seen.extend(some);
        }
    }
    seen
}

/// A program, a server and a line that do anything.
fn live(device: &mut Small<'_>, mut bytes: &[u8]) {
    let mut now = 1;
    while let Some((&what, rest)) = bytes.split_first() {
        bytes = rest;
        now += u64::from(what) * 20;
        let payload = rest.get(..rest.len().min(9)).unwrap_or_default();
        let room = usize::from(what / 64);
        if device.poll(now) == Action::Open {
            greet(device, what & 1, what % 3);
        }
        match what % 16 {
            0 => device.connect(),
            1 => device.lost(),
            2 => _ = device.join(room, "other", JoinOptions::BOTH),
            3 => device.leave(room),
            4 => _ = device.publish(room, payload),
            5 => _ = device.publish_urgent(room, payload),
            6 => _ = device.publish_or_drop(room, payload),
            7 => _ = device.set(room, Key::member(u64::from(what / 32)), payload),
            8 => _ = device.send(room, MemberNumber(2), payload),
            9 => device.pause(room, what & 32 != 0),
            10 => _ = device.set_token(b"new"),
            11 if room == 3 => device.disconnect(),
            12 => {
                let len = device.output().len();
                device.written(len / 2);
            }
            13 => _ = flush(device),
            _ => {
                let (chunk, later) = rest.split_at(rest.len().min(usize::from(what) / 4));
                bytes = later;
                assert!(device.feed(chunk) <= chunk.len());
            }
        }
        assert!(device.pending() <= OUTPUT && device.wait() <= 60_000);
        events(device);
        device.server_time();
    }
    device.close();
    events(device);
    assert_eq!(device.pending(), 0);
}
