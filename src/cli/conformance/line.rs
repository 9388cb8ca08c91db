//! One connection through the relay: a client on one side, the server under test on the other.
//!
//! ```text
//! client ───────────────── bytes, as they come ─────────────────> server
//! client <── what may be cut ── whole frames <── unless held ──── server
//!                  ^──── bytes that are injected
//! ```
//!
//! Both sockets have a linger of zero, so that dropping them resets both connections, whenever that is. Who ends
//! in order shuts down first, and waits for the other side.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::answer::Answer;
use super::framing::Framing;

/// What a line tells the relay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    /// The connection of this number has ended, from whichever side.
    Ended(usize, Instant),
    /// A client was told when to come back.
    Slot { told: Instant, slot: Instant },
}

/// What the relay wants of a line.
#[derive(Debug)]
pub(super) enum Wish {
    /// These bytes for the client, between two frames; then it is told.
    Inject(Vec<u8>, oneshot::Sender<()>),
    /// So many bytes more for the client, and then the end.
    CutAfter(usize),
}

/// A connection that has come, and what steers it.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number.
    pub(super) number: usize,
    /// The client's side.
    pub(super) client: TcpStream,
    /// What it speaks.
    pub(super) framing: Framing,
    /// Wishes.
    pub(super) wishes: mpsc::Receiver<Wish>,
    /// Whether it is to pass nothing more.
    pub(super) stalled: watch::Receiver<bool>,
    /// Whether nothing is to be read from the server.
    pub(super) held: watch::Receiver<bool>,
    /// To the relay.
    pub(super) notices: mpsc::Sender<Notice>,
}

/// Bytes of a read. 16 KiB: what a server sends in one go.
const READ: usize = 16 * 1024;

/// What the kernel may hold of what a server has sent, in bytes. 16 KiB: so that a client that is held back is
/// behind at the server, and not here.
const RECEIVE_BUFFER: u32 = 16 * 1024;

/// What the kernel may hold toward a client, in bytes. 64 KiB, for the same reason.
const SEND_BUFFER: usize = 64 * 1024;

/// How long one side may go on behind the end of the other. 5 s: longer than a server waits (PROTOCOL 4.3).
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How one direction has ended.
enum End {
    /// In order: the other side has been told.
    Said,
    /// Broken, or cut.
    Broken,
}

/// Makes a client's socket one that is reset when it is dropped.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)
}

impl Line {
    /// Passes everything between the client and a server, until both have ended or it is cut.
    pub(super) async fn pass(mut self, server: SocketAddr) {
        let number = self.number;
        let notices = self.notices.clone();
        if let Ok(server) = connect(server).await {
            // What is said of the end may say so twice: the first counts.
            self.pass_between(server).await;
        }
        // With the sockets, what is still open is reset.
        drop(self);
        tell_end(&notices, number).await;
    }

    /// Says something to the client, and ends.
    pub(super) async fn answer(self, answer: Answer) {
        let Self { number, client, notices, wishes, .. } = self;
        // Nobody is to wait for what it does not do.
        drop(wishes);
        answer.say(client, tell_end(&notices, number)).await;
    }

    async fn pass_between(&mut self, mut server: TcpStream) {
        let (number, notices) = (self.number, self.notices.clone());
        let _small = SockRef::from(&self.client).set_send_buffer_size(SEND_BUFFER);
        let (from_client, to_client) = self.client.split();
        let (from_server, to_server) = server.split();
        let down = Down {
            client: to_client,
            framing: self.framing,
            wishes: &mut self.wishes,
            held: &mut self.held,
            notices: &notices,
            allowance: None,
            number,
        };
        let passing = async {
            let up = pin!(pass_up(from_client, to_server, number, &notices));
            both(up, pin!(down.pass(from_server))).await;
        };
        let is_stalled = tokio::select! {
            () = passing => false,
            Ok(_) = self.stalled.wait_for(|stalled| *stalled) => true,
        };
        if is_stalled {
            let (from_client, _to_client) = self.client.split();
            let (from_server, _to_server) = server.split();
            let client = async {
                swallow(from_client).await;
                tell_end(&notices, number).await;
            };
            tokio::join!(client, swallow(from_server));
        }
    }
}

