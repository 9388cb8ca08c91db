//! A server, a recorder that is never cut, clients that are, and the time they live in.
//!
//! ```text
//! scout ──finds rooms on both shards      recorder ──hears everything
//! clients ──line──cut──pause──line──cut── ... ──settle──> close     server stops, empty
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::server::{Counters, Handle, Server};
use tickwire::wire::header::flags;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

use super::chance::Chance;
use super::client::{Client, Phase, Speaks, What};
use super::line::{Fate, line};
use crate::server::{hear, say};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Cuts, after which everybody settles.
    pub cuts: usize,
    pub limits: Limits,
    pub classes: RoomClasses,
    /// The longest time between a cut and the next connection, in milliseconds.
    pub longest_pause: u64,
    /// The longest time between two messages of a publisher, in milliseconds.
    pub longest_silence: u64,
    /// Whether some lines are slow.
    pub slow_lines: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The recorder first.
    pub clients: Vec<Client>,
    pub cuts: BTreeMap<Phase, usize>,
    pub counters: Counters,
    /// Simulated.
    pub took: Duration,
}

/// What all who take part know.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    handle: Handle,
    cuts: Cell<usize>,
    at: RefCell<BTreeMap<Phase, usize>>,
    settling: Cell<Option<Instant>>,
}

/// Those who publish and receive, and those who only receive.
const PUBLISHERS: u8 = 6;
const RECEIVERS: u8 = 3;

/// The recorder shows this of itself.
pub const RECORDER: u8 = 0;

impl World {
    pub const fn is_settling(&self) -> bool {
        self.settling.get().is_some()
    }

    /// A line was cut.
    pub fn cut(&self) {
        self.cuts.set(self.cuts.get() + 1);
        if self.cuts.get() >= self.plan.cuts {
            self.settle();
        }
    }

    /// No more cuts and no more messages: what is under way arrives.
    fn settle(&self) {
        if !self.is_settling() {
            self.settling.set(Some(Instant::now()));
        }
    }

    /// When everything under way has arrived: all who take part stop at this moment.
    fn end(&self) -> Option<Instant> {
        let quiet = Duration::from_millis(self.plan.longest_pause) + Duration::from_secs(20);
        self.settling.get().map(|since| since + quiet)
    }

    fn is_over(&self) -> bool {
        self.end().is_some_and(|end| Instant::now() >= end)
    }

    /// A connection that is served.
    fn connect(self: &Rc<Self>, fate: Fate, speaks: Speaks, chance: &mut Chance) -> DuplexStream {
        let (near, far) = line(fate, chance, self);
        let handle = self.handle.clone();
        spawn_local(async move {
            match speaks {
                Speaks::Tcp => handle.attach_tcp(far).await,
                Speaks::WebSocket => handle.attach(far, Bytes::new(), None).await,
            }
        });
        near
    }
}

/// Runs a plan in simulated time.
pub fn run(plan: Plan) -> Outcome {
    let _told = Told(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, simulate(plan))
}

/// Names the seed where the run fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

async fn simulate(plan: Plan) -> Outcome {
    let began = Instant::now();
    let builder = Server::builder().shards(2).limits(plan.limits.clone()).classes(plan.classes.clone());
    let server = builder.detached().unwrap();
    let handle = server.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _stopped = stopped.await;
    }));
    let seed = plan.seed;
    let cuts = Cell::new(0);
    let world = Rc::new(World { plan, handle, cuts, at: RefCell::default(), settling: Cell::new(None) });
    let rooms = scout(&world).await;
    let recorder = Actor::new(&world, RECORDER, &rooms, seed);
    let mut actors = vec![spawn_local(recorder.live())];
    // The recorder comes first: it hears everything from the first message on.
    sleep_until(Instant::now() + Duration::from_secs(1)).await;
    for id in 1..=PUBLISHERS + RECEIVERS {
        actors.push(spawn_local(Actor::new(&world, id, &rooms, seed).live()));
    }
    let mut clients = Vec::new();
    for actor in actors {
        clients.push(actor.await.unwrap());
    }
    // Sessions whose first WELCOME was cut wait for nobody.
    sleep_until(Instant::now() + world.plan.limits.grace + Duration::from_secs(5)).await;
    assert_eq!(world.handle.connections(), 0, "a connection is left over");
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    Outcome { clients, cuts: world.at.take(), counters: world.handle.counters(), took: began.elapsed() }
}

/// Two rooms on one shard and one on the other, so that a seed means the same in every process: which
/// shard a name belongs to is random.
async fn scout(world: &Rc<World>) -> Vec<String> {
    let names: Vec<String> = (10..42).map(|number| format!("room{number}")).collect();
    let mut client = Client::new(99, Speaks::Tcp, &names);
    let mut io = world.connect(Fate::GOOD, Speaks::Tcp, &mut Chance::new(0, 99));
    client.connect(false);
    let mut buffer = [0; 4096];
    while !client.ready {
        io.write_all(&std::mem::take(&mut client.out)).await.unwrap();
        let len = io.read(&mut buffer).await.unwrap();
        client.handle(&buffer[..len]);
    }
    client.finish();
    io.write_all(&std::mem::take(&mut client.out)).await.unwrap();
    while io.read(&mut buffer).await.is_ok_and(|len| len > 0) {}
    let on = |shard: u64| client.rooms.iter().filter(move |room| room.id % 2 == shard);
    let [first, second, third] = [on(0).next(), on(1).next(), on(0).nth(1)].map(|room| room.unwrap().name.clone());
    // They are forgotten before anybody comes, so that all begin anew.
    sleep_until(Instant::now() + Duration::from_secs(120)).await;
    vec![first, second, third]
}

