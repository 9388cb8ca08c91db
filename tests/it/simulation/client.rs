//! A client by the book (PROTOCOL 6, 9, 12): bytes in, bytes out, no socket and no clock.
//!
//! ```text
//! away ──connect──> greeting ──WELCOME resumed──> what is not accepted again, joins with since
//!  ^                   │  └────WELCOME fresh────> joins with since; what was not accepted is unknown
//!  └──────── cut ──────┴───────────────────────────────┘
//! ```

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use tickwire::wire::control::{Close, Command, Hello, Join, Mode, Refused, Welcome};
use tickwire::wire::{
    Capabilities, ClientData, Control, Decoder, Epoch, Extensions, Frame, FrameType, Handle, Kind, MAGIC, Ping,
    PingBody, Reader, Reason, RequestId, Sender, ServerData, Target, VERSION, extension::kind, put_extension,
    put_string, put_varint,
};

use super::room::Room;

#[derive(Debug)]
pub struct Client {
    /// What it shows of itself, and what its messages begin with.
    pub id: u8,
    pub rooms: Vec<Room>,
    /// Its first rooms are joined: it may publish.
    pub ready: bool,
    /// Everything it ever published.
    pub messages: Vec<Message>,
    /// Directs as they came: from whom, in which room, which one.
    pub directs: Vec<(u8, usize, u32)>,
    pub lost_directs: u64,
    /// WELCOMEs by what they said: fresh, resumed.
    pub welcomes: [usize; 2],
    /// Why the server closed, where it did.
    pub closed: Vec<Reason>,
    /// Bytes to send.
    pub out: Vec<u8>,
    phase: Phase,
    speaks: Speaks,
    token: Option<Bytes>,
    /// The highest direct.
    seen: u64,
    /// Data frames of this session.
    numbered: u64,
    /// Which message a data frame was, of this session.
    sent: BTreeMap<u64, usize>,
    /// Data frames that were not accepted, as they are on the wire.
    unaccepted: VecDeque<(u64, Vec<u8>)>,
    input: BytesMut,
    consumed: u64,
    joining: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Away,
    Greeting,
    Joining,
    Open,
    /// In the middle of a frame.
    Frame,
    /// In the middle of a position.
    Batch,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Tcp,
    WebSocket,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub room: usize,
    pub what: What,
    /// Counts the events of a room, the writes of a key, or the directs to one client in a room.
    pub number: u32,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Event,
    Value(u64),
    Direct(u8),
    /// A direct to nobody, or a message to no room: it must be refused.
    Bad {
        nowhere: bool,
    },
}

/// What the client knows of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Open,
    Accepted,
    Refused,
    /// Its session was not resumed.
    Unknown,
}

impl Client {
    pub fn new(id: u8, speaks: Speaks, rooms: &[String]) -> Self {
        Self {
            id,
            rooms: rooms.iter().map(|name| Room::new(name)).collect(),
            ready: false,
            messages: Vec::new(),
            directs: Vec::new(),
            lost_directs: 0,
            welcomes: [0; 2],
            closed: Vec::new(),
            out: Vec::new(),
            phase: Phase::Away,
            speaks,
            token: None,
            seen: 0,
            numbered: 0,
            sent: BTreeMap::new(),
            unaccepted: VecDeque::new(),
            input: BytesMut::new(),
            consumed: 0,
            joining: false,
        }
    }

    pub const fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// There is a connection. With `eager`, joins go right behind HELLO.
    pub fn connect(&mut self, eager: bool) {
        self.phase = Phase::Greeting;
        if self.speaks == Speaks::Tcp {
            self.out.extend([&MAGIC[..], &[VERSION]].concat());
        }
        let capabilities = Capabilities(Capabilities::RESUME.0 | Capabilities::HISTORY.0 | Capabilities::ACCEPTED.0);
        let mut content = Vec::new();
        if let Some(token) = &self.token {
            let mut resume = Vec::new();
            put_string(token, &mut resume);
            put_varint(self.seen, &mut resume);
            put_extension(kind::RESUME, &resume, &mut content);
        }
        let extensions = Extensions::from_encoded(&content).unwrap();
        self.say(1, Command::Hello(Hello { capabilities, max_record: 0, max_frame: 0, extensions }));
        self.joining = eager && self.token.is_some();
        if self.joining {
            self.join();
        }
    }

