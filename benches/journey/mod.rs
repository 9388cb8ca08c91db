//! A message's whole journey without its sockets: bytes that were read, decoder, session, dispatcher,
//! and a queue for every member, which is written before the next round or one round later.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tickwire::class::RoomClasses;
use tickwire::command::{Hold, SessionId};
use tickwire::dispatcher::{Direct, Dispatcher, DispatcherConfig, FrameClass, Outlet, Refusal};
use tickwire::limits::Limits;
use tickwire::session::{Facts, Output, Session};
use tickwire::time::Time;
use tickwire::wire::control::{Command as Ask, Hello, Join, Mode};
use tickwire::wire::{
    Capabilities, ClientData, Control, Decoder, Extensions, Handle, Key, Reason, RequestId, Sender, Target,
};

/// A room, the sessions that are in it, and a clock that goes on by one tick a round.
pub(crate) struct Journey {
    peers: Vec<Peer>,
    dispatcher: Dispatcher<usize>,
    queues: Queues,
    now: u64,
}

/// One connection's half.
struct Peer {
    session: Session,
    /// What the socket brings.
    buffer: BytesMut,
    output: Output,
}

/// A queue for each member, by its place.
struct Queues {
    queued: Vec<VecDeque<Bytes>>,
    /// What was taken from them, and is being written.
    writing: VecDeque<Bytes>,
    delivered: u64,
}

/// Bytes that a connection makes room for before it reads.
const READ: usize = 4 * 1024;

impl Journey {
    /// A room of so many members that publish and receive.
    pub(crate) fn new(members: usize) -> Self {
        let limits = Limits::default();
        let hasher = foldhash::fast::RandomState::default();
        let capabilities = Capabilities::IMPLEMENTED;
        let facts = Arc::new(Facts {
            limits: limits.clone(),
            capabilities,
            clock: 1,
            wall: 0,
            hasher,
            rejections: Arc::default(),
        });
        let now = 1_000_000;
        let peer = |_| {
            let session = Session::over_websocket(Arc::clone(&facts), None, Time::from_micros(now));
            Peer { session, buffer: BytesMut::new(), output: Output::default() }
        };
        let queues =
            Queues { queued: (0..members).map(|_| VecDeque::new()).collect(), writing: VecDeque::new(), delivered: 0 };
        let dispatcher = Dispatcher::new(DispatcherConfig::new(limits, RoomClasses::default(), 1));
        let mut journey = Self { peers: (0..members).map(peer).collect(), dispatcher, queues, now };
        let extensions = Extensions::NONE;
        let hello = Hello { capabilities: Capabilities::default(), max_record: 0, max_frame: 0, extensions };
        let join = Join { handle: Handle(1), mode: Mode::BOTH, name: b"arena", extensions };
        let mut bytes = Vec::new();
        Control::new(RequestId(1), Ask::Hello(hello)).encode(&mut bytes);
        Control::new(RequestId(2), Ask::Join(join)).encode(&mut bytes);
        (0..members).for_each(|place| journey.read(place, &bytes));
        journey.tick();
        journey
    }

    /// A socket has brought `bytes`: what they ask is done.
    fn read(&mut self, place: usize, bytes: &[u8]) {
        let now = Time::from_micros(self.now);
        let Peer { session, buffer, output } = &mut self.peers[place];
        if buffer.capacity() < bytes.len() {
            buffer.reserve(READ);
        }
        buffer.extend_from_slice(bytes);
        let mut decoder = Decoder::new(Sender::Client, session.max_frame());
        while let Some(frame) = decoder.decode(buffer).unwrap() {
            session.handle_frame(frame, now, output).unwrap();
            decoder.set_max_payload(session.max_frame());
        }
        output.replies.clear();
        for (_, command) in output.commands.drain(..) {
            let session = SessionId(place as u64 + 1);
            self.dispatcher.handle_command(session, &place, command, now, &mut self.queues);
        }
    }

    /// `messages` in one tick, from one member after another, and the flush. What is in the queues then is
    /// written after the next one, where `queued` says so, and otherwise at once. Messages delivered.
    pub(crate) fn round(&mut self, messages: &[Vec<u8>], queued: bool) -> u64 {
        for (index, message) in messages.iter().enumerate() {
            self.read(index % self.peers.len(), message);
        }
        let before = self.queues.delivered;
        if queued {
            // The batch of the last round leaves while this one is being made.
            self.queues.write();
        }
        self.tick();
        if !queued {
            self.queues.write();
        }
        self.queues.delivered - before
    }

    fn tick(&mut self) {
        self.now += 50_000;
        self.dispatcher.handle_timeout(Time::from_micros(self.now), &mut self.queues);
    }
}

/// A data frame from a client, of 32 bytes.
pub(crate) fn message(target: Target) -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientData { handle: Handle(1), target, options: 0, payload: &[b'x'; 32] }.encode(&mut bytes);
    bytes
}

/// A value of the sender's own.
pub(crate) const VALUE: Target = Target::Value(Key::member(0));

impl Queues {
    /// Every connection takes its queue, as it does from an outbox, and writes it.
    fn write(&mut self) {
        for queue in &mut self.queued {
            std::mem::swap(queue, &mut self.writing);
            self.delivered += self.writing.len() as u64;
            self.writing.clear();
        }
    }
}

impl Outlet<usize> for Queues {
    fn frame(&mut self, to: &usize, _class: FrameClass, frame: &Bytes) {
        self.queued[*to].push_back(frame.clone());
    }

    fn direct(&mut self, _to: &usize, _direct: &Direct) {
        panic!("nobody here sends one");
    }

    fn refuse(&mut self, _to: &usize, refusal: &Refusal) {
        panic!("nothing here is refused, but {refusal:?}");
    }

    fn released(&mut self, _to: &usize, hold: Hold, _left: &Bytes) {
        panic!("nobody here is removed, but {hold:?}");
    }

    fn close(&mut self, _to: &usize, reason: Reason) {
        panic!("nobody here is closed, but {reason:?}");
    }
}
