//! Accepting connections: places first, buffers later, and patience when the system has no more.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{debug, warn};

use super::connection::Speaks;
use super::inbound::Stopped;
use super::writer::{Framing, Writer};
use super::{Handle, closing, http};
use crate::limits::Limits;
use crate::session::Ending;
use crate::wire::Reason;

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// HTTP, and WebSocket after it.
    Http,
    /// Frames.
    Tcp,
}

/// How long to wait when a connection cannot be accepted, mostly since file descriptors ran out.
/// 100 ms: others may close by then, and a core does not spin meanwhile.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until the server stops.
pub(super) async fn run(listener: TcpListener, port: Port, server: Handle, mut stopping: watch::Receiver<bool>) {
    // Said once until it is over: strangers can make this last, and must not fill a log.
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                failing = false;
                admit(stream, port, &server);
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!("cannot accept connections for now: {error}");
                }
                back_off().await;
            }
        }
    }
}

/// Gives a connection its place, or turns it away before anything is allocated for it.
fn admit(stream: TcpStream, port: Port, server: &Handle) {
    let Some(greeting) = server.registry.greet() else {
        server.registry.observe().count_crowded();
        debug!("turned away: too many connections without hello");
        return;
    };
    let limits = &server.surroundings.facts.limits;
    if let Err(error) = prepare(&stream, limits) {
        debug!("the connection is gone: {error}");
        return;
    }
    match port {
        Port::Http => {
            tokio::spawn(http::serve(stream, server.clone(), greeting));
        }
        Port::Tcp => {
            let Some(place) = server.registry.take_place() else {
                server.registry.observe().count_full();
                tokio::spawn(turn_away(stream, server.clone(), greeting));
                return;
            };
            let connected = server.surroundings.clock.now();
            server.admit(stream, Speaks::Tcp, place, Arc::new(greeting), connected);
        }
    }
}

/// Says that the server is full. Bounded like strangers are, whose place it holds.
async fn turn_away(mut stream: TcpStream, server: Handle, _greeting: OwnedSemaphorePermit) {
    let full = Stopped::Ending(Ending::because(Reason::SERVER_FULL));
    let limits = &server.surroundings.facts.limits;
    closing::run(&mut stream, Writer::new(Framing::Tcp), full, Framing::Tcp, limits).await;
}

fn prepare(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    // A tick's batch is whole when it is written: nothing is gained by waiting for more.
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    if limits.socket_send_buffer > 0 {
        socket.set_send_buffer_size(limits.socket_send_buffer)?;
    }
    if limits.socket_receive_buffer > 0 {
        socket.set_recv_buffer_size(limits.socket_receive_buffer)?;
    }
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Some(bytes) = u32::try_from(limits.socket_not_sent).ok().filter(|bytes| *bytes > 0) {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when the system has file descriptors again")]
async fn back_off() {
    tokio::time::sleep(BACK_OFF).await;
}

/// Errors of `accept` that belong to the connection and not to us.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
