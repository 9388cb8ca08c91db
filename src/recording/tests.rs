//! The format: round trips, every cut, every flipped byte.

use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;

use super::block::{self, Head, MAX_BODY};
use super::*;
use crate::wire::{Head as FrameHead, Key, Kind, MemberNumber, Position, Record, RoomId, VARINT_END};

fn preface() -> Preface {
    let room = RoomName::new(b"arena/1").unwrap();
    Preface { room, epoch: Epoch([7; 8]), period: 50_000, wall: 1_795_226_400_000_000, start: 1_000_000 }
}

fn frame(kind: Kind, options: u8, records: &[Record<'_>]) -> Vec<u8> {
    let mut encoded = Vec::new();
    records.iter().for_each(|record| record.encode(&mut encoded));
    let head = FrameHead { room: RoomId(7), position: Position(3), tick: 9 };
    let mut out = Vec::new();
    ServerData { kind, options, head, records: &encoded }.encode(&mut out);
    out
}

fn event(payload: &[u8]) -> Vec<u8> {
    frame(Kind::Event, 0, &[Record { member: MemberNumber(2), key: None, payload }])
}

fn write(entries: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &preface()).unwrap();
    entries.iter().for_each(|(time, frames)| writer.write(*time, frames).unwrap());
    let counted = writer.bytes();
    let bytes = writer.into_inner();
    assert_eq!(counted, bytes.len() as u64);
    bytes
}

/// The entries before the end or the first error, as time and frames, and how it ended.
type Read = (Vec<(u64, Vec<u8>)>, Result<Option<Torn>, Error>);

fn read(bytes: &[u8]) -> Result<Read, Error> {
    let mut reader = Reader::new(bytes)?;
    assert_eq!(*reader.preface(), preface());
    let mut entries = Vec::new();
    let ended = loop {
        match reader.next() {
            Some(Ok(entry)) => entries.push((entry.time, entry.bytes().to_vec())),
            Some(Err(error)) => break Err(error),
            None => break Ok(reader.torn()),
        }
    };
    assert!(reader.next().is_none(), "nothing follows the end");
    Ok((entries, ended))
}

fn small() -> Vec<(u64, Vec<u8>)> {
    let value = Record { member: MemberNumber(3), key: Some(Key::member(5).wire()), payload: b"up" };
    let mut two = event(b"b");
    two.extend(frame(Kind::Value, 0x40, &[value, value]));
    vec![(1_000_001, event(b"a")), (1_050_000, two), (1_050_000, frame(Kind::Presence, 0, &[]))]
}

/// Where each entry begins, and the end.
fn boundaries(entries: &[(u64, Vec<u8>)]) -> Vec<usize> {
    (0..=entries.len()).map(|count| write(&entries[..count]).len()).collect()
}

#[test]
fn what_was_written_is_read() {
    let entries = small();
    let (read, ended) = read(&write(&entries)).unwrap();
    assert_eq!(read, entries);
    assert_eq!(ended.unwrap(), None);
    let entry = Entry::new(1, entries[1].1.clone()).unwrap();
    let kinds: Vec<_> = entry.data().map(|data| (data.kind, data.records().count())).collect();
    assert_eq!(kinds, [(Kind::Event, 1), (Kind::Value, 2)]);
}

#[test]
fn the_example_of_the_document_is_what_is_written() {
    let document = include_str!("../../docs/recording.md");
    let example = document.rsplit("```text\n").next().unwrap();
    let bytes_of = |line: &str| {
        let bytes = line.split('#').next().unwrap().split_whitespace();
        bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<u8>>()
    };
    let expected: Vec<u8> = example.lines().take_while(|line| !line.starts_with("```")).flat_map(bytes_of).collect();
    assert_eq!(write(&[(1_000_001, event(b"a"))]), expected);
}

