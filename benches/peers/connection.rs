//! One client of the generator: its socket, and what waits on either side of it.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::dialect::{Dialect, Setup};
use super::ledger::Receiver;
use super::workload::{Who, Workload};

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) receiver: Receiver,
    /// Bytes to write, of which the first `written` are.
    pub(crate) output: Vec<u8>,
    written: usize,
    /// Messages that wait for the end of the sender's own tick.
    pub(crate) gathered: Vec<u8>,
    /// What was read of a unit that is not whole yet; the same inside WebSocket frames.
    pub(crate) rest: Vec<u8>,
    pub(crate) carried: Vec<u8>,
    /// Whether it is on a list of those to write.
    pub(crate) queued: bool,
    pub(crate) dead: bool,
}

impl Connection {
    /// Writes what the socket takes; whether that was all.
    pub(crate) fn write(&mut self) -> io::Result<bool> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(len) => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(true)
    }

    /// Whether so much waits that nothing more may.
    pub(crate) const fn is_full(&self) -> bool {
        self.output.len() - self.written > MAX_WAITING
    }
}

/// Connects and joins everybody of a workload.
pub(crate) fn open_all<D: Dialect>(dialect: &D, work: &Workload, port: u16) -> io::Result<Vec<Connection>> {
    if work.members.len() > MAX_CONNECTIONS {
        return Err(io::Error::other(format!("more than {MAX_CONNECTIONS} connections")));
    }
    let open = |who: &Who| {
        let mut setup = Setup { stream: connect(port, who.index)?, rest: Vec::new() };
        let joined = dialect.join(&mut setup, *who);
        joined.map_err(|error| io::Error::other(format!("client {}: {error}", who.index)))?;
        setup.stream.set_nonblocking(true)?;
        Ok::<Setup, io::Error>(setup)
    };
    let share = work.members.len().div_ceil(dialect.parallel()).max(1);
    let setups: io::Result<Vec<Setup>> = if dialect.parallel() == 1 {
        work.members.iter().map(open).collect()
    } else {
        std::thread::scope(|scope| {
            let some = |members| scope.spawn(move || Iterator::map(<[Who]>::iter(members), open).collect());
            let threads: Vec<_> = work.members.chunks(share).map(some).collect();
            let died = |_| Err(io::Error::other("a set-up died"));
            let parts = threads.into_iter().map(|thread| thread.join().unwrap_or_else(died));
            parts.collect::<io::Result<Vec<Vec<Setup>>>>().map(|parts| parts.into_iter().flatten().collect())
        })
    };
    let mut rows = 0..;
    let connection = |(who, setup): (&Who, Setup)| Connection {
        stream: TcpStream::from_std(setup.stream),
        receiver: Receiver { row: who.receives.then(|| rows.next()).flatten(), room: who.room, index: who.index },
        output: Vec::new(),
        written: 0,
        gathered: Vec::new(),
        rest: setup.rest,
        carried: Vec::new(),
        queued: false,
        dead: false,
    };
    Ok(work.members.iter().zip(setups?).map(connection).collect())
}

/// Connects from a loopback address of its own per 4,000 clients and run: ports that linger after one run must not
/// be missing in the next.
fn connect(port: u16, index: u32) -> io::Result<std::net::TcpStream> {
    let host = 2 + (std::process::id() + index / 4000) % 200;
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host as u8), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&from.into())?;
    // Only the set-up blocks.
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let stream = std::net::TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Bytes to make room for in a read.
pub(crate) const READ: usize = 512 * 1024;

/// More bytes than anything whole that a server sends here, batches included.
pub(crate) const MAX_UNIT: usize = 16 << 20;

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 12_000;
const MAX_WAITING: usize = 8 << 20;
