//! Data frames made smaller and records made whole again: raw deflate, one stream a frame (PROTOCOL 12.4).
//!
//! ```text
//! | header | head | record  record  record ... |        plain
//!     |       |                 | Deflater
//! | header'| head | deflate stream |                    flag bit 0, a new length, the same head
//!                         | Inflater, never past its cap
//!                 | record  record  record ... |
//! ```
//!
//! Every stream stands alone: a frame can be skipped, replayed and shared by receivers who joined at
//! different times, and nothing that one room sent can be seen in the length of another's frames.

use core::fmt;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::wire::header::flags;
use crate::wire::{FrameType, Sender, ServerData, split_frame};

/// The most that the records of a compressed frame inflate to, in bytes (PROTOCOL 12.4): a client's
/// cap where it has no smaller one. More than any plain frame can hold.
pub const MAX_RECORDS: usize = 64 * 1024;

/// Compresses the records of a server's data frames.
///
/// Meant as one per shard, for all of its rooms: the compressor takes about 370 KiB, made when the
/// first frame is long enough to need it, and used again for every later one. A frame is compressed
/// once, whatever the number of receivers.
#[derive(Debug)]
pub struct Deflater {
    threshold: usize,
    compress: Option<Compress>,
    /// Where a stream is written before its length is known. At most 72 KiB.
    stream: Vec<u8>,
}

impl Deflater {
    /// Bytes of records below which a frame is sent as it is, unless [`new`](Self::new) says otherwise.
    /// 128: one or two messages gain little or nothing, and the compressor costs microseconds before
    /// it has seen its first byte.
    pub const THRESHOLD: usize = 128;

    /// 1, the fastest: a shard's rooms wait for each other's frames. It leaves 0.36 to 0.47 of JSON in
    /// batches of ten and more. Level 2 leaves 0.28 to 0.39 and takes two to three times as long; those
    /// above it gain a hundredth or two (`benches/compression.rs`).
    const LEVEL: u32 = 1;

    /// A compressor for frames with at least `threshold` bytes of records. Allocates nothing yet.
    #[must_use]
    pub const fn new(threshold: usize) -> Self {
        Self { threshold, compress: None, stream: Vec::new() }
    }

    /// The same frame with its records compressed: flag bit 0 is set, the length says what is there
    /// now, and the head is as it was (PROTOCOL 8.1). The result is allocated to its exact size.
    ///
    /// `None` where `frame` should be sent as it is: its records are below the threshold, or would not
    /// become smaller, or are compressed already, or it is not one whole data frame from a server.
    #[must_use]
    pub fn deflate_frame(&mut self, frame: &[u8]) -> Option<Bytes> {
        let Ok(Some((raw, []))) = split_frame(frame, usize::from(u16::MAX), Sender::Server) else { return None };
        if raw.header.frame_type != FrameType::Data {
            return None;
        }
        let data = ServerData::decode(raw.header.flags, raw.payload).ok()??;
        if data.options & flags::COMPRESSED != 0 || data.records.len() < self.threshold {
            return None;
        }
        let records = self.deflate(data.records)?;
        let compressed = ServerData { options: data.options | flags::COMPRESSED, records, ..data };
        let mut out = Vec::with_capacity(compressed.encoded_len());
        compressed.encode(&mut out);
        Some(out.into())
    }

    /// The stream of `records`, if it is smaller than they are.
    fn deflate(&mut self, records: &[u8]) -> Option<&[u8]> {
        // More than any stream takes: nine bits for a byte at worst, and its first and last bits. The
        // compressor must not be stopped half way: what it has not written yet stays with it, also
        // after a reset, until its buffer is full and it panics (zlib-rs 0.6.8).
        let room = records.len() + records.len() / 8 + 64;
        if self.stream.len() < room {
            self.stream.resize(room, 0);
        }
        let compress = self.compress.get_or_insert_with(|| Compress::new(Compression::new(Self::LEVEL), false));
        compress.reset();
        let Ok(Status::StreamEnd) = compress.compress(records, &mut self.stream, FlushCompress::Finish) else {
            // For the same reason it is not used again.
            self.compress = None;
            return None;
        };
        let len = usize::try_from(compress.total_out()).ok()?;
        self.stream.get(..len).filter(|stream| stream.len() < records.len())
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new(Self::THRESHOLD)
    }
}

