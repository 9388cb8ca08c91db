use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;
use crate::limits::Limits;
use crate::server::Server;

/// A server whose handshakes have an hour, one at a time.
async fn server() -> (SocketAddr, super::super::Handle) {
    let hour = std::time::Duration::from_secs(3600);
    let limits = Limits { max_handshakes: 1, handshake_timeout: hour, ..Limits::default() };
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let tls = Tls::self_signed(["localhost"]).unwrap();
    let server = Server::builder().limits(limits).tls(tls).websocket(None).tcp(any).bind().await.unwrap();
    let (addr, handle) = (server.tcp_addr().unwrap(), server.handle());
    tokio::spawn(server.run(std::future::pending()));
    (addr, handle)
}

async fn connect(addr: SocketAddr, say: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(say).await.unwrap();
    stream
}

/// Looks until so many handshakes may begin.
async fn free(handle: &super::super::Handle, expected: usize) {
    let free = async {
        while handle.registry.handshakes.free() != expected {
            yield_now().await;
        }
    };
    timeout(std::time::Duration::from_secs(10), free).await.expect("handshakes begin and end");
}

#[tokio::test]
async fn handshakes_wait_for_each_other_and_the_silent_hold_no_place() {
    let (addr, handle) = server().await;
    let silent = connect(addr, &[]).await;
    // Half a record.
    let half = connect(addr, &[0x16, 3, 1]).await;
    free(&handle, 0).await;
    // What is no TLS is told so, once it has its turn.
    let mut garbage = connect(addr, b"GET / HTTP/1.1\r\n\r\n").await;
    drop(half);
    let mut answer = Vec::new();
    let told = timeout(std::time::Duration::from_secs(10), garbage.read_to_end(&mut answer)).await;
    let _reset = told.expect("the end");
    free(&handle, 1).await;
    drop(silent);
}
