//! Streams: cut anywhere, limited before anything comes, and not copied.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tickwire::wire::{DecodeError, Decoder, Frame, Sender, split_frame};

use super::frames;
use crate::recode::MAX_FRAME;
use crate::support::event;

/// All frames of `stream` and what ended it, read at once.
fn whole(mut stream: &[u8], sender: Sender) -> (Vec<Frame>, Result<usize, DecodeError>) {
    let mut frames = Vec::new();
    loop {
        match split_frame(stream, MAX_FRAME, sender) {
            Ok(Some((frame, rest))) => {
                frames.push(Frame { header: frame.header, payload: Bytes::copy_from_slice(frame.payload) });
                stream = rest;
            }
            Ok(None) => return (frames, Ok(stream.len())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

/// The same, as chunks of a connection.
fn chunked(stream: &[u8], cuts: &[usize], sender: Sender) -> (Vec<Frame>, Result<usize, DecodeError>) {
    let decoder = Decoder::new(sender, MAX_FRAME);
    let (mut buffer, mut frames, mut rest) = (BytesMut::new(), Vec::new(), stream);
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
        rest = later;
        buffer.extend_from_slice(chunk);
        loop {
            assert_eq!(decoder.has_frame(&buffer), !matches!(split_frame(&buffer, MAX_FRAME, sender), Ok(None)));
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(buffer.len()))
}

fn stream(sender: Sender) -> impl Strategy<Value = Vec<u8>> {
    let tail = prop_oneof![4 => Just(Vec::new()), 1 => frames::bytes(12)];
    (prop::collection::vec(frames::frame(sender), 0..12), tail)
        .prop_map(|(frames, tail)| [frames.concat(), tail].concat())
}

proptest! {
    #[test]
    fn a_clients_stream_cut_anywhere_gives_the_same_frames(
        stream in stream(Sender::Client), cuts in prop::collection::vec(1_usize..40, 1..10)
    ) {
        prop_assert_eq!(chunked(&stream, &cuts, Sender::Client), whole(&stream, Sender::Client));
    }

    #[test]
    fn a_servers_stream_cut_anywhere_gives_the_same_frames(
        stream in stream(Sender::Server), cuts in prop::collection::vec(1_usize..40, 1..10)
    ) {
        prop_assert_eq!(chunked(&stream, &cuts, Sender::Server), whole(&stream, Sender::Server));
    }

    #[test]
    fn arbitrary_streams_cut_anywhere_end_the_same(
        stream in frames::bytes(200), cuts in prop::collection::vec(1_usize..40, 1..10)
    ) {
        prop_assert_eq!(chunked(&stream, &cuts, Sender::Client), whole(&stream, Sender::Client));
    }

    #[test]
    fn a_message_gives_the_frames_of_the_stream_or_ends_inside_one(stream in stream(Sender::Client)) {
        let decoder = Decoder::new(Sender::Client, MAX_FRAME);
        let (expected, end) = whole(&stream, Sender::Client);
        let end = end.and_then(|rest| if rest == 0 { Ok(0) } else { Err(DecodeError::PartialFrame) });
        let (mut message, mut frames) = (Bytes::from(stream), Vec::new());
        let ended = loop {
            match decoder.decode_message(&mut message) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break Ok(message.len()),
                Err(error) => break Err(error),
            }
        };
        prop_assert_eq!((frames, ended), (expected, end));
    }
}

#[test]
fn payloads_share_the_buffer_they_were_read_into() {
    let decoder = Decoder::new(Sender::Client, MAX_FRAME);
    let bytes = [event(1, &[7; 100]), event(1, &[8; 300])].concat();
    let inside = |buffer: &Range<*const u8>, frame: &Frame| {
        let payload = frame.payload.as_ptr_range();
        buffer.start < payload.start && payload.end <= buffer.end
    };
    let mut stream = BytesMut::from(&bytes[..]);
    let mut message = Bytes::from(bytes);
    let (of_stream, of_message) = (stream.as_ptr_range(), message.as_ptr_range());
    for _ in 0..2 {
        assert!(inside(&of_stream, &decoder.decode(&mut stream).unwrap().unwrap()));
        assert!(inside(&of_message, &decoder.decode_message(&mut message).unwrap().unwrap()));
    }
}

#[test]
fn the_limit_is_checked_when_the_header_is_there_and_nothing_is_reserved() {
    let decoder = Decoder::new(Sender::Client, 100);
    for (announced, expected) in [(100_u16, Ok(None)), (101, Err(101)), (65_535, Err(65_535))] {
        let [high, low] = announced.to_be_bytes();
        let mut buffer = BytesMut::with_capacity(8);
        buffer.extend_from_slice(&[1, high, low]);
        assert_eq!(decoder.decode(&mut buffer), Ok(None), "three bytes say nothing yet");
        buffer.extend_from_slice(&[0]);
        let expected = expected.map_err(|announced| DecodeError::FrameTooLarge { announced, limit: 100 });
        assert_eq!(decoder.decode(&mut buffer), expected);
        assert!(buffer.capacity() <= 8, "an announced length costs nothing");
    }
}

#[test]
fn a_changed_limit_counts_from_the_next_frame() {
    let mut decoder = Decoder::new(Sender::Client, 4);
    let frame = event(1, &[0; 9]);
    assert!(decoder.decode(&mut BytesMut::from(&frame[..])).is_err());
    decoder.set_max_payload(10);
    assert!(decoder.decode(&mut BytesMut::from(&frame[..])).unwrap().is_some());
    assert_eq!(decoder.missing(&frame[..6]), Some(8));
    assert_eq!((decoder.missing(&frame[..3]), decoder.missing(&frame)), (None, Some(0)));
}
