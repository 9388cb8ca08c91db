//! Any bytes inflate to at most the cap; a frame that is compressed keeps its kind, options and head,
//! and inflates to the same records. Neither depends on what went through before.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tickwire::deflate::{Deflater, InflateError, Inflater, MAX_RECORDS};
use tickwire::wire::header::flags;
use tickwire::wire::{Head, Header, Kind, Position, RoomId, Sender, ServerData, split_frame};

fuzz_target!(|data: &[u8]| {
    let Some(([cap, mode], data)) = data.split_first_chunk() else { return };
    inflate(data, usize::from(*cap) * 64);
    // As it came, and as the records of a frame.
    deflate(data);
    let head = Head { room: RoomId((*cap).into()), position: Position(1 << (mode >> 3)), tick: 9 };
    // Repeated, so that there is something to gain. Below 64 KiB, as the encoder wants it.
    let records = data[..data.len().min(16_000)].repeat(1 + usize::from(mode & 3));
    let mut frame = Vec::new();
    let kind = Kind::from_flags(*mode).unwrap_or(Kind::Event);
    let options = mode & (flags::MORE | flags::URGENT);
    ServerData { kind, options, head, records: &records }.encode(&mut frame);
    deflate(&frame);
});

thread_local! {
    /// Used for every input, as a shard uses them for every frame.
    static USED: RefCell<(Deflater, Inflater)> = const { RefCell::new((Deflater::new(0), Inflater::new())) };
}

/// Below, at and above what there is.
fn inflate(stream: &[u8], cap: usize) {
    let (mut inflater, mut out) = (Inflater::new(), Vec::new());
    let result = inflater.inflate(stream, cap, &mut out);
    let mut again = Vec::new();
    USED.with_borrow_mut(|(_, used)| assert_eq!(used.inflate(stream, cap, &mut again), result));
    assert_eq!(again, out);
    assert!(out.len() <= cap && out.capacity() <= cap + 16);
    assert!(result.is_ok() || out.is_empty());
    let mut whole = Vec::new();
    match inflater.inflate(stream, MAX_RECORDS, &mut whole) {
        Ok(()) if whole.len() <= cap => assert_eq!((result, out), (Ok(()), whole)),
        Ok(()) => {
            assert_eq!(result, Err(InflateError::TooLarge));
            assert_eq!(inflater.inflate(stream, whole.len(), &mut out), Ok(()));
            assert_eq!(inflater.inflate(stream, whole.len() - 1, &mut whole), Err(InflateError::TooLarge));
        }
        // What is corrupt may be found too large before that is seen.
        Err(_) => assert!(result.is_err()),
    }
}

fn deflate(plain: &[u8]) {
    let compressed = Deflater::new(0).deflate_frame(plain);
    USED.with_borrow_mut(|(used, _)| assert_eq!(used.deflate_frame(plain), compressed));
    let Some(compressed) = compressed else { return };
    assert!(compressed.len() < plain.len());
    assert_eq!(Deflater::new(0).deflate_frame(&compressed), None, "once is enough");
    let (raw, rest) = split_frame(&compressed, 65_535, Sender::Server).expect("readable").expect("whole");
    assert!(rest.is_empty());
    let data = ServerData::decode(raw.header.flags, raw.payload).expect("readable").expect("a known kind");
    let before = ServerData::decode(plain[3], &plain[Header::LEN..]).expect("readable").expect("a known kind");
    assert_eq!(data.options, before.options | flags::COMPRESSED);
    assert_eq!((data.kind, data.head), (before.kind, before.head));
    let mut records = Vec::new();
    assert_eq!(Inflater::new().inflate(data.records, before.records.len(), &mut records), Ok(()));
    assert_eq!(records, before.records);
}
