//! A server on free ports, and a wire before it that can be cut.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tickwire::client::ClientConfig;
use tickwire::server::{Builder, Handle, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// How long a test waits for what must come: a test that passes never does.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What must happen, or the test fails.
pub async fn soon<T>(what: impl Future<Output = T>, expected: &str) -> T {
    match timeout(PATIENCE, what).await {
        Ok(done) => done,
        Err(_) => panic!("waited in vain for {expected}"),
    }
}

pub struct TestServer {
    pub handle: Handle,
    pub tcp: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::build(Server::builder()).await
    }

    pub async fn build(builder: Builder) -> Self {
        let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = builder.websocket(None).tcp(any).bind().await.unwrap();
        let (tcp, handle) = (server.tcp_addr().unwrap(), server.handle());
        let (stop, stopped) = oneshot::channel();
        let run = server.run(async {
            let _stopped = stopped.await;
        });
        let running = tokio::spawn(async { run.await.unwrap() });
        Self { handle, tcp, stop: Some(stop), running }
    }

    /// How clients reach it over TCP.
    pub fn config(&self) -> ClientConfig {
        config(self.tcp)
    }

    /// Goes away, and waits until it has.
    pub async fn finish(mut self) {
        let _told = self.stop.take().map(|stop| stop.send(()));
        soon(self.running, "the server to return").await.unwrap();
    }
}

pub fn config(tcp: SocketAddr) -> ClientConfig {
    ClientConfig::new(format!("tcp://{tcp}").parse().unwrap())
}

/// Passes bytes on between clients and a server, until it is cut.
pub struct Wire {
    pub addr: SocketAddr,
    lines: Arc<Mutex<JoinSet<()>>>,
    accepting: JoinHandle<()>,
}

impl Wire {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let lines = Arc::new(Mutex::new(JoinSet::new()));
        let passing = Arc::clone(&lines);
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                passing.lock().unwrap().spawn(async move {
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { addr, lines, accepting }
    }

    /// Ends every connection; later ones pass.
    pub fn cut(&self) {
        self.lines.lock().unwrap().abort_all();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
