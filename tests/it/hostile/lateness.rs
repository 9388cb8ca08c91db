//! How late a room's batches are while hostile clients are there: a figure, where it is asked for.
//!
//! ```text
//! threads of their own: every row, again and again ──> server <── a pair: one event a tick, and when its batch came
//! ```
//!
//! `cargo test --release --test it hostile -- --ignored --nocapture`, on a machine that does nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tickwire::wire::control::Mode;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::{Instant, interval};

use super::arena::Servers;
use super::pair::Ear;
use super::play::play;
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::Transport;

/// The tick of the pair's room. 16 ms: a game's.
const PERIOD: Duration = Duration::from_millis(16);

/// Batches of each half. 1,000: sixteen seconds, ten of them beyond the 99th percentile.
const BATCHES: usize = 1000;

/// How much later batches may be, by the 99th percentile.
const GROWS: Duration = Duration::from_millis(2);

/// Rows that are played at once.
const AT_ONCE: usize = 2;

#[test]
#[ignore = "takes half a minute and measures: .ci/run runs it, in release"]
fn batches_are_hardly_later_while_hostile_clients_are_there() {
    let crowd = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let servers = Servers::start(PERIOD, |limits| limits.pong_timeout = Duration::from_secs(600));
    let servers = Arc::new(crowd.block_on(servers));
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let addrs = [Transport::Tcp, Transport::WebSocket].map(|transport| servers.plain.addr(transport));
    let mut steady = own.block_on(Steady::meet(addrs));
    let quiet = own.block_on(steady.measure());
    let (stop, played) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let attackers = attack(&crowd, &servers, &stop, &played);
    let hostile = own.block_on(steady.measure());
    stop.store(true, Ordering::Relaxed);
    attackers.into_iter().for_each(|attacker| crowd.block_on(attacker).unwrap());
    // The two clocks differ by what the earliest batch of all took at least.
    let first = quiet.iter().chain(&hostile).min().copied().unwrap();
    let [quiet, hostile] = [quiet, hostile].map(|came| sorted(&came, first));
    for (name, late) in [("alone", &quiet), ("amid hostile clients", &hostile)] {
        let [p50, p99, most] = [50, 99, 100].map(|percent| late[(late.len() * percent / 100).min(late.len() - 1)]);
        println!("{name}: batches are late by {p50:?} at p50, {p99:?} at p99, {most:?} at most");
    }
    let p99 = |late: &[Duration]| late[late.len() * 99 / 100];
    let grown = p99(&hostile).saturating_sub(p99(&quiet));
    let rows = played.load(Ordering::Relaxed);
    let verdict = if grown <= GROWS { "within" } else { "beyond" };
    println!("p99 has grown by {grown:?}, {verdict} {GROWS:?}, while {rows} rows were played, {AT_ONCE} at once");
    // What others do on this machine is no fault of the server's: the figure is read beside that of the quiet
    // half. That something was played, and nothing lost or out of order, holds anywhere.
    assert!(rows > 0);
}

/// Plays every row again and again.
fn attack(
    crowd: &Runtime,
    servers: &Arc<Servers>,
    stop: &Arc<AtomicBool>,
    played: &Arc<AtomicUsize>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let attacker = |number: usize| {
        let (servers, stop, played) = (Arc::clone(servers), Arc::clone(stop), Arc::clone(played));
        crowd.spawn(async move {
            let rows: Vec<_> = super::themes().into_iter().flat_map(|(_, rows)| rows).collect();
            // Each begins elsewhere.
            for row in rows.iter().cycle().skip(number * rows.len() / AT_ONCE) {
                for on in row.on {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    play(row, servers.enter(row, *on).await).await;
                    played.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    (0..AT_ONCE).map(attacker).collect()
}

/// Two who behave, over one transport each.
struct Steady {
    speaker: Peer,
    listener: Peer,
    began: Instant,
    /// The last tick that was heard, of which the wire tells 16 bits.
    tick: u64,
    ear: Ear,
    /// Events that were said, and heard.
    said: u64,
    heard: u64,
}

impl Steady {
    async fn meet([tcp, websocket]: [SocketAddr; 2]) -> Self {
        let join = async |addr, transport, mode| {
            let stream = TcpStream::connect(addr).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut peer = Peer::new(stream, transport);
            peer.open("/ws").await;
            peer.greet().await;
            let joined = peer.join(1, mode, "bystanders").await;
            (peer, joined)
        };
        let (speaker, _) = join(tcp, Transport::Tcp, Mode::PUBLISH).await;
        let (listener, joined) = join(websocket, Transport::WebSocket, Mode::RECEIVE).await;
        Self { speaker, listener, began: Instant::now(), tick: 0, ear: Ear::new(joined), said: 0, heard: 0 }
    }

    /// When batches came, each against its tick, in microseconds; the same zero for all.
    async fn measure(&mut self) -> Vec<i64> {
        let Self { speaker, listener, began, tick, ear, said, heard } = self;
        let speaks = async {
            let mut ticks = interval(PERIOD);
            loop {
                ticks.tick().await;
                *said += 1;
                speaker.send(&say::event(1, &said.to_be_bytes())).await;
            }
        };
        let hears = async {
            let mut came = Vec::with_capacity(BATCHES);
            while came.len() < BATCHES {
                let frame = listener.next().await.expect("a batch, and not the end");
                let Some(told) = ear.hear(&frame) else { continue };
                while let Some(event) = ear.take() {
                    *heard += 1;
                    assert_eq!(event, heard.to_be_bytes()[..], "lost, or out of order");
                }
                *tick += u64::from(told.wrapping_sub(*tick as u16));
                let at = i64::try_from(began.elapsed().as_micros()).unwrap();
                came.push(at - i64::try_from(*tick * PERIOD.as_micros() as u64).unwrap());
            }
            came
        };
        tokio::select! {
            came = hears => came,
            () = speaks => unreachable!("it speaks for ever"),
        }
    }
}

/// How much later than the first, ascending.
fn sorted(came: &[i64], first: i64) -> Vec<Duration> {
    let mut late: Vec<_> = came.iter().map(|at| Duration::from_micros(at.abs_diff(first))).collect();
    late.sort_unstable();
    late
}
