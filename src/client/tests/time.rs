//! The server's clock, over a network that is simulated: one way is slower than the other.

use std::sync::Arc;

use super::script::*;
use crate::client::directs::Directs;
use crate::client::greeting::Greeting;
use crate::client::progress::Progress;
use crate::client::session::Session;
use crate::wire::Header;

/// Server time when the client's is 0, in microseconds.
const OFFSET: u64 = 77_000_000;

fn frame(frame_type: FrameType, options: u8, payload: Vec<u8>) -> Frame {
    let payload_len = u16::try_from(payload.len()).unwrap();
    Frame { header: Header { frame_type, payload_len, flags: options }, payload: payload.into() }
}

/// Payload of a frame that was encoded whole.
fn payload(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out.split_off(Header::LEN)
}

/// The session hears these ways, in microseconds, the first for hello: what it takes for the offset.
fn offset(ways: &[(u64, u64)]) -> i64 {
    let held = 300;
    let mut ways = ways.iter();
    let (there, back) = ways.next().unwrap();
    // A server reads its clock once for WELCOME.
    let welcome = Welcome { time: OFFSET + there, ..WELCOME };
    let welcome = payload(|out| Control::new(RequestId(1), Command::Welcome(welcome)).encode(out));
    let welcome = frame(FrameType::Control, 0, welcome);
    let greeting = Greeting::read(&welcome, Capabilities(0), there + back).unwrap().unwrap();
    let progress = Arc::new(Progress::new(None, None));
    let mut session = Session::new(&greeting, progress, Directs::default(), std::iter::empty());
    let mut clock = Clock::new(Instant::now());
    let (id, sample) = session.take_sample().unwrap();
    clock.handle_sample(id, sample);

    let mut now = 1_000_000;
    for (there, back) in ways {
        let received = OFFSET + now + there;
        let body = PingBody::ServerAnswer { clock: 1, received, sent: received + held, accepted: 0 };
        let answer = payload(|out| Ping { time: now, body, extensions: Extensions::NONE }.encode(out));
        now += there + held + back;
        let event = session.handle_frame(frame(FrameType::Ping, flags::ANSWER, answer), now).unwrap();
        assert!(matches!(event, Some(Event::Pong(_))));
        let (id, sample) = session.take_sample().unwrap();
        clock.handle_sample(id, sample);
        now += 1_000_000;
    }
    clock.best().unwrap().offset
}

#[test]
fn asymmetric_ways_cost_half_their_difference() {
    let check = |ways: &[(u64, u64)], expected: i64| {
        assert_eq!(offset(ways) - i64::try_from(OFFSET).unwrap(), expected, "{ways:?}");
    };
    check(&[(20_000, 20_000)], 0);
    check(&[(30_000, 10_000)], 10_000);
    check(&[(10_000, 30_000)], -10_000);
    // The best of them decides: the shortest, not the most even one.
    check(&[(400_000, 1000), (20_000, 20_000), (90_000, 2000)], 0);
    check(&[(50_000, 50_000), (8000, 2000), (50_000, 1000)], 3000);
    // Eight bad ones push out a good one.
    let mut ways = vec![(1000, 1000)];
    ways.extend([(60_000, 40_000); 7]);
    check(&ways, 0);
    ways.push((60_000, 40_000));
    check(&ways, 10_000);
}