#[test]
fn every_cut_leaves_whole_entries_and_says_what_is_torn() {
    let entries = small();
    let (bytes, boundaries) = (write(&entries), boundaries(&entries));
    for cut in 0..=bytes.len() {
        let found = read(&bytes[..cut]);
        if cut < boundaries[0] {
            assert!(matches!(found, Err(Error::NotARecording | Error::Preface)), "cut in the preface, at {cut}");
            continue;
        }
        let whole = boundaries.iter().filter(|end| **end <= cut).count() - 1;
        let (read, ended) = found.unwrap();
        assert_eq!(read, entries[..whole], "cut at {cut}");
        let begins = boundaries[whole];
        let torn = (cut > begins).then(|| Torn { offset: begins as u64, bytes: (cut - begins) as u64 });
        assert_eq!(ended.unwrap(), torn, "cut at {cut}");
    }
}

#[test]
fn every_flipped_byte_is_noticed_where_it_is() {
    let entries = small();
    let (bytes, boundaries) = (write(&entries), boundaries(&entries));
    let last = boundaries[entries.len() - 1];
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let found = read(&damaged);
            if at < boundaries[0] {
                assert!(found.is_err(), "byte {at} of the preface");
                continue;
            }
            let whole = boundaries.iter().filter(|end| **end <= at).count() - 1;
            let (read, ended) = found.unwrap();
            assert_eq!(read, entries[..whole], "byte {at}");
            match ended {
                Ok(Some(torn)) => assert_eq!((torn.offset, at >= last), (last as u64, true), "byte {at}"),
                Err(Error::Corrupt { offset }) => assert_eq!((offset, at < last), (boundaries[whole] as u64, true)),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn zeros_and_noise_behind_the_last_entry_are_torn_unless_there_are_too_many() {
    let bytes = write(&small());
    let check = |tail: &[u8]| read(&[&bytes, tail].concat()).unwrap().1;
    for len in [1, Head::LEN, 4096, Head::LEN + MAX_BODY] {
        let torn = Torn { offset: bytes.len() as u64, bytes: len as u64 };
        assert_eq!(check(&vec![0; len]).unwrap(), Some(torn));
        assert_eq!(check(&vec![0xa5; len]).unwrap(), Some(torn));
    }
    let offset = bytes.len() as u64;
    let found = check(&vec![0; Head::LEN + MAX_BODY + 1]);
    assert!(matches!(found, Err(Error::Corrupt { offset: at }) if at == offset));
}

#[test]
fn what_is_no_recording_is_told_apart() {
    let check = |bytes: &[u8]| Reader::new(bytes).unwrap_err();
    assert!(matches!(check(b""), Error::NotARecording));
    assert!(matches!(check(b"GET / HTTP/1.1\r\n"), Error::NotARecording));
    assert!(matches!(check(&[0xd7, 0x54, 0x57, 0x52, 2]), Error::Version(2)));
    assert!(matches!(check(&[0xd7, 0x54, 0x57, 0x52, 1]), Error::Preface));
    let mut trailing = MAGIC.to_vec();
    trailing.push(VERSION);
    let mut body = Vec::new();
    preface().encode(&mut body);
    body.push(0);
    block::encode(&body, &mut trailing);
    assert!(matches!(check(&trailing), Error::Preface));
}

#[test]
fn whole_entries_of_something_else_are_unreadable() {
    let check = |body: &[u8], expected: DecodeError| {
        let mut bytes = write(&[]);
        let at = bytes.len() as u64;
        block::encode(body, &mut bytes);
        let ended = read(&bytes).unwrap().1;
        let found = matches!(ended, Err(Error::Unreadable { offset, error }) if (offset, error) == (at, expected));
        assert!(found, "{body:?}: {ended:?}");
    };
    check(&[], DecodeError::Truncated);
    check(&[5], DecodeError::Truncated);
    check(&[5, 1, 0, 4, 0, 7, 1, 0], DecodeError::Truncated);
    check(&[5, 1, 0, 5, 0, 7, 1, 0, 4, 9], DecodeError::Truncated);
    check(&[5, 1, 0, 4, 1, 7, 1, 0, 4], DecodeError::ReservedFlags(1));
    check(&[5, 3, 0, 2, 0, 0, 0], DecodeError::UnknownType(3));
    check(&[0x80, 0, 1, 0, 4, 0, 7, 1, 0, 4], DecodeError::VarintNotMinimal);
}

#[test]
fn the_writer_refuses_what_could_not_be_read() {
    let mut writer = Writer::new(Vec::new(), &preface()).unwrap();
    let before = writer.bytes();
    let mut check = |time, frames: &[u8]| {
        assert_eq!(writer.write(time, frames).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(writer.bytes(), before, "nothing is written");
    };
    check(0, &[]);
    check(0, &[1, 0, 4, 0, 7]);
    check(VARINT_END, &event(b"a"));
    check(0, &event(&[0; 60_000]).repeat(3));
    writer.write(VARINT_END - 1, &event(&[0; 60_000]).repeat(2)).unwrap();
    assert!(Writer::new(Vec::new(), &Preface { wall: VARINT_END, ..preface() }).is_err());
}

#[test]
fn an_announced_length_reserves_nothing() {
    // The largest length, with a head that holds, and no body.
    let mut body = Vec::new();
    block::encode(&vec![0; MAX_BODY], &mut body);
    let bytes = [write(&[]), body[..Head::LEN].to_vec()].concat();
    let mut reader = Reader::new(Cursor::new(bytes)).unwrap();
    assert!(reader.next().is_none());
    assert_eq!(reader.torn().unwrap().bytes, Head::LEN as u64);
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let record = (0..1000_u64, 0..1000_u64, vec(any::<u8>(), 0..40));
    (0..6_usize, any::<bool>(), vec(record, 0..8)).prop_map(|(kind, more, records)| {
        let kinds = [Kind::Event, Kind::Value, Kind::Presence, Kind::Direct, Kind::Snapshot, Kind::Members];
        let kind = kinds[kind];
        let record = |(member, key, payload): &(u64, u64, Vec<u8>)| {
            let key = kind.has_key().then_some(*key);
            let mut out = Vec::new();
            Record { member: MemberNumber(*member), key, payload }.encode(&mut out);
            out
        };
        let encoded: Vec<u8> = records.iter().flat_map(record).collect();
        let head = FrameHead { room: RoomId(1), position: Position(1), tick: 1 };
        let mut out = Vec::new();
        ServerData { kind, options: if more { 0x40 } else { 0 }, head, records: &encoded }.encode(&mut out);
        out
    })
}

proptest! {
    #[test]
    fn any_frames_come_back(
        entries in vec((0..VARINT_END, vec(any_frame(), 1..4).prop_map(|frames| frames.concat())), 0..8),
    ) {
        let (read, ended) = read(&write(&entries)).unwrap();
        prop_assert_eq!(read, entries);
        prop_assert_eq!(ended.unwrap(), None);
    }

    #[test]
    fn damage_leaves_a_prefix(
        entries in vec((0..VARINT_END, any_frame()), 1..6),
        at in any::<prop::sample::Index>(),
        noise in vec(any::<u8>(), 1..20),
    ) {
        let bytes = write(&entries);
        let start = write(&[]).len() + at.index(bytes.len() - write(&[]).len());
        let mut damaged = bytes.clone();
        damaged.splice(start..bytes.len().min(start + noise.len()), noise);
        let (read, ended) = read(&damaged).unwrap();
        prop_assert!(entries.starts_with(&read));
        if damaged != bytes {
            prop_assert!(read.len() < entries.len() || matches!(ended, Ok(Some(_)) | Err(_)));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..400)) {
        let recording = [write(&[]), bytes].concat();
        prop_assert!(read(&recording).is_ok());
    }
}
