//! Two servers, one of them under TLS, a pair on each that must not notice, and the rows between.

use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use tickwire::class::RoomClasses;
use tickwire::limits::Limits;
use tickwire::server::Server;
use tickwire::wire::control::Mode;
use tokio::net::TcpStream;

use super::pair::Pair;
use super::play::{Player, play};
use super::row::{On, Row, Stage, Step};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{TestServer, limits, soon};
use crate::server::tls::{Pem, shake};

/// Servers, and a pair on each.
pub struct Arena {
    servers: Servers,
    pairs: [Pair; 2],
}

/// One that speaks plainly, and one under TLS.
pub struct Servers {
    pub plain: TestServer,
    secure: TestServer,
    pem: Pem,
}

/// Members of each server's own pair.
const PAIR: usize = 2;

impl Arena {
    pub async fn start(change: impl Fn(&mut Limits)) -> Self {
        let servers = Servers::start(Duration::from_millis(2), change).await;
        let mut pairs = Vec::new();
        for ons in [[On::Tcp, On::WebSocket], [On::Tls, On::Wss]] {
            let mut members = Vec::new();
            for on in ons {
                let (mut peer, _) = servers.connect(on, false).await;
                peer.open("/ws").await;
                peer.greet().await;
                let joined = peer.join(1, Mode::BOTH, "bystanders").await;
                members.push((peer, joined));
            }
            pairs.push(Pair::new(members.try_into().ok().unwrap()));
        }
        Self { servers, pairs: pairs.try_into().ok().unwrap() }
    }

    /// Plays a row, after which the pairs talk, and the server has forgotten whoever played it. False where
    /// the answer was another: a panic has said which.
    pub async fn play(&mut self, row: &Row, on: On) -> bool {
        let (player, played) = (self.enter(row, on).await, row.clone());
        let as_stated = tokio::spawn(async move { play(&played, player).await }).await.is_ok();
        self.talk().await;
        let server = self.servers.of(on);
        let forgotten = async {
            while server.handle.connections() > PAIR {
                tokio::task::yield_now().await;
            }
        };
        soon(forgotten, "the row's connection to be forgotten").await;
        as_stated
    }

    pub async fn talk(&mut self) {
        for pair in &mut self.pairs {
            pair.talk().await;
        }
    }

    pub async fn enter(&self, row: &Row, on: On) -> Player {
        self.servers.enter(row, on).await
    }

    pub async fn finish(self) {
        drop(self.pairs);
        self.servers.plain.finish().await;
        self.servers.secure.finish().await;
    }
}

impl Servers {
    /// With this tick, so that batches have times.
    pub async fn start(period: Duration, change: impl Fn(&mut Limits)) -> Self {
        let pem = Pem::new();
        let mut classes = RoomClasses::default();
        classes.default.period = period;
        // One shard: what it refuses comes in order.
        let builder = || Server::builder().shards(1).limits(limits(&change)).classes(classes.clone());
        let plain = TestServer::build(builder()).await;
        let secure = TestServer::build(builder().tls(pem.tls())).await;
        Self { plain, secure, pem }
    }

    /// Somebody who has come as far as the row says.
    pub async fn enter(&self, row: &Row, on: On) -> Player {
        let resets = row.steps.iter().any(|step| matches!(step, Step::Reset));
        let (mut peer, beneath) = self.connect(on, resets).await;
        if row.stage != Stage::Socket {
            peer.open("/ws").await;
        }
        let (Stage::Hello(capabilities) | Stage::Joined(capabilities, _)) = row.stage else {
            return Player { peer, beneath };
        };
        peer.send(&say::hello_with(capabilities)).await;
        peer.control().await;
        if let Stage::Joined(_, mode) = row.stage {
            peer.join(1, mode, "target").await;
        }
        Player { peer, beneath }
    }

    const fn of(&self, on: On) -> &TestServer {
        if matches!(on, On::Tcp | On::WebSocket) { &self.plain } else { &self.secure }
    }

    /// A peer with nothing said above TLS, and the socket below it.
    async fn connect(&self, on: On, resets: bool) -> (Peer, TcpStream) {
        let stream = TcpStream::connect(self.of(on).addr(on.transport())).await.unwrap();
        stream.set_nodelay(true).unwrap();
        if resets {
            // Closing then resets.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let stream = stream.into_std().unwrap();
        let beneath = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        // Both versions, one on each port.
        let version = if on == On::Tls { &TLS12 } else { &TLS13 };
        let peer = match on {
            On::Tls | On::Wss => {
                let config = self.pem.client_over(version, on.transport());
                Peer::new(shake(stream, config).await.unwrap(), on.transport())
            }
            _ => Peer::new(stream, on.transport()),
        };
        (peer, beneath)
    }
}
