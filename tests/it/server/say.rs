//! Frames of both layers as bytes.

use tickwire::wire::control::{Close, Command, Hello, Join, Leave, Mode, SetPresence};
use tickwire::wire::header::flags;
use tickwire::wire::{
    Capabilities, ClientData, Control, Extensions, Handle, Key, MAGIC, MemberNumber, Ping, PingBody, Reason, RequestId,
    Target, VERSION, extension, put_extension,
};

pub fn preamble() -> Vec<u8> {
    [&MAGIC[..], &[VERSION]].concat()
}

pub fn hello() -> Vec<u8> {
    hello_with(0)
}

pub fn hello_with(capabilities: u64) -> Vec<u8> {
    let capabilities = Capabilities(capabilities);
    control(1, Command::Hello(Hello { capabilities, max_record: 0, max_frame: 0, extensions: Extensions::NONE }))
}

pub fn join(request: u64, handle: u64, mode: Mode, name: &str) -> Vec<u8> {
    join_showing(request, handle, mode, name, None)
}

pub fn join_showing(request: u64, handle: u64, mode: Mode, name: &str, presence: Option<&[u8]>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(presence) = presence {
        put_extension(extension::kind::PRESENCE, presence, &mut extensions);
    }
    let extensions = Extensions::from_encoded(&extensions).unwrap();
    control(request, Command::Join(Join { handle: Handle(handle), mode, name: name.as_bytes(), extensions }))
}

pub fn leave(request: u64, handle: u64) -> Vec<u8> {
    control(request, Command::Leave(Leave { handle: Handle(handle), extensions: Extensions::NONE }))
}

pub fn set_presence(request: u64, handle: u64, data: &[u8]) -> Vec<u8> {
    control(request, Command::SetPresence(SetPresence { handle: Handle(handle), data, extensions: Extensions::NONE }))
}

pub fn close(request: u64) -> Vec<u8> {
    control(request, Command::Close(Close { reason: Reason::FINISHED, extensions: Extensions::NONE }))
}

pub fn event(handle: u64, payload: &[u8]) -> Vec<u8> {
    data(handle, Target::Event, 0, payload)
}

pub fn urgent_event(handle: u64, payload: &[u8]) -> Vec<u8> {
    data(handle, Target::Event, flags::URGENT, payload)
}

pub fn value(handle: u64, key: Key, payload: &[u8]) -> Vec<u8> {
    data(handle, Target::Value(key), 0, payload)
}

pub fn direct(handle: u64, to: u64, payload: &[u8]) -> Vec<u8> {
    data(handle, Target::Direct(MemberNumber(to)), 0, payload)
}

pub fn ping(time: u64) -> Vec<u8> {
    client_ping(time, false)
}

pub fn answer(time: u64) -> Vec<u8> {
    client_ping(time, true)
}

/// A frame of the WebSocket layer as a client masks it; `first` is its first byte.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A whole binary message.
pub fn binary(payload: &[u8]) -> Vec<u8> {
    masked(0x82, payload)
}

/// A WebSocket request, with these lines more.
pub fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: tickwire.v1\r\n{more}\r\n"
    )
}

fn client_ping(time: u64, answer: bool) -> Vec<u8> {
    let body = PingBody::Client { answer, consumed: 0, directs: 0 };
    let mut bytes = Vec::new();
    Ping { time, body, extensions: Extensions::NONE }.encode(&mut bytes);
    bytes
}

fn control(request: u64, command: Command<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Control::new(RequestId(request), command).encode(&mut bytes);
    bytes
}

fn data(handle: u64, target: Target, options: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientData { handle: Handle(handle), target, options, payload }.encode(&mut bytes);
    bytes
}
