//! A server on free ports, the pair that must not notice an attack, and what all topics share.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tickwire::limits::Limits;
use tickwire::server::{Builder, Error, Handle, Server};
use tickwire::wire::Reason;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::hear::Ended;
use super::peer::Peer;
use super::say;

/// How long a test waits for what must come. 10 s: the machine may be busy with other things, and
/// a test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What must happen, or the test fails.
pub async fn soon<T>(what: impl Future<Output = T>, expected: &str) -> T {
    match timeout(PATIENCE, what).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain for {expected}"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    WebSocket,
}

pub const BOTH: [Transport; 2] = [Transport::Tcp, Transport::WebSocket];

pub fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    // Long, so that a connection that is left over is seen at the end of a test.
    limits.drain_timeout = Duration::from_secs(60);
    change(&mut limits);
    limits
}

pub struct TestServer {
    pub handle: Handle,
    websocket: SocketAddr,
    tcp: SocketAddr,
    pub admin: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), Error>>,
}

impl TestServer {
    pub async fn start(limits: Limits) -> Self {
        Self::build(Server::builder().limits(limits)).await
    }

    pub async fn build(builder: Builder) -> Self {
        let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = builder.websocket(any).tcp(any).bind().await.unwrap();
        let (websocket, tcp) = (server.websocket_addr().unwrap(), server.tcp_addr().unwrap());
        let (handle, admin) = (server.handle(), server.admin_addr());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _stopped = stopped.await;
        }));
        Self { handle, websocket, tcp, admin, stop: Some(stop), running }
    }

    pub const fn addr(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::WebSocket => self.websocket,
        }
    }

    /// Tells the server to stop.
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until a server that was told to stop has returned.
    pub async fn stopped(self) {
        soon(self.running, "the server to return").await.unwrap().unwrap();
        assert_eq!(self.handle.connections(), 0);
    }

    /// Every peer has closed: the server then returns at once, unless a connection is left over.
    pub async fn finish(mut self) {
        self.stop();
        self.stopped().await;
    }
}

/// Two peers that only want to talk, one over each transport.
pub struct Pair {
    tcp: Peer,
    websocket: Peer,
    talks: u8,
}

impl Pair {
    pub async fn meet(server: &TestServer, room: &str) -> Self {
        let (tcp, _) = Peer::joined(server, Transport::Tcp, room).await;
        let (websocket, _) = Peer::joined(server, Transport::WebSocket, room).await;
        Self { tcp, websocket, talks: 0 }
    }

    pub async fn talk(&mut self) {
        self.talks += 1;
        let (question, answer) = ([b'?', self.talks], [b'!', self.talks]);
        self.tcp.send(&say::event(1, &question)).await;
        self.websocket.event(&question).await;
        self.websocket.send(&say::event(1, &answer)).await;
        self.tcp.event(&answer).await;
    }
}

/// Runs an attack, while two others talk in another room before and after it. The attackers are
/// gone when the attack returns; the server must have forgotten them.
pub async fn survives(limits: Limits, attack: impl AsyncFnOnce(&TestServer)) {
    let server = TestServer::start(limits).await;
    let mut pair = Pair::meet(&server, "bystanders").await;
    pair.talk().await;
    attack(&server).await;
    pair.talk().await;
    drop(pair);
    server.finish().await;
}

/// What `reason` looks like to a peer over `transport`.
pub fn ending(transport: Transport, reason: Reason) -> Ended {
    let close_code = (transport == Transport::WebSocket).then(|| reason.close_code());
    Ended { reason, request: 0, reconnect: None, close_code, reset: false }
}

/// The peer is told `reason`, and then its stream ends without a reset.
#[track_caller]
pub fn check_ended(peer: &mut Peer, reason: Reason) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let expected = ending(peer.transport, reason);
        assert_eq!(peer.ended().await, expected, "at {caller}");
    }
}
