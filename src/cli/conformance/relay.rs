//! The relay: where clients connect to, and what goes wrong on the way.
//!
//! ```text
//! client ──> ports ──> down? ──> an answer of our own? ──> Line ──> server
//!              └── Visits: when each has come and ended
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::answer::Answer;
use super::framing::Framing;
use super::line::{self, Line, Notice, Wish};
use super::order::Fault;
use super::visits::Visits;

/// Between clients and the server under test.
#[derive(Debug)]
pub(super) struct Relay {
    websocket: TcpListener,
    tcp: TcpListener,
    server: Backend,
    lines: Vec<Steering>,
    tasks: JoinSet<()>,
    notices: mpsc::Receiver<Notice>,
    notify: mpsc::Sender<Notice>,
    held: watch::Sender<bool>,
    down_until: Option<Instant>,
    answers: VecDeque<Fault>,
    visits: Visits,
}

/// Where the server under test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    /// HTTP and WebSocket.
    pub(super) websocket: SocketAddr,
    /// TCP.
    pub(super) tcp: SocketAddr,
}

/// The relay's end of a line.
#[derive(Debug)]
struct Steering {
    wishes: mpsc::Sender<Wish>,
    stall: watch::Sender<bool>,
}

/// Why a fault was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// There is no connection that could have it.
    NoConnection,
    /// A client does not take what is injected.
    Late,
    /// As many answers wait for connections as may.
    Answers,
}

/// A port of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    WebSocket,
    Tcp,
}

/// Connections at once. 1,024: a scenario has one. Those beyond are reset.
const LINES: usize = 1024;

/// Wishes that wait for a line, and answers that wait for connections. 64.
const WISHES: usize = 64;

/// Notices that wait. 1,024: a few of each line.
const NOTICES: usize = 1024;

/// How long bytes that are injected may take. 5 s: half of what a step has.
const PATIENCE: Duration = Duration::from_secs(5);

