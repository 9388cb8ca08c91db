//! PROTOCOL.md is the authority: its examples, tables and numbers, held against the library.

use std::time::Duration;

use bytes::BytesMut;
use tickwire::limits::Limits;
use tickwire::wire::{
    Advice, DecodeError, Decoder, MAGIC, Reader, Reason, Sender, VERSION, put_varint, split_frame, varint_len,
};

use crate::recode::{MAX_FRAME, recode};
use crate::support::{hex, inflated, unhex};

const SPEC: &str = include_str!("../../PROTOCOL.md");

/// One block of hex with what its info string says.
struct Example {
    line: usize,
    sender: Sender,
    start: bool,
    error: Option<u64>,
    /// Each frame twice: compressed, then plain.
    deflated: bool,
    bytes: Vec<u8>,
}

fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    let mut lines = SPEC.lines().enumerate();
    while let Some((line, text)) = lines.next() {
        let Some(info) = text.strip_prefix("```hex ") else { continue };
        let body: Vec<&str> = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```").collect();
        let words: Vec<&str> = info.split(' ').collect();
        let word = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
        examples.push(Example {
            line: line + 1,
            sender: if word("from=") == Some("client") { Sender::Client } else { Sender::Server },
            start: words.contains(&"start"),
            error: word("error=").map(|number| number.parse().unwrap()),
            deflated: words.contains(&"deflated"),
            bytes: unhex(&body.join("\n")),
        });
    }
    examples
}

/// The cells of every table row under the heading that starts with `heading`, header rows included.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let from = SPEC.find(&format!("\n{heading}")).unwrap() + 1;
    let section = &SPEC[from..];
    let section = section[3..].find("\n## ").map_or(section, |end| &section[..end + 3]);
    let rows = section.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_example_decodes_and_encodes_to_the_same_bytes() {
    let examples = examples();
    assert!(examples.len() >= 33, "section 16 has many examples, found {}", examples.len());
    for example in examples.iter().filter(|example| example.error.is_none()) {
        let mut rest = &example.bytes[..];
        if example.start {
            let (preamble, frames) = rest.split_at(4);
            assert_eq!(preamble, [&MAGIC[..], &[VERSION]].concat());
            rest = frames;
        }
        assert!(!rest.is_empty());
        while !rest.is_empty() {
            let (frame, next) = split_frame(rest, MAX_FRAME, example.sender).unwrap().unwrap();
            let bytes = &rest[..4 + frame.payload.len()];
            let again = recode(bytes, example.sender).unwrap().unwrap();
            assert_eq!(hex(&again), hex(bytes), "PROTOCOL.md:{}", example.line);
            rest = next;
        }
    }
}

#[test]
fn every_example_of_an_error_gives_its_reason() {
    let examples = examples();
    let wrong: Vec<_> = examples.iter().filter_map(|example| Some((example, example.error?))).collect();
    assert!(wrong.len() >= 2);
    for (example, error) in wrong {
        let reason = recode(&example.bytes, example.sender).map_err(DecodeError::reason);
        assert_eq!(reason, Err(Reason(error)), "PROTOCOL.md:{}", example.line);
    }
}

#[test]
fn compressed_examples_inflate_to_the_plain_ones_beside_them() {
    let mut pairs = 0;
    for example in examples().iter().filter(|example| example.deflated) {
        let mut rest = &example.bytes[..];
        while !rest.is_empty() {
            let (small, behind) = split_frame(rest, MAX_FRAME, example.sender).unwrap().unwrap();
            let (plain, next) = split_frame(behind, MAX_FRAME, example.sender).unwrap().unwrap();
            let expected = &behind[..4 + plain.payload.len()];
            let inflated = inflated(small.header.flags, small.payload, example.sender).unwrap();
            assert_eq!(hex(&inflated), hex(expected), "PROTOCOL.md:{}", example.line);
            pairs += 1;
            rest = next;
        }
    }
    assert!(pairs >= 3);
}

#[test]
fn examples_come_out_of_a_stream_cut_anywhere() {
    for example in examples().iter().filter(|example| example.error.is_none()) {
        let frames = &example.bytes[if example.start { 4 } else { 0 }..];
        for cut in 0..frames.len() {
            let decoder = Decoder::new(example.sender, MAX_FRAME);
            let mut buffer = BytesMut::from(&frames[..cut]);
            let mut seen = Vec::new();
            let mut drain = |buffer: &mut BytesMut| {
                while let Some(frame) = decoder.decode(buffer).unwrap() {
                    seen.extend(frame.header.bytes());
                    seen.extend(frame.payload);
                }
            };
            drain(&mut buffer);
            buffer.extend_from_slice(&frames[cut..]);
            drain(&mut buffer);
            assert_eq!(hex(&seen), hex(frames), "PROTOCOL.md:{}", example.line);
        }
    }
}

#[test]
fn the_table_of_reasons_is_the_librarys() {
    let rows = table("## 14. Reasons");
    let parse = |row: &Vec<&'static str>| Some((row.first()?.parse().ok()?, *row.get(2)?));
    let written: Vec<(u64, &str)> = rows.iter().filter_map(parse).collect();
    let known: Vec<_> = Reason::ALL.iter().map(|reason| (reason.0, reason.sentence())).collect();
    assert_eq!(written, known);
}

#[test]
fn the_ranges_of_reasons_give_the_documents_advice() {
    let rows = table("## 14. Reasons");
    let advice = |row: &Vec<&'static str>| match *row.get(1)? {
        text if text.starts_with("**retry** ") => Some(Advice::Retry),
        text if text.starts_with("**retry later") => Some(Advice::Later),
        text if text.starts_with("**not retry**") => Some(Advice::Never),
        _ => None,
    };
    let mut checked = 0;
    for (ranges, advice) in rows.iter().filter_map(|row| Some((row[0], advice(row)?))) {
        for range in ranges.split(", ") {
            let (first, last) = range.split_once(" to ").unwrap();
            for number in first.parse().unwrap()..=last.parse().unwrap() {
                assert_eq!(Reason(number).advice(), advice, "{number}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 99 + 100 + 100 + 100);
    for reserved in [0, 300, 899, 1000, 1 << 52] {
        assert_eq!(Reason(reserved).advice(), Advice::Retry, "{reserved}");
    }
    assert_eq!([Reason(300).close_code(), Reason(999).close_code(), Reason(1 << 52).close_code()], [4300, 4999, 4999]);
}

#[test]
fn the_table_of_limits_states_the_defaults() {
    let rows = table("## 13. Limits");
    let limits = Limits::default();
    let stated = |name: &str| rows.iter().find(|row| row[0].starts_with(name)).unwrap_or_else(|| panic!("{name}"))[1];
    let seconds = |duration: Duration| format!("{} s", duration.as_secs());
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let check = |name: &str, expected: String| assert_eq!(stated(name), expected, "{name}");
    check("frame payload, either way", format!("{} bytes", limits.max_frame));
    check("frame payload before HELLO", format!("{} bytes", limits.max_hello_frame));
    check("message payload", format!("{} bytes", limits.max_message));
    check("token", format!("{} bytes", limits.max_token));
    check("room name", format!("{} bytes", tickwire::name::RoomName::MAX_LEN));
    check("rooms per session", limits.max_rooms.to_string());
    check("data with a join", format!("{} bytes", limits.max_join_data));
    check("presence data", format!("{} bytes", limits.max_presence_data));
    check("members per room", limits.max_members.to_string());
    check("rooms per server", format!("{} per shard", limits.max_shard_rooms));
    check("values per room", limits.max_room_values.to_string());
    check("values per member", limits.max_member_values.to_string());
    check("bytes of all values", format!("{} MiB", limits.max_value_bytes >> 20));
    check("bytes a room gathers", kib(limits.max_batch));
    check("directs a room gathers", limits.max_directs.to_string());
    check("early flushes", limits.max_early_flushes.to_string());
    let batches = "three quarters of it for batches";
    check("output queued", format!("{} or {} frames, {batches}", kib(limits.outbox_bytes), limits.outbox_frames));
    check("lag above which", kib(limits.low_water));
    check("history and values of all", format!("{} MiB", limits.kept_bytes >> 20));
    check("time a session waits", seconds(limits.grace));
    check("time a session goes on", seconds(limits.token_grace));
    check("sessions that wait", limits.max_away.to_string());
    check("directs kept", limits.max_unconfirmed.to_string());
    check("refusals", format!("{} at once, {} a second", limits.refusals_burst, limits.refusals_per_sec));
    check("joins per session", format!("{} at once, {} a second", limits.joins_burst, limits.joins_per_sec));
    check("pings per session", format!("{} at once, {} a second", limits.pings_burst, limits.pings_per_sec));
    check("time from connection", seconds(limits.hello_timeout));
    check("time until a ping", seconds(limits.pong_timeout));
    check("time without being", seconds(limits.idle_timeout));
    let busy = seconds(limits.busy_ping_interval);
    check("silence before", format!("{}; {busy} while sending", seconds(limits.ping_interval)));
    check("connections", limits.max_connections.to_string());
    check("connections without HELLO", limits.max_greeting.to_string());
    let greeting = format!("{} of them without HELLO", limits.address_greetings);
    check("connections of an address", format!("{}, {greeting}", limits.address_connections));
    let rate = |burst: u32, per_sec: u32| format!("{burst} at once, {per_sec} a second");
    check("connects of an address", rate(limits.address_connects_burst, limits.address_connects_per_sec));
    check("failed logins", rate(limits.address_failures_burst, limits.address_failures_per_sec));
    check("TLS handshakes at once", limits.max_handshakes.to_string());
    check("TLS handshakes of an address", limits.address_handshakes.to_string());
    assert_eq!((limits.subject_connections, limits.subject_connects_per_sec), (0, 0));
    check("connections of a subject", "no limit".into());
    assert!(stated("memory of the process").starts_with(&format!("{} %", limits.memory_watermark)));
    check("rooms made", format!("{}, per shard", rate(limits.rooms_burst, limits.rooms_per_sec)));
    let (burst, per_sec) = (limits.fanout_burst >> 20, limits.fanout_per_sec >> 20);
    check("bytes that a session causes", format!("{burst} MiB at once, {per_sec} MiB a second, per shard"));
    assert_eq!((limits.messages_per_sec, limits.bytes_per_sec), (0, 0));
    check("discarding", format!("{}, {}", seconds(limits.discard_timeout), kib(limits.discard_bytes)));
    assert!(SPEC.contains("64 counted for each") && Limits::VALUE_OVERHEAD == 64);
    assert!(SPEC.contains("at the earliest 30 s after") && seconds(limits.number_quarantine) == "30 s");
}

#[test]
fn the_table_of_varints_is_how_they_are_written() {
    let from = SPEC.find(" value      bytes ").unwrap();
    let mut rows = SPEC[from..].lines().take_while(|line| *line != "```");
    let second = rows.next().unwrap().rfind("value").unwrap();
    let cells: Vec<&str> = rows.flat_map(|row| <[&str; 2]>::from(row.split_at(second))).map(str::trim).collect();
    for cell in &cells {
        let (value, rest) = cell.split_once(' ').unwrap();
        let bytes = unhex(rest.split('(').next().unwrap());
        let read = Reader::new(&bytes).varint();
        if value == "malformed:" {
            assert_eq!(read.map_err(DecodeError::reason), Err(Reason::MALFORMED), "{cell}");
            continue;
        }
        let value = value.parse().unwrap();
        let mut written = Vec::new();
        put_varint(value, &mut written);
        assert_eq!((read, written), (Ok(value), bytes.clone()), "{cell}");
        assert_eq!(varint_len(value), bytes.len(), "{cell}");
    }
    assert_eq!(cells.len(), 10);
}