/// Until both directions have ended; the second has a while for it.
async fn both(mut up: impl Future<Output = End> + Unpin, mut down: impl Future<Output = End> + Unpin) {
    let rest = tokio::select! {
        end = &mut up => match end {
            End::Said => timeout(LAST_WORDS, down).await,
            End::Broken => return,
        },
        end = &mut down => match end {
            End::Said => timeout(LAST_WORDS, up).await,
            End::Broken => return,
        },
    };
    // Whether it has ended or is late: nothing is left to do.
    drop(rest);
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let stream = socket.connect(server).await?;
    prepare(&stream)?;
    Ok(stream)
}

async fn tell_end(notices: &mpsc::Sender<Notice>, number: usize) {
    // Nobody listens when the relay has gone.
    let _gone = notices.send(Notice::Ended(number, Instant::now())).await;
}

async fn pass_up(
    mut client: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
    number: usize,
    notices: &mpsc::Sender<Notice>,
) -> End {
    let mut buffer = BytesMut::with_capacity(READ);
    loop {
        buffer.clear();
        match client.read_buf(&mut buffer).await {
            Ok(0) => {
                tell_end(notices, number).await;
                return if server.shutdown().await.is_ok() { End::Said } else { End::Broken };
            }
            Ok(_) if server.write_all(&buffer).await.is_ok() => {}
            _ => return End::Broken,
        }
    }
}

/// The way down to the client.
struct Down<'a, W> {
    client: W,
    framing: Framing,
    wishes: &'a mut mpsc::Receiver<Wish>,
    held: &'a mut watch::Receiver<bool>,
    notices: &'a mpsc::Sender<Notice>,
    /// How many bytes may still be passed, where that is bounded.
    allowance: Option<usize>,
    number: usize,
}

impl<W: AsyncWrite + Unpin> Down<'_, W> {
    async fn pass(mut self, mut server: impl AsyncRead + Unpin) -> End {
        let mut buffer = BytesMut::with_capacity(READ);
        loop {
            while let Some(whole) = self.framing.take(&mut buffer) {
                if let Some(millis) = self.framing.going_away(&whole) {
                    self.tell_slot(Duration::from_millis(millis)).await;
                }
                if self.write(&whole).await.is_err() {
                    return End::Broken;
                }
            }
            buffer.reserve(READ);
            let read = tokio::select! {
                biased;
                Some(wish) = self.wishes.recv(), if self.framing.has_begun() => {
                    if self.obey(wish).await.is_err() {
                        return End::Broken;
                    }
                    continue;
                }
                read = read_unless(self.held, &mut server, &mut buffer) => read,
            };
            match read {
                Ok(0) => return self.end(&buffer).await,
                Ok(_) => {}
                Err(_) => return End::Broken,
            }
        }
    }

    async fn tell_slot(&self, after: Duration) {
        let told = Instant::now();
        if let Some(slot) = told.checked_add(after) {
            let _gone = self.notices.send(Notice::Slot { told, slot }).await;
        }
    }

    async fn obey(&mut self, wish: Wish) -> io::Result<()> {
        match wish {
            Wish::CutAfter(0) => Err(io::ErrorKind::ConnectionReset.into()),
            Wish::CutAfter(bytes) => {
                self.allowance = Some(bytes);
                Ok(())
            }
            Wish::Inject(bytes, done) => {
                self.write(&self.framing.wrap(&bytes)).await?;
                let _gone = done.send(());
                Ok(())
            }
        }
    }

    /// Fails where no more may be passed.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(allowance) = &mut self.allowance else { return self.client.write_all(bytes).await };
        let (now, _never) = bytes.split_at(bytes.len().min(*allowance));
        *allowance -= now.len();
        self.client.write_all(now).await?;
        if *allowance == 0 { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    /// The server has ended: so does the way to the client, behind what is left.
    async fn end(mut self, rest: &[u8]) -> End {
        let passed = self.write(rest).await.is_ok() && self.client.shutdown().await.is_ok();
        tell_end(self.notices, self.number).await;
        if passed { End::Said } else { End::Broken }
    }
}

/// Reads while nobody holds it. Cancel safe.
async fn read_unless(
    held: &mut watch::Receiver<bool>,
    server: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    loop {
        // Where the relay has gone, the line goes with it.
        if held.wait_for(|held| !held).await.is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        tokio::select! {
            biased;
            Ok(_) = held.wait_for(|held| *held) => {}
            read = server.read_buf(buffer) => return read,
        }
    }
}

/// Reads to the end.
async fn swallow(mut from: impl AsyncRead + Unpin) {
    let mut buffer = BytesMut::with_capacity(READ);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        buffer.clear();
    }
}
