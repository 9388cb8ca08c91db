//! Whatever comes in whatever pieces: the same as if tungstenite alone had read it.

use proptest::prelude::*;

use super::*;

const MAX: usize = 300;

/// What a reader made of a stream: events, answers, and why it stopped.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    incoming: Vec<Incoming>,
    answers: Vec<u8>,
    stopped: Option<Stopped>,
}

/// tungstenite alone, which gets everything at once.
fn reference(stream: &[u8]) -> Heard {
    let mut heard = Heard::default();
    let mut alone = Websocket { context: None, fragmented: false, handed_over: true, max_message: MAX };
    let mut bytes = BytesMut::from(stream);
    // A frame takes at least two bytes, and at the end it says a few times that there is no more.
    for _ in 0..stream.len() + 2 {
        match alone.read(&mut bytes, &mut |answer: &[u8]| heard.answers.extend_from_slice(answer)) {
            Ok(incoming) => heard.incoming.extend(incoming),
            Err(stopped) => {
                heard.stopped = Some(stopped);
                break;
            }
        }
    }
    heard
}

fn ours(stream: &[u8], widths: &[usize]) -> (Heard, Websocket) {
    let mut heard = Heard::default();
    let mut websocket = Websocket::new(MAX);
    let mut buffer = BytesMut::new();
    let mut rest = stream;
    for width in widths.iter().cycle() {
        let (piece, behind) = rest.split_at((*width).min(rest.len()));
        rest = behind;
        buffer.extend_from_slice(piece);
        loop {
            let next = websocket.next(&mut buffer, &mut |answer: &[u8]| heard.answers.extend_from_slice(answer));
            match next {
                Ok(Some(incoming)) => heard.incoming.push(incoming),
                Ok(None) => break,
                Err(stopped) => {
                    heard.stopped = Some(stopped);
                    return (heard, websocket);
                }
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (heard, websocket)
}

fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![first];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match u8::try_from(payload.len()) {
        Ok(short @ 0..=125) => bytes.push(masked | short),
        _ => {
            bytes.push(masked | 126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    let Some(mask) = mask else {
        bytes.extend_from_slice(payload);
        return bytes;
    };
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Mostly what clients send, some of what they may, and a little of what they may not.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = || proptest::collection::vec(any::<u8>(), 0..=130);
    let mask = || any::<[u8; 4]>().prop_map(Some);
    prop_oneof![
        20 => (payload(), mask()).prop_map(|(payload, mask)| frame(0x82, &payload, mask)),
        6 => (payload(), payload(), payload(), mask()).prop_map(|(a, b, c, mask)| {
            [frame(0x02, &a, mask), frame(0x89, b"p", mask), frame(0x00, &b, mask), frame(0x80, &c, mask)].concat()
        }),
        5 => mask().prop_map(|mask| frame(0x89, b"ping", mask)),
        3 => mask().prop_map(|mask| frame(0x8a, b"pong", mask)),
        1 => mask().prop_map(|mask| frame(0x88, &[3, 0xe8], mask)),
        1 => mask().prop_map(|mask| frame(0x81, b"text", mask)),
        1 => payload().prop_map(|payload| frame(0x82, &payload, None)),
        1 => (any::<u8>(), payload(), mask()).prop_map(|(first, payload, mask)| frame(first, &payload, mask)),
        1 => mask().prop_map(|mask| frame(0x82, &[7; MAX + 1], mask)),
        1 => payload(),
    ]
}

proptest! {
    #[test]
    fn it_reads_as_tungstenite_alone(
        frames in proptest::collection::vec(frames(), 0..12),
        widths in proptest::collection::vec(1_usize..200, 1..6),
    ) {
        let stream = frames.concat();
        prop_assert_eq!(ours(&stream, &widths).0, reference(&stream));
    }
}

#[test]
fn between_messages_nothing_is_kept() {
    let mask = Some([1, 2, 3, 4]);
    let whole = [frame(0x82, &[5; 40], mask), frame(0x89, b"p", mask), frame(0x02, b"a", mask)].concat();
    let (_, websocket) = ours(&whole, &[whole.len()]);
    assert!(websocket.context.is_some(), "a message has begun");
    let ended = [whole, frame(0x80, b"b", mask)].concat();
    let (heard, websocket) = ours(&ended, &[7]);
    assert!(websocket.context.is_none());
    assert_eq!(heard.incoming.last(), Some(&Incoming::Message(Bytes::from_static(b"ab"))));
}

#[test]
fn a_length_costs_nothing_before_its_bytes_are_there() {
    let mut websocket = Websocket::new(MAX);
    let mut header = BytesMut::from(&[0x82, 0xfe, 1, 0][..]);
    assert_eq!(websocket.next(&mut header, &mut |_: &[u8]| {}), Ok(None));
    assert!(websocket.context.is_none());
    assert_eq!(header.len(), 4);
}

#[test]
fn masks_are_taken_off_at_every_length() {
    for len in 0..20 {
        let payload = (0..len).collect::<Vec<u8>>();
        let (heard, _) = ours(&frame(0x82, &payload, Some([9, 8, 7, 6])), &[1]);
        assert_eq!(heard.incoming, [Incoming::Message(payload.into())]);
    }
}