impl Relay {
    /// Binds two ports of loopback.
    pub(super) async fn bind(server: Backend) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (notify, notices) = mpsc::channel(NOTICES);
        Ok(Self {
            websocket: TcpListener::bind(any).await?,
            tcp: TcpListener::bind(any).await?,
            server,
            lines: Vec::new(),
            tasks: JoinSet::new(),
            notices,
            notify,
            held: watch::Sender::new(false),
            down_until: None,
            answers: VecDeque::new(),
            visits: Visits::default(),
        })
    }

    /// Where clients connect to.
    pub(super) fn addrs(&self) -> io::Result<Backend> {
        Ok(Backend { websocket: self.websocket.local_addr()?, tcp: self.tcp.local_addr()? })
    }

    /// Connections from now on are for this server.
    pub(super) const fn serve(&mut self, server: Backend) {
        self.server = server;
    }

    /// Ends everything, faults too, and forgets who was there.
    pub(super) async fn reset(&mut self) {
        self.cut().await;
        self.held.send_replace(false);
        self.down_until = None;
        self.answers.clear();
        while self.notices.try_recv().is_ok() {}
        self.visits = Visits::default();
    }

    /// Who has come.
    pub(super) fn visits(&mut self) -> &Visits {
        while let Ok(notice) = self.notices.try_recv() {
            self.visits.handle(notice);
        }
        &self.visits
    }

    /// Does the next thing: takes a connection, or hears of one. Cancel safe.
    pub(super) async fn turn(&mut self) {
        tokio::select! {
            came = self.websocket.accept() => self.admit(came, Port::WebSocket).await,
            came = self.tcp.accept() => self.admit(came, Port::Tcp).await,
            Some(notice) = self.notices.recv() => self.visits.handle(notice),
            Some(_) = self.tasks.join_next() => {}
        }
    }

    /// Makes a fault.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) async fn fail(&mut self, fault: Fault) -> Result<(), Unfit> {
        match fault {
            Fault::Cut => self.cut().await,
            Fault::CutAfter(bytes) => {
                for line in self.open()? {
                    let _ended = line.wishes.try_send(Wish::CutAfter(bytes));
                }
            }
            Fault::Down(time) => {
                self.down_until = Instant::now().checked_add(time);
                self.cut().await;
            }
            Fault::Stall => {
                for line in self.open()? {
                    line.stall.send_replace(true);
                }
            }
            Fault::Hold => {
                self.held.send_replace(true);
            }
            Fault::Release => {
                self.held.send_replace(false);
            }
            Fault::Inject(bytes) => self.inject(&bytes).await?,
            Fault::Greet(_) | Fault::Http(..) if self.answers.len() >= WISHES => return Err(Unfit::Answers),
            Fault::Greet(_) | Fault::Http(..) => self.answers.push_back(fault),
        }
        Ok(())
    }

    /// Lines that have not ended.
    fn open(&mut self) -> Result<&[Steering], Unfit> {
        self.lines.retain(|line| !line.wishes.is_closed());
        if self.lines.is_empty() { Err(Unfit::NoConnection) } else { Ok(&self.lines) }
    }

    async fn cut(&mut self) {
        // With its task each line drops its sockets, and that resets them.
        self.tasks.shutdown().await;
        self.lines.clear();
        self.visits.all_end(Instant::now());
    }

    async fn inject(&mut self, bytes: &[u8]) -> Result<(), Unfit> {
        let mut taken = Vec::new();
        for line in self.open()? {
            let (done, told) = oneshot::channel();
            // Who has ended meanwhile needs none.
            if line.wishes.try_send(Wish::Inject(bytes.to_vec(), done)).is_ok() {
                taken.push(told);
            }
        }
        let all = async {
            for told in taken {
                let _ended = told.await;
            }
        };
        timeout(PATIENCE, all).await.map_err(|_| Unfit::Late)
    }

    async fn admit(&mut self, came: io::Result<(TcpStream, SocketAddr)>, port: Port) {
        let Ok((client, _)) = came else {
            // Mostly there are no more descriptors: not to spin until there are.
            let _back_off = timeout(Duration::from_millis(100), std::future::pending::<()>()).await;
            return;
        };
        let now = Instant::now();
        self.lines.retain(|line| !line.wishes.is_closed());
        let number = self.visits.come(now);
        let is_down = self.down_until.is_some_and(|until| now < until);
        let is_ready = line::prepare(&client).is_ok();
        if is_down || !is_ready || self.lines.len() >= LINES {
            self.visits.handle(Notice::Ended(number, now));
            return;
        }
        let answer = self.answer(port);
        let (wishes, wished) = mpsc::channel(WISHES);
        let stall = watch::Sender::new(false);
        let line = Line {
            number,
            client,
            framing: if port == Port::Tcp { Framing::Tcp } else { Framing::Handshake },
            wishes: wished,
            stalled: stall.subscribe(),
            held: self.held.subscribe(),
            notices: self.notify.clone(),
        };
        self.lines.push(Steering { wishes, stall });
        let Backend { websocket, tcp } = self.server;
        let server = if port == Port::Tcp { tcp } else { websocket };
        self.tasks.spawn(async move {
            match answer {
                Some(answer) => line.answer(answer).await,
                None => line.pass(server).await,
            }
        });
    }

    /// What the relay says to the next connection itself, if that is this one.
    fn answer(&mut self, port: Port) -> Option<Answer> {
        let fits = |fault: &Fault| port == Port::WebSocket || matches!(fault, Fault::Greet(_));
        let fault = self.answers.remove(self.answers.iter().position(fits)?)?;
        match (fault, port) {
            (Fault::Greet(bytes), Port::Tcp) => Some(Answer::Tcp(bytes)),
            (Fault::Greet(bytes), Port::WebSocket) => Some(Answer::WebSocket(bytes)),
            (Fault::Http(status, again), _) => Some(Answer::Http(status, again)),
            _ => None,
        }
    }
}
