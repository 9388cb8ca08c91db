//! Strategies: any frame of either side, as bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use tickwire::wire::control::{
    Accepted, Close, Command, Done, Gap, GoingAway, Hello, Join, Joined, Leave, Left, Members, Mode, Outcome, Page,
    Receive, Refused, SetPresence, Token, Welcome,
};
use tickwire::wire::header::flags;
use tickwire::wire::{
    Capabilities, ClientData, Epoch, Extensions, Handle, Head, Key, Kind, MemberNumber, Ping, PingBody, Position,
    Reason, Record, RoomId, Sender, ServerData, Target, put_extension,
};

use crate::support::{control, records};

/// Integers of every length.
pub(super) fn number() -> impl Strategy<Value = u64> {
    (0_u32..53, any::<u64>()).prop_map(|(bits, any)| any & ((2 << bits) - 1) & ((1 << 53) - 1))
}

pub(super) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

pub(super) fn extensions() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::btree_map(number(), bytes(20), 0..4).prop_map(|list| {
        let mut encoded = Vec::new();
        list.iter().for_each(|(kind, content)| put_extension(*kind, content, &mut encoded));
        encoded
    })
}

/// A frame of `sender`, of any type.
pub(super) fn frame(sender: Sender) -> BoxedStrategy<Vec<u8>> {
    match sender {
        Sender::Client => prop_oneof![message(), ping(sender), command()].boxed(),
        Sender::Server => prop_oneof![batch(), ping(sender), command()].boxed(),
    }
}

pub(super) fn message() -> impl Strategy<Value = Vec<u8>> {
    (number(), 0..3_u8, number(), 0..8_u8, bytes(200)).prop_map(|(handle, kind, argument, options, payload)| {
        let target = match kind {
            0 => Target::Event,
            1 => Target::Value(Key::from_wire(argument)),
            _ => Target::Direct(MemberNumber(argument)),
        };
        let bits = [flags::COMPRESSED, flags::URGENT, flags::ACKNOWLEDGE];
        let options = (0..3).filter(|bit| options >> bit & 1 == 1).map(|bit| bits[bit]).sum();
        let mut out = Vec::new();
        let data = ClientData { handle: Handle(handle), target, options, payload: &payload };
        data.encode(&mut out);
        assert_eq!(data.encoded_len(), out.len());
        out
    })
}

pub(super) fn batch() -> impl Strategy<Value = Vec<u8>> {
    let kinds = [Kind::Event, Kind::Value, Kind::Presence, Kind::Direct, Kind::Snapshot, Kind::Members];
    let kind = proptest::sample::select(kinds.to_vec());
    let list = vec((number(), number(), bytes(60)), 0..12);
    (kind, any::<bool>(), any::<bool>(), number(), number(), any::<u16>(), list).prop_map(
        |(kind, urgent, more, room, position, tick, list)| {
            let record = |(member, key, payload): &(u64, u64, Vec<u8>)| {
                let key = kind.has_key().then_some(*key);
                records(&[Record { member: MemberNumber(*member), key, payload }])
            };
            let encoded: Vec<u8> = list.iter().flat_map(record).collect();
            let options = if urgent { flags::URGENT } else { 0 } | if more { flags::MORE } else { 0 };
            let head = Head { room: RoomId(room), position: Position(position), tick };
            let data = ServerData { kind, options, head, records: &encoded };
            let mut out = Vec::new();
            data.encode(&mut out);
            assert_eq!(data.encoded_len(), out.len());
            out
        },
    )
}

pub(super) fn ping(sender: Sender) -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), any::<u32>(), [number(), number(), number(), number()], extensions()).prop_map(
        move |(answer, clock, [time, first, second, third], extensions)| {
            let body = match (sender, answer) {
                (Sender::Client, answer) => PingBody::Client { answer, consumed: first, directs: second },
                (Sender::Server, false) => PingBody::ServerAsk { accepted: first },
                (Sender::Server, true) => {
                    PingBody::ServerAnswer { clock, received: first, sent: second, accepted: third }
                }
            };
            let mut out = Vec::new();
            let ping = Ping { time, body, extensions: Extensions::from_encoded(&extensions).unwrap() };
            ping.encode(&mut out);
            assert_eq!(ping.encoded_len(), out.len());
            out
        },
    )
}

/// Every command with every field set to something.
pub(super) fn command() -> impl Strategy<Value = Vec<u8>> {
    let numbers = vec(number(), 8);
    (0..19_u8, any::<[u8; 8]>(), numbers, bytes(80), extensions()).prop_map(
        |(which, octets, numbers, text, encoded)| {
            let extensions = Extensions::from_encoded(&encoded).unwrap();
            let command = filled(which, octets, &numbers, &text, extensions);
            control(numbers[7], command)
        },
    )
}

fn filled<'a>(which: u8, octets: [u8; 8], n: &[u64], text: &'a [u8], extensions: Extensions<'a>) -> Command<'a> {
    let (handle, reason, epoch) = (Handle(n[0]), Reason(n[1]), Epoch(octets));
    match which {
        0 => Command::Hello(Hello { capabilities: Capabilities(n[0]), max_record: n[1], max_frame: n[2], extensions }),
        1 => Command::Welcome(Welcome {
            capabilities: Capabilities(n[0]),
            flags: octets[0],
            clock: n[1] as u32,
            time: n[2],
            wall: n[3],
            max_message: n[4],
            max_frame: n[5],
            max_rooms: n[6],
            ping: n[1],
            accepted: n[2],
            extensions,
        }),
        2 => Command::Join(Join { handle, mode: Mode(octets[0]), name: text, extensions }),
        3 => Command::Joined(Joined {
            handle,
            room: RoomId(n[1]),
            member: MemberNumber(n[2]),
            mode: Mode(octets[0]),
            outcome: Outcome(octets[1]),
            epoch,
            position: Position(n[3]),
            period: n[4],
            tick: n[5],
            tick_time: n[6],
            extensions,
        }),
        4 => Command::Leave(Leave { handle, extensions }),
        5 => Command::Left(Left { handle, reason, extensions }),
        6 => Command::Refused(Refused { number: n[0], reason, extensions }),
        7 => Command::Close(Close { reason, extensions }),
        8 => Command::GoingAway(GoingAway { reconnect: n[0], closes: n[1], extensions }),
        9 => Command::Gap(Gap { room: RoomId(n[0]), epoch, from: Position(n[1]), to: Position(n[2]), extensions }),
        10 => Command::Receive(Receive { handle, what: octets[0], divisor: n[1], area: n[2], extensions }),
        11 => Command::Done(Done { extensions }),
        12 => Command::SetPresence(SetPresence { handle, data: text, extensions }),
        13 => Command::Token(Token { token: text, extensions }),
        14 => Command::Members(Members { handle, after: MemberNumber(n[1]), extensions }),
        15 => Command::Page(Page {
            handle,
            position: Position(n[1]),
            next: MemberNumber(n[2]),
            records: text,
            extensions,
        }),
        16 => Command::Accepted(Accepted { number: n[0], extensions }),
        17 => Command::Application(0xf0 | octets[0], text),
        _ => Command::Unknown(0x12 + octets[0] % 0xde, text),
    }
}
