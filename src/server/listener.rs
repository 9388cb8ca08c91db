//! Accepting connections: places first, buffers later, and patience when the system has no more.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::access::{Denied, Guest, parting, proxied};
use super::connection::Speaks;
use super::cost::timed;
use super::http::{Caller, Upgraded};
use super::registry::Place;
use super::stream::Stream;
#[cfg(feature = "tls")]
use super::tls;
use super::{Handle, http};
use crate::limits::Limits;
use crate::rejections::Rejected;
use crate::time::Time;

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
            Ok((stream, peer)) => {
                failing = false;
                admit(stream, peer.ip(), port, &server);
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
fn admit(mut stream: TcpStream, peer: IpAddr, port: Port, server: &Handle) {
    let access = &server.access;
    let Some(greeting) = access.greet() else {
        let denied = access.deny(Rejected::Greetings);
        if !server.speaks_tls() {
            parting::part(Stream::plain(stream), port, denied, access);
        }
        return;
    };
    let surroundings = server.surroundings();
    let limits = &surroundings.facts.limits;
    if let Err(error) = prepare(&stream, limits) {
        debug!("the connection is gone: {error}");
        return;
    }
    if !access.expects_proxy_header(port) || !access.trusts(peer) {
        return receive(stream, peer, port, greeting, Introduced::No, server);
    }
    let (server, within) = (server.clone(), limits.proxy_timeout);
    tokio::spawn(async move {
        match proxied::read(&mut stream, within).await {
            // Without an address the proxy speaks for itself.
            Ok(None) => receive(stream, peer, port, greeting, Introduced::No, &server),
            Ok(Some(source)) => receive(stream, source.ip(), port, greeting, Introduced::Yes, &server),
            Err(error) => {
                server.access.count(Rejected::ProxyHeader);
                debug!("a listed proxy, {peer}, is turned away: {error}");
            }
        }
    });
}

/// Whether a listed proxy has said for whom it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Introduced {
    Yes,
    No,
}

/// Somebody has come, of whom the address is known as far as it can be before he speaks.
fn receive(
    stream: TcpStream,
    peer: IpAddr,
    port: Port,
    greeting: OwnedSemaphorePermit,
    introduced: Introduced,
    server: &Handle,
) {
    let access = &server.access;
    let now = server.surroundings().clock.now();
    let caller = match port {
        Port::Http => Caller::new(peer, greeting, access, now),
        Port::Tcp => access.arrive(peer, greeting, now).map(Caller::Known),
    };
    let caller = match caller {
        Ok(caller) if introduced == Introduced::Yes => caller.introduced(),
        Ok(caller) => caller,
        // Whoever waits for a handshake reads no words.
        Err(_) if server.speaks_tls() => return,
        Err(denied) => return parting::part(Stream::plain(stream), port, denied, access),
    };
    #[cfg(feature = "tls")]
    if let Some(tls) = server.tls.clone() {
        let server = server.clone();
        tokio::spawn(async move {
            let address = caller.limited();
            let (accepted, spent) = timed(tls::accept(&tls, stream, port, address, &server)).await;
            if let Some((stream, port)) = accepted {
                begin(stream, port, caller, spent, &server);
            }
        });
        return;
    }
    begin(Stream::plain(stream), port, caller, Duration::ZERO, server);
}

/// Speaks with somebody who may be here, for whom the server has worked so long.
fn begin(stream: Stream<TcpStream>, port: Port, caller: Caller, spent: Duration, server: &Handle) {
    let (connected, begun) = (server.surroundings().clock.now(), Instant::now());
    match port {
        Port::Http => {
            let server = server.clone();
            tokio::spawn(async move {
                let (upgraded, upgrading) = timed(http::serve(stream, caller, &server)).await;
                if let Some(Upgraded { io, speaks, place, guest }) = upgraded {
                    server.admit(io, speaks, place, guest, connected);
                    server.registry.handshake_cost().count(spent + upgrading);
                }
            });
        }
        Port::Tcp => match place(caller, connected, server) {
            Ok((guest, place)) => {
                server.admit(stream, Speaks::Tcp, place, guest, connected);
                server.registry.handshake_cost().count(spent + begun.elapsed());
            }
            Err(denied) => parting::part(stream, port, denied, &server.access),
        },
    }
}

/// A place for somebody who speaks frames.
fn place(caller: Caller, now: Time, server: &Handle) -> Result<(Guest, Place), Denied> {
    let access = &server.access;
    let guest = match caller {
        Caller::Known(guest) | Caller::Introduced(guest) => guest,
        // Frames say nothing of whom a proxy speaks for.
        Caller::Behind(proxy, greeting) => access.arrive(proxy, greeting, now)?,
    };
    access.check_memory()?;
    let place = server.registry.take_place().ok_or_else(|| access.deny(Rejected::Full))?;
    Ok((guest, place))
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
