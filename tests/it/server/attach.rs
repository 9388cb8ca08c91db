//! Connections that an application has accepted itself: any byte stream, over either framing.

use bytes::Bytes;
use tickwire::server::{Full, Handle, Server};
use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Kind, Reason};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex, join as join_halves, sink, split};
use tokio::task::JoinHandle;

use super::hear::command;
use super::peer::{Io, Peer};
use super::say;
use super::support::{BOTH, Pair, TestServer, Transport, limits, soon};

/// The server at one end of a stream that hands over so many bytes at a time.
fn attach(server: &Handle, transport: Transport, width: usize) -> (DuplexStream, JoinHandle<Result<(), Full>>) {
    let (near, far) = duplex(width);
    (near, serve(server, transport, far))
}

/// The server at the end of a stream.
pub fn serve(server: &Handle, transport: Transport, io: impl Io + 'static) -> JoinHandle<Result<(), Full>> {
    let server = server.clone();
    tokio::spawn(async move {
        match transport {
            Transport::Tcp => server.attach_tcp(io).await,
            Transport::WebSocket => server.attach(io, Bytes::new(), None).await,
        }
    })
}

/// The magic, where there is one, hello, and a join.
async fn join(io: DuplexStream, transport: Transport) -> Peer {
    let mut peer = Peer::new(io, transport);
    if transport == Transport::Tcp {
        peer.send_raw(&say::preamble()).await;
    }
    peer.greet().await;
    peer.join(1, Mode::BOTH, "target").await;
    peer
}

#[tokio::test]
async fn attached_peers_meet_those_on_sockets() {
    let server = TestServer::start(limits(|_| {})).await;
    let mut pair = Pair::meet(&server, "target").await;
    let mut attached = Vec::new();
    for transport in [Transport::Tcp, Transport::WebSocket, Transport::WebSocket] {
        let (io, serving) = attach(&server.handle, transport, 4096);
        attached.push((join(io, transport).await, serving));
    }
    assert_eq!(server.handle.connections(), 5);
    pair.talk().await;
    for (peer, _) in &mut attached {
        peer.event(&[b'!', 1]).await;
    }
    for (mut peer, serving) in attached {
        peer.send(&say::close(9)).await;
        assert_eq!(peer.ended().await.reason, Reason::FINISHED);
        drop(peer);
        assert_eq!(soon(serving, "attach to return").await.unwrap(), Ok(()));
    }
    // A place is free when the shards know that its session is over.
    let given_back = async {
        while server.handle.connections() != 2 {
            tokio::task::yield_now().await;
        }
    };
    soon(given_back, "places to be given back").await;
    drop(pair);
    server.finish().await;
}

#[tokio::test]
async fn a_stream_cut_at_every_byte_is_the_same_stream() {
    let server = TestServer::start(limits(|_| {})).await;
    for transport in BOTH {
        // Never more than so many bytes in one read or write, either way.
        for width in [1, 2, 3, 5, 7, 64, 4096] {
            let frames = [
                say::hello(),
                say::ping(42),
                vec![2, 0, 2, 0, 0x70, 9],
                say::join(2, 1, Mode::BOTH, &format!("{transport:?}:{width}")),
                say::event(1, b"an event"),
                say::event(1, &[7; 300]),
                say::direct(1, 1, b"to myself"),
            ]
            .concat();
            let bytes = match transport {
                Transport::Tcp => [say::preamble(), frames].concat(),
                Transport::WebSocket => {
                    let (first, last) = frames.split_at(40);
                    [say::masked(0x02, first), say::masked(0x89, b"?"), say::masked(0x80, last)].concat()
                }
            };
            let (io, serving) = attach(&server.handle, transport, width);
            check_cut(io, transport, &bytes).await;
            assert_eq!(soon(serving, "attach to return").await.unwrap(), Ok(()));
        }
    }
    server.finish().await;
}

/// The answers to that stream. The pipe is narrow, so it is read while it is written.
async fn check_cut(io: DuplexStream, transport: Transport, bytes: &[u8]) {
    let (read, mut write) = split(io);
    let mut peer = Peer::new(join_halves(read, sink()), transport);
    let answers = async {
        assert!(matches!(command(&peer.control().await), Command::Welcome(_)));
        assert_eq!(peer.refused().await, (9, 0, Reason::UNKNOWN_COMMAND));
        peer.joining().await;
        peer.event(b"an event").await;
        peer.event(&[7; 300]).await;
        assert_eq!(peer.said_as(Kind::Direct).await.payload, b"to myself"[..]);
        if transport == Transport::WebSocket {
            assert_eq!(peer.pongs, [&b"?"[..]]);
        }
    };
    let written = soon(write.write_all(bytes), "the server to read");
    let ((), written) = tokio::join!(answers, written);
    written.unwrap();
}

#[tokio::test]
async fn a_server_without_addresses_serves_what_is_attached() {
    let server = Server::builder().limits(limits(|limits| limits.max_connections = 2)).detached().unwrap();
    assert_eq!((server.tcp_addr(), server.websocket_addr()), (None, None));
    let handle = server.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _stopped = stopped.await;
    }));
    let (io, _) = attach(&handle, Transport::Tcp, 64);
    let mut first = join(io, Transport::Tcp).await;
    // What the application had read behind the request, and the room that it chose.
    let (near, far) = duplex(64);
    let read = Bytes::from(say::binary(&[say::hello(), say::event(0, b"hi")].concat()));
    let attached = handle.clone();
    tokio::spawn(async move { attached.attach(far, read, Some(Bytes::from_static(b"target"))).await });
    let mut second = Peer::new(near, Transport::WebSocket);
    assert!(matches!(command(&second.control().await), Command::Welcome(_)));
    second.joining().await;
    first.event(b"hi").await;
    let (_third, refused) = attach(&handle, Transport::Tcp, 64);
    assert_eq!(soon(refused, "attach to return").await.unwrap(), Err(Full));
    drop((first, second));
    stop.send(()).unwrap();
    soon(running, "the server to return").await.unwrap().unwrap();
    assert_eq!(handle.connections(), 0);
}
