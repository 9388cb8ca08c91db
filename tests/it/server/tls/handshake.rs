//! Who is let in, and who is not.

use std::io::{Read, Write};
use std::time::Duration;

use rustls::version::TLS13;
use rustls::{ClientConnection, HandshakeKind};
use tickwire::limits::Limits;
use tickwire::server::Server;
use tickwire::server::access::{AccessConfig, ProxyProtocol};
use tickwire::wire::control::Mode;
use tickwire::wire::{ALPN, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::peer::Peer;
use super::super::say;
use super::super::support::{BOTH, TestServer, Transport, check_ended, limits, soon};
use super::{Pem, VERSIONS, connect, greeted, localhost, shake, start};

/// Nothing below may end because time is over.
fn patient() -> Limits {
    limits(|limits| (limits.handshake_timeout, limits.hello_timeout) = (HOUR, HOUR))
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn both_versions_talk_over_both_transports_and_end_with_close_notify() {
    let (server, pem) = start(patient()).await;
    for version in VERSIONS {
        for transport in BOTH {
            let stream = connect(&server, transport, pem.client_over(version, transport)).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            let mut peer = greeted(stream, transport).await;
            peer.join(1, Mode::BOTH, "room").await;
            peer.send(&say::event(1, b"hello")).await;
            peer.event(b"hello").await;
            // An end without close_notify counts as a reset there.
            peer.send(&say::close(9)).await;
            let ended = peer.ended().await;
            assert_eq!((ended.reason, ended.reset), (Reason::FINISHED, false));
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn who_comes_back_shows_a_ticket() {
    let (server, pem) = start(patient()).await;
    for version in VERSIONS {
        let config = pem.client_over(version, Transport::Tcp);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = connect(&server, Transport::Tcp, config.clone()).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
            // The ticket comes behind the handshake, before the first frame.
            let mut peer = greeted(stream, Transport::Tcp).await;
            peer.send(&say::close(1)).await;
            check_ended_by_request(&mut peer).await;
        }
    }
    server.finish().await;
}

async fn check_ended_by_request(peer: &mut Peer) {
    assert_eq!(peer.ended().await.reason, Reason::FINISHED);
}

#[tokio::test]
async fn the_port_of_http_serves_https_wss_and_frames() {
    let (server, pem) = start(patient()).await;
    for offered in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
        let mut stream = connect(&server, Transport::WebSocket, pem.client(&TLS13, offered)).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer), "the answer and its close_notify").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{answer}");
    }
    for offered in [&[ALPN][..], &["http/1.1", ALPN]] {
        let stream = connect(&server, Transport::WebSocket, pem.client(&TLS13, offered)).await.unwrap();
        let mut peer = greeted(stream, Transport::Tcp).await;
        peer.send(&say::close(1)).await;
        check_ended_by_request(&mut peer).await;
    }
    server.finish().await;
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let (server, pem) = start(patient()).await;
    let refused = [(Transport::Tcp, "http/1.1"), (Transport::Tcp, "tickwire/2"), (Transport::WebSocket, "h2")];
    for version in VERSIONS {
        for (transport, protocol) in refused {
            let error = connect(&server, transport, pem.client(version, &[protocol])).await.unwrap_err();
            assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
        }
        // Who offers none has shaken hands, and is told no more than close_notify.
        let mut stream = connect(&server, Transport::Tcp, pem.client(version, &[])).await.unwrap();
        let mut nothing = Vec::new();
        soon(stream.read_to_end(&mut nothing), "the end").await.unwrap();
        assert!(nothing.is_empty(), "{nothing:02x?}");
    }
    server.finish().await;
}

/// What the server answers to these bytes on its port under TLS, up to the end.
async fn answer(server: &TestServer, transport: Transport, bytes: &[u8]) -> Vec<u8> {
    let mut peer = Peer::socket(server, transport).await;
    peer.try_send_raw(bytes).await;
    peer.rest().await.to_vec()
}

/// A hello of TLS 1.0 or 1.1: version, random, no session, two suites, no compression.
fn old_hello(minor: u8) -> Vec<u8> {
    /// Signatures and groups, which such a client may name.
    const EXTENSIONS: &[u8] = &[0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 0x1d];
    let body = [&[3, minor][..], &[7; 32], &[0, 0, 4, 0xc0, 0x14, 0xc0, 0x0a, 1, 0], EXTENSIONS].concat();
    let length = u8::try_from(body.len()).unwrap();
    [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

#[tokio::test]
async fn older_versions_are_refused_with_an_alert() {
    let (server, _) = start(patient()).await;
    for minor in [1, 2] {
        for transport in BOTH {
            let answer = answer(&server, transport, &old_hello(minor)).await;
            // A fatal alert, protocol_version.
            assert!(matches!(answer[..], [0x15, 3, _, 0, 2, 2, 70]), "{answer:02x?}");
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn what_is_no_tls_ends_at_once() {
    let (server, pem) = start(patient()).await;
    let wrong: [&[u8]; 7] = [
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &say::preamble(),
        b"SSH-2.0-x\r\n",
        &[0; 64],
        &[0xff; 64],
        // A record that is too large, and one that is no handshake.
        &[0x16, 3, 1, 0xff, 0xff, 1, 0, 0, 0],
        &[0x17, 3, 3, 0, 1, 0],
    ];
    for bytes in wrong {
        for transport in BOTH {
            let answer = answer(&server, transport, bytes).await;
            assert!(answer.is_empty() || answer.starts_with(&[0x15, 3]), "{bytes:02x?}: {answer:02x?}");
        }
    }
    // A goodbye before the handshake is passed over, and does not keep anybody busy.
    let mut peer = Peer::socket(&server, Transport::Tcp).await;
    peer.send_raw(&[0x15, 3, 3, 0, 2, 1, 0]).await;
    peer.io.shutdown().await.unwrap();
    assert!(peer.rest().await.len() <= 7);
    // TLS to a plain port: CLOSE or an answer of HTTP, and the end.
    let plain = TestServer::start(patient()).await;
    let mut hello = Vec::new();
    let mut client = ClientConnection::new(pem.client(&TLS13, &[ALPN]), localhost()).unwrap();
    client.write_tls(&mut hello).unwrap();
    let mut peer = Peer::socket(&plain, Transport::Tcp).await;
    peer.send_raw(&hello).await;
    check_ended(&mut peer, Reason(206)).await;
    assert!(answer_is_http(&answer(&plain, Transport::WebSocket, &hello).await));
    plain.finish().await;
    server.finish().await;
}

fn answer_is_http(answer: &[u8]) -> bool {
    answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 ")
}

/// Shakes hands by hand, with the first flight in pieces.
async fn shake_by_hand(server: &TestServer, mut client: ClientConnection, pieces: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    let mut stream = TcpStream::connect(server.addr(Transport::Tcp)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    for piece in pieces(&hello) {
        stream.write_all(&piece).await.unwrap();
    }
    client.writer().write_all(&[say::preamble(), say::hello()].concat()).unwrap();
    let mut buffer = [0; 4096];
    let mut welcome = Vec::new();
    while welcome.is_empty() {
        let mut out = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut out).unwrap();
        }
        stream.write_all(&out).await.unwrap();
        let read = soon(stream.read(&mut buffer), "the handshake to go on").await.unwrap();
        assert!(read > 0, "the end in a handshake");
        client.read_tls(&mut &buffer[..read]).unwrap();
        let state = client.process_new_packets().unwrap();
        welcome.resize(state.plaintext_bytes_to_read(), 0);
        client.reader().read_exact(&mut welcome).unwrap();
    }
    assert_eq!(client.alpn_protocol(), Some(ALPN.as_bytes()));
    // A control frame.
    assert_eq!(welcome[0], 2);
}

#[tokio::test]
async fn a_hello_may_come_in_any_pieces() {
    let (server, pem) = start(patient()).await;
    for version in VERSIONS {
        let client = || ClientConnection::new(pem.client(version, &[ALPN]), localhost()).unwrap();
        shake_by_hand(&server, client(), |hello| hello.iter().map(|byte| vec![*byte]).collect()).await;
        // Records of one byte each, in a chunk.
        let records = |hello: &[u8]| {
            let records = hello[5..].iter().map(|byte| vec![0x16, 3, 1, 0, 1, *byte]).collect::<Vec<_>>();
            vec![records.concat()]
        };
        shake_by_hand(&server, client(), records).await;
    }
    server.finish().await;
}

/// 250 strangers of one address begin, and go no further; nobody's time ends here.
#[tokio::test]
async fn slow_handshakes_of_one_address_keep_no_other_out() {
    let pem = Pem::new();
    let mut access = AccessConfig::default();
    access.exempt = Vec::new();
    access.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    access.proxy_protocol = ProxyProtocol { websocket: true, tcp: true };
    let mut limits = patient();
    (limits.max_handshakes, limits.address_handshakes) = (8, 4);
    let server = TestServer::build(Server::builder().limits(limits).access(access).tls(pem.tls())).await;
    let from = |address: &str| format!("PROXY TCP6 {address} 2001:db8:9::1 1 2\r\n").into_bytes();
    let mut strangers = Vec::new();
    for number in 0..250 {
        let mut peer = Peer::socket(&server, BOTH[number % 2]).await;
        // All of them are of one network.
        peer.send_raw(&[from(&format!("2001:db8::{number:x}")), vec![0x16, 3, 1]].concat()).await;
        strangers.push(peer);
    }
    for transport in BOTH {
        let mut stream = TcpStream::connect(server.addr(transport)).await.unwrap();
        stream.write_all(&from("2001:db8:1::1")).await.unwrap();
        let stream = shake(stream, pem.client_over(&TLS13, transport)).await.unwrap();
        drop(greeted(stream, transport).await);
    }
    drop(strangers);
    server.finish().await;
}

#[tokio::test]
async fn half_a_handshake_ends_at_its_deadline() {
    let short = limits(|limits| {
        (limits.handshake_timeout, limits.hello_timeout) = (Duration::from_millis(20), HOUR);
    });
    let (server, _) = start(short).await;
    for transport in BOTH {
        for said in [&[][..], &[0x16], &old_hello(2)[..20]] {
            let answer = answer(&server, transport, said).await;
            assert!(answer.is_empty(), "{answer:02x?}");
        }
    }
    server.finish().await;
}
