//! Bots against a server: they are seen to move, come back, and leave at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use tickwire::class::RoomClasses;
use tickwire::client::{Client, Event, JoinOptions};
use tickwire::server::{Handle, Server};
use tickwire::wire::control::Mode;
use tickwire::wire::{Kind, MemberNumber, Presence};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;

/// How long a test waits for what must come; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a free port, with short ticks.
async fn serve() -> (Url, Handle) {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::from_millis(5);
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let server = Server::builder().websocket(None).tcp(any).shards(1).classes(classes).bind().await.unwrap();
    let (url, handle) = (format!("tcp://{}", server.tcp_addr().unwrap()).parse().unwrap(), server.handle());
    tokio::spawn(server.run(std::future::pending()));
    (url, handle)
}

fn arguments(url: &Url, count: u16) -> BotsArguments {
    BotsArguments { count, room: "arena".into(), url: url.clone(), reach: ReachArguments::default(), json: true }
}

/// A member that looks on.
struct Onlooker {
    client: Client,
    /// The places that members were seen at.
    places: BTreeMap<MemberNumber, BTreeSet<Vec<u8>>>,
    left: BTreeSet<MemberNumber>,
}

impl Onlooker {
    async fn join(url: &Url) -> Self {
        let mut client = Client::connect(&ClientConfig::new(url.clone())).await.unwrap();
        client.join_with("arena", JoinOptions::new(Mode::BOTH)).await.unwrap();
        Self { client, places: BTreeMap::new(), left: BTreeSet::new() }
    }

    /// Looks until something is so.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let looking = async {
            while !is_so(self) {
                match self.client.next().await.unwrap() {
                    Event::Batch(batch) if batch.kind() == Kind::Value => {
                        for record in batch.records().filter(|record| !record.payload.is_empty()) {
                            self.places.entry(record.member).or_default().insert(record.payload.to_vec());
                        }
                    }
                    Event::Presence(batch) => {
                        for record in batch.records() {
                            if matches!(Presence::decode(record.payload), Ok(Presence::Left(_))) {
                                self.left.insert(record.member);
                            }
                        }
                    }
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, looking).await.expect("it comes to be so");
    }

    /// How many have been seen at three places at least.
    fn moving(&self) -> usize {
        self.places.values().filter(|places| places.len() >= 3).count()
    }
}

#[tokio::test]
async fn bots_move_come_back_and_leave_at_once() {
    let (url, server) = serve().await;
    let mut onlooker = Onlooker::join(&url).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let arguments = arguments(&url, 5);
    let bots = async {
        let mut out = Vec::new();
        let interrupted = async { stopped.await.map_err(|_| Failure::Runtime("nobody stops it".into())) };
        play(&arguments, interrupted, &mut out).await.unwrap();
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()
    };
    let watching = async {
        onlooker.until(|seen| seen.moving() == 5).await;
        let places: Vec<_> = onlooker.places.values().flatten().collect();
        assert!(places.iter().all(|place| place.len() == 7 && place[6] == message_flags()), "{places:?}");
        // A room that is closed takes its members again: all come back, under other numbers.
        server.close_room(&RoomName::new(b"arena").unwrap()).await.unwrap();
        drop(onlooker);
        let mut onlooker = Onlooker::join(&url).await;
        onlooker.until(|seen| seen.moving() == 5).await;
        let here: BTreeSet<_> = onlooker.places.keys().copied().collect();
        stop.send(()).unwrap();
        onlooker.until(|seen| here.is_subset(&seen.left)).await;
    };
    let (summary, ()) = LocalSet::new().run_until(async { tokio::join!(bots, watching) }).await;
    assert_eq!((&summary["bots"], &summary["reconnects"], &summary["refused"]), (&json!(5), &json!(5), &json!(0)));
    assert!(summary["moves"].as_u64().unwrap() >= 30, "{summary}");
}

const fn message_flags() -> u8 {
    page::message::IS_BOT
}

#[tokio::test]
async fn who_has_no_server_or_no_room_is_told() {
    let never = || std::future::pending();
    let nobody = arguments(&"tcp://127.0.0.1:1".parse().unwrap(), 1);
    let failure = play(&nobody, never(), &mut Vec::new()).await.unwrap_err();
    assert!(failure.to_string().contains("tickwire serve"), "{failure}");
    let nameless = BotsArguments { room: "no room".into(), ..nobody };
    assert!(matches!(play(&nameless, never(), &mut Vec::new()).await, Err(Failure::Usage(_))));
}

#[tokio::test]
async fn bots_that_are_not_wanted_end() {
    let (url, _server) = serve().await;
    // Only operators join such rooms.
    let barred = BotsArguments { room: "@tickwire/console".into(), ..arguments(&url, 2) };
    let played =
        LocalSet::new().run_until(timeout(PATIENCE, play(&barred, std::future::pending(), &mut Vec::new()))).await;
    let failure = played.expect("it ends").unwrap_err();
    assert!(failure.to_string().contains("the bots have ended"), "{failure}");
}
