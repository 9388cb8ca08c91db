//! A stream cut at chosen places gives the frames of the whole stream, and what is decoded encodes
//! to the same bytes, from either side.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tickwire::wire::{Decoder, FrameType, Kind, Presence, Sender, ServerData, split_frame};

#[path = "../../tests/it/recode.rs"]
mod recode;

use recode::{MAX_FRAME, recode, recode_presence};

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let sender = if mode & 1 == 0 { Sender::Client } else { Sender::Server };
    let (cuts, stream) = data.split_at(data.len().min(usize::from(mode >> 5)));
    let decoder = Decoder::new(sender, MAX_FRAME);
    let (mut buffer, mut fed, mut cuts) = (BytesMut::new(), 0, cuts.iter().cycle());
    let mut whole = stream;
    loop {
        let (expected, cut) = (split_frame(whole, MAX_FRAME, sender), decoder.decode(&mut buffer));
        match (expected, cut) {
            (Ok(Some((frame, rest))), Ok(Some(decoded))) => {
                assert_eq!((frame.header, frame.payload), (decoded.header, &decoded.payload[..]));
                check(&whole[..whole.len() - rest.len()], sender);
                whole = rest;
            }
            (expected, Ok(None)) if fed == stream.len() => return assert_eq!(expected, Ok(None)),
            (_, Ok(None)) => {
                let size = cuts.next().map_or(stream.len(), |cut| usize::from(*cut) + 1);
                let end = stream.len().min(fed + size);
                buffer.extend_from_slice(&stream[fed..end]);
                fed = end;
            }
            (expected, Err(error)) => return assert_eq!(expected, Err(error)),
            (expected, cut) => panic!("{expected:?} {cut:?}"),
        }
    }
});

/// A client ignores reserved flags, so they are not written again.
fn check(frame: &[u8], sender: Sender) {
    if let Ok(Some(again)) = recode(frame, sender) {
        assert_eq!((&again[..3], &again[4..]), (&frame[..3], &frame[4..]));
        assert!(sender == Sender::Server || again[3] == frame[3]);
    }
    if sender == Sender::Server && frame[0] == FrameType::Data as u8 {
        let Ok(Some(data)) = ServerData::decode(frame[3], &frame[4..]) else { return };
        for record in data.records().flatten().filter(|_| matches!(data.kind, Kind::Presence | Kind::Members)) {
            let again = recode_presence(record.payload);
            let known = !matches!(Presence::decode(record.payload), Ok(Presence::Unknown(_)));
            assert!(again.is_err() || !known || record.payload.starts_with(&again.unwrap()));
        }
    }
}
