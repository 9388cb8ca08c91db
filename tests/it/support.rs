//! What several modules need: hex, frames from a client, and the vectors' files.

use tickwire::deflate::{InflateError, Inflater};
use tickwire::wire::control::{Close, Command, Hello, Join, Leave, Mode, SetPresence};
use tickwire::wire::{
    Capabilities, ClientData, Control, Extensions, Handle, Key, MemberNumber, Ping, PingBody, Reason, Record,
    RequestId, Sender, ServerData, Target, header::flags::COMPRESSED,
};

/// Bytes from hex; white space is nothing, and `#` starts a comment.
pub fn unhex(text: &str) -> Vec<u8> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: Vec<u8> = code.flat_map(str::bytes).filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A compressed data frame as it would have come plain (PROTOCOL 12.4).
///
/// # Errors
/// Where it holds no stream, or more than its receiver takes.
pub fn inflated(flags: u8, payload: &[u8], sender: Sender) -> Result<Vec<u8>, InflateError> {
    let (mut plain, mut frame) = (Vec::new(), Vec::new());
    assert_ne!(flags & COMPRESSED, 0, "a compressed frame");
    match sender {
        Sender::Client => {
            let data = ClientData::decode(flags, payload).unwrap();
            Inflater::new().inflate(data.payload, 15_360, &mut plain)?;
            ClientData { options: data.options & !COMPRESSED, payload: &plain, ..data }.encode(&mut frame);
        }
        Sender::Server => {
            let data = ServerData::decode(flags, payload).unwrap().unwrap();
            Inflater::new().inflate(data.records, 16_384, &mut plain)?;
            ServerData { options: data.options & !COMPRESSED, records: &plain, ..data }.encode(&mut frame);
        }
    }
    Ok(frame)
}

/// A vector file of `tests/vectors`.
pub fn vectors(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn control(request: u64, command: Command<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Control::new(RequestId(request), command).encode(&mut bytes);
    bytes
}

pub fn hello() -> Vec<u8> {
    hello_with(0, 0, 0, &[])
}

pub fn hello_with(capabilities: u64, max_record: u64, max_frame: u64, extensions: &[u8]) -> Vec<u8> {
    let extensions = Extensions::from_encoded(extensions).unwrap();
    control(1, Command::Hello(Hello { capabilities: Capabilities(capabilities), max_record, max_frame, extensions }))
}

pub fn join(request: u64, handle: u64, name: &str) -> Vec<u8> {
    join_with(request, handle, 3, name.as_bytes(), &[])
}

pub fn join_with(request: u64, handle: u64, mode: u8, name: &[u8], extensions: &[u8]) -> Vec<u8> {
    let extensions = Extensions::from_encoded(extensions).unwrap();
    control(request, Command::Join(Join { handle: Handle(handle), mode: Mode(mode), name, extensions }))
}

pub fn leave(request: u64, handle: u64) -> Vec<u8> {
    control(request, Command::Leave(Leave { handle: Handle(handle), extensions: Extensions::NONE }))
}

pub fn presence(request: u64, handle: u64, data: &[u8]) -> Vec<u8> {
    let handle = Handle(handle);
    control(request, Command::SetPresence(SetPresence { handle, data, extensions: Extensions::NONE }))
}

pub fn close(request: u64) -> Vec<u8> {
    control(request, Command::Close(Close { reason: Reason::FINISHED, extensions: Extensions::NONE }))
}

pub fn event(handle: u64, payload: &[u8]) -> Vec<u8> {
    message(handle, Target::Event, 0, payload)
}

pub fn value(handle: u64, key: u64, payload: &[u8]) -> Vec<u8> {
    message(handle, Target::Value(Key::from_wire(key)), 0, payload)
}

pub fn direct(handle: u64, member: u64, payload: &[u8]) -> Vec<u8> {
    message(handle, Target::Direct(MemberNumber(member)), 0, payload)
}

pub fn message(handle: u64, target: Target, options: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientData { handle: Handle(handle), target, options, payload }.encode(&mut bytes);
    bytes
}

pub fn ping(time: u64, answer: bool) -> Vec<u8> {
    ping_with(time, answer, 0, &[])
}

pub fn ping_with(time: u64, answer: bool, consumed: u64, extensions: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let extensions = Extensions::from_encoded(extensions).unwrap();
    Ping { time, body: PingBody::Client { answer, consumed, directs: 0 }, extensions }.encode(&mut bytes);
    bytes
}

/// One record behind another.
pub fn records(records: &[Record<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    records.iter().for_each(|record| record.encode(&mut out));
    out
}