    /// The connection is gone. Where it was cut.
    pub fn cut(&mut self) -> Phase {
        let inside = self.rooms.iter_mut().map(Room::cut).fold(false, |any, inside| any | inside);
        let at = match std::mem::replace(&mut self.phase, Phase::Away) {
            Phase::Greeting => Phase::Greeting,
            _ if inside => Phase::Batch,
            _ if !self.input.is_empty() => Phase::Frame,
            phase => phase,
        };
        self.input.clear();
        self.out.clear();
        at
    }

    /// It says goodbye, and what others do meanwhile is nothing to it.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.phase, Phase::Closing) == Phase::Closing {
            return;
        }
        self.say(9, Command::Close(Close { reason: Reason::FINISHED, extensions: Extensions::NONE }));
    }

    /// Publishes, or keeps it for when there is a connection. `urgent` and `ask` are flag bits.
    pub fn publish(&mut self, room: usize, what: What, filling: usize, options: u8) {
        let alike = |message: &&Message| message.room == room && message.what == what;
        let number = u32::try_from(self.messages.iter().filter(alike).count()).unwrap();
        let mut payload = [&[self.id][..], &number.to_be_bytes(), &[u8::try_from(room).unwrap()]].concat();
        payload.resize(payload.len() + filling, 0x55);
        let handle = if matches!(what, What::Bad { nowhere: true }) { 99 } else { room as u64 + 1 };
        let target = match what {
            What::Event => Target::Event,
            What::Value(key) => Target::Value(tickwire::wire::Key::from_wire(key)),
            What::Direct(to) => {
                let shows = |(_, (shown, _)): &(&u64, &(Bytes, bool))| shown[..] == [to];
                let Some((member, _)) = self.rooms[room].members.iter().find(shows) else { return };
                Target::Direct(tickwire::wire::MemberNumber(*member))
            }
            What::Bad { .. } => Target::Direct(tickwire::wire::MemberNumber(9_999)),
        };
        let mut frame = Vec::new();
        ClientData { handle: Handle(handle), target, options, payload: &payload }.encode(&mut frame);
        self.numbered += 1;
        self.sent.insert(self.numbered, self.messages.len());
        self.messages.push(Message { room, what, number, fate: Fate::Open });
        if !matches!(self.phase, Phase::Away | Phase::Greeting) {
            self.out.extend(&frame);
        }
        self.unaccepted.push_back((self.numbered, frame));
    }

    /// Bytes came.
    pub fn handle(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(frame) = self.take_frame() {
            match frame.header.frame_type {
                FrameType::Control => self.handle_control(&frame),
                FrameType::Data if self.phase == Phase::Closing => {}
                FrameType::Data => self.handle_data(&frame),
                FrameType::Ping => self.handle_ping(&frame),
            }
            self.consumed += 4 + frame.payload.len() as u64;
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        Decoder::new(Sender::Server, 0xffff).decode(&mut self.input).expect("the server sends what can be read")
    }

    fn handle_control(&mut self, frame: &Frame) {
        let control = Control::decode(&frame.payload).unwrap();
        match control.command {
            Command::Close(close) => self.closed.push(close.reason),
            _ if self.phase == Phase::Closing => {}
            Command::Welcome(welcome) => self.handle_welcome(&welcome),
            Command::Joined(joined) => {
                let room = usize::try_from(joined.handle.0 - 1).unwrap();
                self.rooms[room].handle_joined(&joined);
                if self.rooms.iter().all(|room| room.joined) {
                    (self.phase, self.ready) = (Phase::Open, true);
                }
            }
            Command::Gap(gap) => self.room(gap.room.0).handle_gap(gap.epoch, gap.from.0, gap.to.0),
            Command::Accepted(accepted) => self.handle_accepted(accepted.number),
            Command::Refused(Refused { number, .. }) => {
                assert_ne!(number, 0, "the command {} was refused: {control:?}", control.request);
                let message = *self.sent.get(&number).expect("what was refused was sent");
                self.messages[message].fate = Fate::Refused;
            }
            other => panic!("{other:?} was not asked for"),
        }
    }

    fn handle_welcome(&mut self, welcome: &Welcome<'_>) {
        assert_eq!(self.phase, Phase::Greeting);
        self.consumed = 0;
        self.phase = Phase::Joining;
        let resumed = welcome.flags & 1 != 0;
        self.welcomes[usize::from(resumed)] += 1;
        let lost = welcome.extensions.get(kind::LOST_DIRECTS).map(|content| {
            let mut reader = Reader::new(content);
            (reader.varint().unwrap(), reader.varint().unwrap())
        });
        if resumed {
            assert!(self.token.is_some());
            if let Some((first, last)) = lost {
                assert_eq!(first, self.seen + 1, "directs are lost behind those that came");
                self.lost_directs += last - self.seen;
                self.seen = last;
            }
            assert!(welcome.accepted <= self.numbered, "more accepted than sent");
            self.handle_accepted(welcome.accepted);
        } else {
            assert_eq!((lost, welcome.accepted), (None, 0));
            for (number, _) in self.unaccepted.drain(..) {
                let fate = &mut self.messages[self.sent[&number]].fate;
                if *fate == Fate::Open {
                    *fate = Fate::Unknown;
                }
            }
            // A refusal of what was accepted may have been lost with the session.
            for message in self.sent.values() {
                let message = &mut self.messages[*message];
                if matches!(message.what, What::Bad { .. }) && message.fate == Fate::Accepted {
                    message.fate = Fate::Unknown;
                }
            }
            (self.seen, self.numbered) = (0, 0);
            self.sent.clear();
        }
        self.token = welcome.extensions.get(kind::RESUME_TOKEN).map(Bytes::copy_from_slice);
        // PROTOCOL 12.2: exactly the later ones again. Before the joins or behind them.
        let again: Vec<u8> = self.unaccepted.iter().flat_map(|(_, frame)| frame).copied().collect();
        let behind = self.seen.is_multiple_of(2);
        if !behind {
            self.out.extend(&again);
        }
        if !std::mem::take(&mut self.joining) {
            self.join();
        }
        if behind {
            self.out.extend(&again);
        }
    }

    fn handle_accepted(&mut self, number: u64) {
        assert!(number <= self.numbered, "more accepted than sent");
        while self.unaccepted.front().is_some_and(|(first, _)| *first <= number) {
            let Some((number, _)) = self.unaccepted.pop_front() else { break };
            let fate = &mut self.messages[self.sent[&number]].fate;
            if *fate == Fate::Open {
                *fate = Fate::Accepted;
            }
        }
    }

    fn handle_data(&mut self, frame: &Frame) {
        let data = ServerData::decode(frame.header.flags, &frame.payload).unwrap().unwrap();
        if data.kind != Kind::Direct {
            return self.room(data.head.room.0).handle_data(&data, &frame.payload);
        }
        for (number, record) in (data.head.position.0..).zip(data.records()) {
            // PROTOCOL 8.6: directs may come again that the client has seen.
            if number <= self.seen {
                continue;
            }
            assert_eq!(number, self.seen + 1, "no hole that nobody told of");
            self.seen = number;
            let payload = record.unwrap().payload;
            let count = u32::from_be_bytes(payload[1..5].try_into().unwrap());
            // Its room may be one whose JOINED was lost.
            let room = usize::from(payload[5]);
            assert!([0, data.head.room.0].contains(&self.rooms[room].id), "a direct of another room");
            self.directs.push((payload[0], room, count));
        }
    }

    fn handle_ping(&mut self, frame: &Frame) {
        let ping = Ping::decode(frame.header.flags, &frame.payload, Sender::Server).unwrap();
        let PingBody::ServerAsk { accepted } = ping.body else { panic!("{ping:?} was not asked for") };
        self.handle_accepted(accepted);
        let body = PingBody::Client { answer: true, consumed: self.consumed, directs: self.seen };
        Ping { time: ping.time, body, extensions: Extensions::NONE }.encode(&mut self.out);
    }

    fn room(&mut self, id: u64) -> &mut Room {
        self.rooms.iter_mut().find(|room| room.joined && room.id == id).expect("a room it has joined")
    }

    fn join(&mut self) {
        for place in 0..self.rooms.len() {
            let Room { name, since, .. } = &self.rooms[place];
            let (name, since) = (name.clone(), *since);
            let mut content = Vec::new();
            if let Some((Epoch(epoch), last)) = since {
                let mut since = epoch.to_vec();
                put_varint(last, &mut since);
                put_extension(kind::SINCE, &since, &mut content);
            }
            put_extension(kind::PRESENCE, &[self.id], &mut content);
            let extensions = Extensions::from_encoded(&content).unwrap();
            let (handle, mode) = (Handle(place as u64 + 1), Mode::BOTH.with(Mode::MEMBERS));
            self.say(place as u64 + 2, Command::Join(Join { handle, mode, name: name.as_bytes(), extensions }));
        }
    }

    fn say(&mut self, request: u64, command: Command<'_>) {
        Control::new(RequestId(request), command).encode(&mut self.out);
    }
}