/// Inflates what a peer has compressed, with a bound on what comes out.
///
/// Meant as one per task, for all the connections it reads: the state takes about 50 KiB, made for the first
/// stream and used again for every later one.
#[derive(Debug, Default)]
pub struct Inflater {
    decompress: Option<Decompress>,
}

impl Inflater {
    /// What is reserved at once for a short stream. Most ticks fit.
    const FIRST: usize = 1024;

    /// Room is made for so many times the stream's length at first: more than text and positions
    /// need, so that mostly one step is enough, and little for a stream that turns out to be corrupt.
    const RATIO: usize = 4;

    /// An inflater that has not allocated anything yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { decompress: None }
    }

    /// Replaces what `out` holds by what the one whole stream in `compressed` inflates to, at most `cap`
    /// bytes (PROTOCOL 12.4). `out` keeps its memory, and never grows past `cap + 1` bytes for this.
    ///
    /// # Errors
    /// [`InflateError::TooLarge`] as soon as there is more than `cap`; [`InflateError::Corrupt`] where
    /// the bytes are no stream, end before it does, or go on behind it. `out` is then empty.
    pub fn inflate(&mut self, compressed: &[u8], cap: usize, out: &mut Vec<u8>) -> Result<(), InflateError> {
        out.clear();
        let inflated = self.inflate_into(compressed, cap, out);
        out.truncate(*inflated.as_ref().unwrap_or(&0));
        inflated.map(drop)
    }

    /// Bytes inflated. What `out` holds behind them is without meaning.
    fn inflate_into(&mut self, compressed: &[u8], cap: usize, out: &mut Vec<u8>) -> Result<usize, InflateError> {
        let decompress = self.decompress.get_or_insert_with(|| Decompress::new(false));
        decompress.reset(false);
        // One byte above the cap tells a stream that is too long from one that has just enough.
        let most = cap.saturating_add(1);
        let (mut taken, mut written) = (0, 0);
        let mut room = compressed.len().saturating_mul(Self::RATIO).max(Self::FIRST).min(most);
        loop {
            out.reserve_exact(room.saturating_sub(out.len()));
            out.resize(room, 0);
            let input = compressed.get(taken..).unwrap_or_default();
            let output = out.get_mut(written..).unwrap_or_default();
            let status = decompress.decompress(input, output, FlushDecompress::Finish);
            let status = status.map_err(|_| InflateError::Corrupt)?;
            taken = usize::try_from(decompress.total_in()).unwrap_or(usize::MAX);
            written = usize::try_from(decompress.total_out()).unwrap_or(usize::MAX);
            if written > cap {
                return Err(InflateError::TooLarge);
            }
            match status {
                Status::StreamEnd if taken == compressed.len() => return Ok(written),
                Status::StreamEnd => return Err(InflateError::Corrupt),
                // There was room left, so what is missing is input.
                _ if written < room => return Err(InflateError::Corrupt),
                _ => room = room.saturating_mul(2).min(most),
            }
        }
    }
}

/// Why bytes were not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// More would come out than the cap allows.
    TooLarge,
    /// Not one whole deflate stream and nothing behind it.
    Corrupt,
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "compressed data would inflate beyond the limit",
            Self::Corrupt => "compressed data is not one whole deflate stream",
        })
    }
}