/// One client, its line, and what it does when.
struct Actor {
    world: Rc<World>,
    client: Client,
    chance: Chance,
    act_at: Instant,
    /// Of a WebSocket message that is not whole.
    raw: BytesMut,
    _ends: Ends,
}

/// Whoever fails ends it for all: else the others would wait for cuts that never come.
struct Ends(Rc<World>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.settle();
    }
}

impl Actor {
    fn new(world: &Rc<World>, id: u8, rooms: &[String], seed: u64) -> Self {
        let speaks = if id % 3 == 2 { Speaks::WebSocket } else { Speaks::Tcp };
        Self {
            world: Rc::clone(world),
            client: Client::new(id, speaks, rooms),
            chance: Chance::new(seed, u64::from(id)),
            act_at: Instant::now(),
            raw: BytesMut::new(),
            _ends: Ends(Rc::clone(world)),
        }
    }

    async fn live(mut self) -> Client {
        while !self.world.is_over() {
            let fate = self.fate();
            let io = self.world.connect(fate, self.client.speaks(), &mut self.chance);
            self.client.connect(self.chance.percent(50));
            self.talk(io).await;
            let phase = match self.client.cut() {
                Phase::Open | Phase::Joining if !self.raw.is_empty() => Phase::Frame,
                phase => phase,
            };
            self.raw.clear();
            if !self.world.is_over() {
                *self.world.at.borrow_mut().entry(phase).or_default() += 1;
                self.pause().await;
            }
        }
        self.client
    }

    fn fate(&mut self) -> Fate {
        if self.client.id == RECORDER || self.world.is_settling() {
            return Fate::GOOD;
        }
        let fate = Fate::bad(&mut self.chance);
        if self.world.plan.slow_lines && self.chance.percent(30) {
            let budgets = fate.budgets.map(|budgets| budgets.map(|most| most * 20));
            return Fate { budgets, slowest: 300, piece: 150, ..fate };
        }
        fate
    }

    /// Until the line is cut, or all is over.
    async fn talk(&mut self, mut io: DuplexStream) {
        let mut buffer = vec![0; 2048];
        loop {
            if self.world.is_over() {
                self.client.finish();
            }
            let act_at = self.world.end().map_or(self.act_at, |end| end.min(self.act_at));
            if self.send(&mut io).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                read = io.read(&mut buffer) => match read {
                    Ok(len @ 1..) => self.hear(&buffer[..len]),
                    _ => return,
                },
                () = sleep_until(act_at), if !self.world.is_over() => self.act(),
            }
        }
    }

    async fn send(&mut self, io: &mut DuplexStream) -> std::io::Result<()> {
        let out = std::mem::take(&mut self.client.out);
        match self.client.speaks() {
            _ if out.is_empty() => Ok(()),
            Speaks::Tcp => io.write_all(&out).await,
            // PROTOCOL 4.2: whole frames, and not too many at once.
            Speaks::WebSocket => {
                let mut rest = &out[..];
                while let [_, high, low, _, ..] = *rest {
                    let (frame, more) = rest.split_at(4 + usize::from(u16::from_be_bytes([high, low])));
                    io.write_all(&say::binary(frame)).await?;
                    rest = more;
                }
                Ok(())
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.client.speaks() == Speaks::Tcp {
            return self.client.handle(bytes);
        }
        self.raw.extend_from_slice(bytes);
        while let Some((first, message)) = hear::take_message(&mut self.raw) {
            if first == 0x82 {
                self.client.handle(&message);
            }
        }
    }

    async fn pause(&mut self) {
        let longest =
            if self.chance.percent(70) { self.world.plan.longest_pause / 8 } else { self.world.plan.longest_pause };
        let until = Instant::now() + self.chance.millis(longest);
        while self.act_at < until {
            sleep_until(self.act_at).await;
            self.act();
        }
        sleep_until(until).await;
    }

    /// Publishes something, mostly one message, sometimes many.
    fn act(&mut self) {
        if self.act_at > Instant::now() {
            return;
        }
        self.act_at += self.chance.millis(self.world.plan.longest_silence);
        let publishes = (1..=PUBLISHERS).contains(&self.client.id);
        if !publishes || !self.client.ready || self.world.is_settling() {
            return;
        }
        let messages = if self.chance.percent(10) { 10 } else { 1 };
        for _ in 0..messages {
            let room = usize::try_from(self.chance.below(self.client.rooms.len() as u64)).unwrap();
            let what = match self.chance.below(20) {
                0..=10 => What::Event,
                11..=14 => What::Value(self.chance.below(6)),
                15..=18 => {
                    What::Direct(u8::try_from(1 + self.chance.below(u64::from(PUBLISHERS + RECEIVERS))).unwrap())
                }
                _ => What::Bad { nowhere: self.chance.percent(50) },
            };
            let mut options = if self.chance.percent(5) { flags::URGENT } else { 0 };
            options |= if self.chance.percent(20) { flags::ACKNOWLEDGE } else { 0 };
            let filling = usize::try_from(self.chance.below(40)).unwrap();
            self.client.publish(room, what, filling, options);
        }
    }
}