impl core::error::Error for InflateError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Head, Header, Kind, MemberNumber, Position, Record, RoomId};

    // What Python's zlib makes of `short_records` and `long_records` with wbits=-15.
    const STORED: &str = "014400bbff0f017b2278223a31312c2279223a32317d0f027b2278223a31322c2279223a32327d0f037b22\
        78223a31332c2279223a32337d0f047b2278223a31342c2279223a32347d";
    const FIXED: &str = "e367ac56aa50b23234d451aa54b23232ace56782081841048c6af9992102c61001e35a7e1688800944c0a41600";
    const DYNAMIC: &str = "2d91476e04310c04e11c67b9ce39c9f1e0c3ce28cebecc86c1bf9b60e9a8864a5d0dc9c65ff809eb58bfc36f\
        58e7a88b4d0f6af26056d9f2f3b8f2739954b63d48106353d9f1a041d45165d7830964aa2a7b1e6490b652d9f760068945e5000d90\
        66b5871e1490947538e206ad2ac75800e4a432e0ddb5ac63813844892a8205c8681d4bc441aa4d3b411c64b269a758742dab3d431c\
        24dab473b44066abbdc00324151d2e79833755ae1007c859e51a8bae651d378843149b768b78d7b28e3b2c40aa4dbb47bc97d8b407\
        4a41daa4cbc7fe8d30d1b63d610e335bef33e630a9eaf0420d844ac01c20dba7bd62deffc4b6bd5102516cdb3be6ddcb3a3e7812a4\
        dab64fcc7b896dfbc21ca445fd07";
    /// The short records with fixed codes, an empty stored block, and the same again.
    const BLOCKS: &str = "e267ac56aa50b23234d451aa54b23232ace56782081841048c6af9992102c61001e35a7e1688800944c0a4160\
        00000ffffe3a7821900";

    fn records(payloads: impl Iterator<Item = String>) -> Vec<u8> {
        let mut records = Vec::new();
        for (member, payload) in (1..).zip(payloads) {
            Record { member: MemberNumber(member), key: None, payload: payload.as_bytes() }.encode(&mut records);
        }
        records
    }

    fn short_records() -> Vec<u8> {
        records((1..=4).map(|member| format!("{{\"x\":{},\"y\":{}}}", 10 + member, 20 + member)))
    }

    fn long_records() -> Vec<u8> {
        records((1..=40).map(|member| format!("{{\"x\":{},\"y\":{}}}", member * 37 % 101, member * 53 % 97)))
    }

    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn frame(kind: Kind, options: u8, records: &[u8]) -> Vec<u8> {
        let head = Head { room: RoomId(300), position: Position(1 << 21), tick: 0xfedc };
        let mut frame = Vec::new();
        ServerData { kind, options, head, records }.encode(&mut frame);
        frame
    }

    /// Runs of equal bytes, which is what a compressor wins by.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec((any::<u8>(), 1..200_usize), 0..40)
            .prop_map(|runs| runs.into_iter().flat_map(|(byte, len)| std::iter::repeat_n(byte, len)).collect())
    }

    fn zeros(len: usize) -> Vec<u8> {
        let (mut compress, mut stream) =
            (Compress::new(Compression::best(), false), Vec::with_capacity(64 + len / 500));
        let status = compress.compress_vec(&vec![0; len], &mut stream, FlushCompress::Finish);
        assert_eq!(status.unwrap(), Status::StreamEnd);
        stream
    }

    fn inflate(stream: &[u8], cap: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = b"what was there before".to_vec();
        let result = Inflater::new().inflate(stream, cap, &mut out);
        assert!(out.len() <= cap, "never more than the cap");
        assert!(result.is_ok() || out.is_empty(), "nothing of what is refused");
        result.map(|()| out)
    }

    #[test]
    fn streams_of_another_compressor_are_inflated() {
        let check = |digits: &str, first_block: u8, expected: &[u8]| {
            let stream = hex(digits);
            assert_eq!(stream[0] & 0b111, first_block);
            assert_eq!(inflate(&stream, MAX_RECORDS).as_deref(), Ok(expected));
            assert_eq!(inflate(&stream, expected.len()).as_deref(), Ok(expected));
            assert_eq!(inflate(&stream, expected.len() - 1), Err(InflateError::TooLarge));
            assert_eq!(inflate(&stream, 0), Err(InflateError::TooLarge));
        };
        check(STORED, 0b001, &short_records());
        check(FIXED, 0b011, &short_records());
        check(DYNAMIC, 0b101, &long_records());
        check(BLOCKS, 0b010, &short_records().repeat(2));
    }

    #[test]
    fn a_stream_is_whole_and_alone() {
        for digits in [STORED, FIXED, DYNAMIC, BLOCKS] {
            let mut stream = hex(digits);
            for len in 0..stream.len() {
                assert_eq!(inflate(&stream[..len], MAX_RECORDS), Err(InflateError::Corrupt), "{len} bytes");
            }
            stream.push(0);
            assert_eq!(inflate(&stream, MAX_RECORDS), Err(InflateError::Corrupt));
        }
        // The reserved block type, a stored length that contradicts itself, and a distance before the start.
        for digits in ["07", "01ffffffff", "0302"] {
            assert_eq!(inflate(&hex(digits), MAX_RECORDS), Err(InflateError::Corrupt), "{digits}");
        }
        // A stream of nothing is a stream.
        assert_eq!(inflate(&hex("0300"), 0), Ok(vec![]));
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = zeros(10 << 20);
        assert!(bomb.len() < 11_000, "{} bytes", bomb.len());
        let (mut inflater, mut out) = (Inflater::new(), Vec::new());
        for cap in [0, 1, 1023, 15 * 1024, MAX_RECORDS] {
            assert_eq!(inflater.inflate(&bomb, cap, &mut out), Err(InflateError::TooLarge));
            assert!(out.is_empty());
            assert!(out.capacity() <= cap + 1 + 8, "{} bytes for a cap of {cap}", out.capacity());
        }
        assert_eq!(inflater.inflate(&bomb, 10 << 20, &mut out), Ok(()));
        assert_eq!(out.len(), 10 << 20);
    }

    #[test]
    fn an_inflater_goes_on_after_an_error() {
        let (mut inflater, mut out) = (Inflater::new(), Vec::new());
        for _ in 0..3 {
            assert_eq!(inflater.inflate(&hex(DYNAMIC)[..100], MAX_RECORDS, &mut out), Err(InflateError::Corrupt));
            assert_eq!(inflater.inflate(&zeros(5000), 4999, &mut out), Err(InflateError::TooLarge));
            assert_eq!(inflater.inflate(&hex(FIXED), MAX_RECORDS, &mut out), Ok(()));
            assert_eq!(out, short_records());
        }
    }

    #[test]
    fn a_frame_keeps_its_kind_options_and_head() {
        let (mut deflater, records) = (Deflater::default(), long_records());
        for kind in [Kind::Event, Kind::Value, Kind::Presence, Kind::Direct, Kind::Snapshot, Kind::Members] {
            for options in [0, flags::MORE, flags::URGENT, flags::MORE | flags::URGENT] {
                let plain = frame(kind, options, &records);
                let compressed = deflater.deflate_frame(&plain).unwrap();
                assert!(compressed.len() < plain.len());
                let (raw, rest) = split_frame(&compressed, MAX_RECORDS, Sender::Server).unwrap().unwrap();
                assert!(rest.is_empty());
                assert_eq!(raw.header.flags, plain[3] | flags::COMPRESSED);
                let head_len = plain.len() - Header::LEN - records.len();
                assert_eq!(raw.payload[..head_len], plain[Header::LEN..Header::LEN + head_len]);
                assert_eq!(inflate(&raw.payload[head_len..], MAX_RECORDS).as_deref(), Ok(&records[..]));
            }
        }
    }

    #[test]
    fn what_gains_nothing_stays_as_it_is() {
        let check = |threshold: usize, frame: &[u8], compressed: bool| {
            assert_eq!(Deflater::new(threshold).deflate_frame(frame).is_some(), compressed, "{frame:02x?}");
        };
        let event = |records: &[u8]| frame(Kind::Event, 0, records);
        check(Deflater::THRESHOLD, &event(&[0; Deflater::THRESHOLD]), true);
        check(Deflater::THRESHOLD, &event(&[0; Deflater::THRESHOLD - 1]), false);
        check(0, &event(&[0; 10]), true);
        check(0, &event(&[]), false);
        check(0, &event(&[0]), false);
        // Every byte once: nothing repeats.
        let distinct: Vec<u8> = (0..=255).collect();
        check(0, &event(&distinct), false);
        // The largest frame there is.
        check(0, &event(&[0; 65_535 - 8]), true);
        check(0, &frame(Kind::Event, flags::COMPRESSED, &[0; 500]), false);
    }

    #[test]
    fn only_whole_data_frames_are_compressed() {
        let plain = frame(Kind::Event, 0, &[0; 500]);
        let changed = |change: fn(&mut Vec<u8>)| {
            let mut frame = plain.clone();
            change(&mut frame);
            Deflater::new(0).deflate_frame(&frame)
        };
        assert!(changed(|_| ()).is_some());
        assert_eq!(changed(|frame| frame[0] = FrameType::Control as u8), None);
        assert_eq!(changed(|frame| frame[0] = FrameType::Ping as u8), None);
        assert_eq!(changed(|frame| frame[0] = 0), None);
        assert_eq!(changed(|frame| frame[3] = 7 << 1), None);
        assert_eq!(changed(|frame| frame.push(0)), None);
        assert_eq!(changed(|frame| frame.truncate(frame.len() - 1)), None);
        assert_eq!(changed(|frame| frame.truncate(3)), None);
        assert_eq!(changed(Vec::clear), None);
        // A head that cannot be read.
        assert_eq!(changed(|frame| frame[4..12].fill(0xff)), None);
    }

    #[test]
    fn frames_do_not_depend_on_those_before() {
        let (one, two) = (frame(Kind::Event, 0, &long_records()), frame(Kind::Value, 0, &short_records().repeat(9)));
        let alone = Deflater::default().deflate_frame(&two);
        let mut deflater = Deflater::default();
        // Also where the compressor gave up in between.
        let noise: Vec<u8> = (0..=255).collect();
        for before in [&one, &frame(Kind::Event, 0, &noise), &two] {
            let _compressed = deflater.deflate_frame(before);
            assert_eq!(deflater.deflate_frame(&two), alone);
        }
        assert!(alone.is_some());
    }

    /// zlib-rs 0.6.8 keeps what a stream that was given up has not written yet, reset or not.
    #[test]
    fn a_compressor_survives_what_it_cannot_shrink() {
        let distinct: Vec<u8> = (0..=255).collect();
        let (hopeless, plain) = (frame(Kind::Event, 0, &distinct), frame(Kind::Event, 0, &long_records()));
        let mut deflater = Deflater::default();
        for _ in 0..5000 {
            assert_eq!(deflater.deflate_frame(&hopeless), None);
        }
        assert_eq!(deflater.deflate_frame(&plain), Deflater::default().deflate_frame(&plain));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn inflating_undoes_deflating(frames in proptest::collection::vec(bytes(), 1..5), threshold in 0..300_usize) {
            let (mut deflater, mut inflater, mut out) = (Deflater::new(threshold), Inflater::new(), Vec::new());
            for records in frames {
                let plain = frame(Kind::Event, flags::MORE, &records);
                let Some(compressed) = deflater.deflate_frame(&plain) else { continue };
                prop_assert!(records.len() >= threshold && compressed.len() < plain.len());
                let data = ServerData::decode(compressed[3], &compressed[4..]).unwrap().unwrap();
                prop_assert_eq!(inflater.inflate(data.records, records.len(), &mut out), Ok(()));
                prop_assert_eq!(&out, &records);
                let short = inflater.inflate(data.records, records.len() - 1, &mut out);
                prop_assert_eq!(short, Err(InflateError::TooLarge));
            }
        }

        #[test]
        fn no_bytes_panic_or_pass_the_cap(stream: Vec<u8>, cap in 0..5000_usize) {
            let mut out = Vec::new();
            let result = Inflater::new().inflate(&stream, cap, &mut out);
            prop_assert!(out.len() <= cap && (result.is_ok() || out.is_empty()));
            let _frame = Deflater::new(0).deflate_frame(&stream);
        }

        #[test]
        fn a_damaged_stream_does_not_panic_or_pass_the_cap(at in 0..300_usize, bits in 1..=255_u8, cap in 0..5000_usize) {
            let mut stream = hex(DYNAMIC);
            let at = at % stream.len();
            stream[at] ^= bits;
            let _result = inflate(&stream, cap);
        }
    }
}
