//! Who may connect: proxies and whom they speak for, limits of an address, origins, memory, and what a
//! request must be byte for byte.

use std::net::IpAddr;
use std::time::Duration;

use tickwire::limits::Limits;
use tickwire::rejections::Rejected;
use tickwire::server::access::{AccessConfig, ProxyProtocol};
use tickwire::server::{Full, Server};
use tickwire::wire::Reason;

use super::hear::Ended;
use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, ending, limits, soon, survives};

/// A server of which this machine is limited like others.
async fn start(change: impl FnOnce(&mut Limits), access: impl FnOnce(&mut AccessConfig)) -> TestServer {
    let mut config = AccessConfig::default();
    config.exempt = Vec::new();
    access(&mut config);
    TestServer::build(Server::builder().shards(1).limits(limits(change)).access(config)).await
}

/// As [`start`], with this machine for a listed proxy.
async fn start_behind(proxy_protocol: bool, change: impl FnOnce(&mut Limits)) -> TestServer {
    start(change, |access| {
        access.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        access.proxy_protocol = ProxyProtocol { websocket: proxy_protocol, tcp: proxy_protocol };
    })
    .await
}

/// The answer to a request, in small letters.
async fn answer(server: &TestServer, request: &[u8]) -> String {
    let mut peer = Peer::socket(server, Transport::WebSocket).await;
    peer.try_send_raw(request).await;
    String::from_utf8_lossy(&peer.rest().await).to_ascii_lowercase()
}

/// Whether a session is opened behind these first bytes; else the status of the answer.
async fn upgrade(server: &TestServer, first: &[u8], headers: &str) -> Result<Peer, String> {
    let mut peer = Peer::socket(server, Transport::WebSocket).await;
    peer.send_raw(&[first, say::request("/ws", headers).as_bytes()].concat()).await;
    let head = peer.http_head().await.to_ascii_lowercase();
    match head.strip_prefix("http/1.1 101 ") {
        Some(_) => {
            peer.greet().await;
            Ok(peer)
        }
        None => Err(head),
    }
}

fn check_later(refused: Result<Peer, String>, status: u16, after: u64) {
    let head = refused.map(|_| ()).unwrap_err();
    let expected =
        head.starts_with(&format!("http/1.1 {status} ")) && head.contains(&format!("retry-after: {after}\r\n"));
    assert!(expected, "{head}");
}

/// Over TCP, the peer is told `reason` and when to come again.
async fn check_told(peer: &mut Peer, reason: Reason) {
    let Ended { reconnect, .. } = peer.ended().await;
    assert!(reconnect.is_some_and(|after| after > 0), "{reason:?}");
}

#[tokio::test]
async fn an_address_connects_so_often_and_is_told_when_again() {
    let server =
        start(|limits| (limits.address_connects_burst, limits.address_connects_per_sec) = (2, 0), |_| {}).await;
    let _first = upgrade(&server, b"", "").await.map_err(drop).unwrap();
    let _second = Peer::hello(&server, Transport::Tcp).await;
    check_later(upgrade(&server, b"", "").await, 429, 3600);
    let mut tcp = Peer::socket(&server, Transport::Tcp).await;
    tcp.send_raw(&[say::preamble(), say::hello()].concat()).await;
    let told = Ended { reconnect: Some(3_600_000), ..ending(Transport::Tcp, Reason::RATE) };
    assert_eq!(tcp.ended().await, told);
    assert_eq!(server.handle.rejections().get(Rejected::AddressConnects), 2);
    drop((_first, _second));
    server.finish().await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_others_when_one_has_gone() {
    for transport in BOTH {
        let server = start(|limits| limits.address_connections = 1, |_| {}).await;
        let first = Peer::hello(&server, transport).await;
        check_later(upgrade(&server, b"", "").await, 429, 5);
        let mut tcp = Peer::socket(&server, Transport::Tcp).await;
        check_told(&mut tcp, Reason::RATE).await;
        drop(first);
        let comes_back = async {
            loop {
                if let Ok(peer) = upgrade(&server, b"", "").await {
                    return peer;
                }
            }
        };
        drop(soon(comes_back, "the place to be free").await);
        assert!(server.handle.rejections().get(Rejected::AddressConnections) >= 2);
        server.finish().await;
    }
}

#[tokio::test]
async fn an_address_is_greeting_so_often_and_others_are_not_kept_out() {
    let server = start_behind(true, |limits| limits.address_greetings = 1).await;
    let line = |last: u8| format!("PROXY TCP4 192.0.2.{last} 192.0.2.9 1 2\r\n").into_bytes();
    let mut mute = Peer::socket(&server, Transport::WebSocket).await;
    mute.send_raw(&[&line(1)[..], b"GET /ws HT"].concat()).await;
    // It has come when the server turns its neighbour away.
    let denied = async {
        loop {
            if let Err(head) = upgrade(&server, &line(1), "").await {
                return head;
            }
        }
    };
    assert!(soon(denied, "the place to be taken").await.starts_with("http/1.1 429 "));
    let other = upgrade(&server, &line(2), "").await;
    assert!(other.is_ok());
    drop((mute, other));
    server.finish().await;
}

#[tokio::test]
async fn tokens_that_are_not_valid_count_against_an_address() {
    let server = start(
        |limits| {
            (limits.address_failures_burst, limits.address_failures_per_sec) = (1, 0);
            limits.max_token = 4;
        },
        |_| {},
    )
    .await;
    let mut fails = Peer::preamble(&server, Transport::Tcp).await;
    // HELLO with a token of five bytes.
    fails.send(&[2, 0, 12, 0, 1, 1, 0, 0, 0, 1, 5, 1, 2, 3, 4, 5]).await;
    let ended = fails.ended().await;
    assert_eq!((ended.reason, ended.request), (Reason::TOKEN, 1));
    check_later(upgrade(&server, b"", "").await, 429, 3600);
    assert_eq!(server.handle.rejections().get(Rejected::AddressFailures), 1);
    server.finish().await;
}

#[tokio::test]
async fn a_listed_proxy_speaks_for_others_by_forwarded_headers() {
    let server = start_behind(false, |limits| limits.address_connections = 1).await;
    let one = upgrade(&server, b"", "X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n").await;
    let two = upgrade(&server, b"", "Forwarded: for=192.0.2.2;proto=https\r\n").await;
    assert!(one.is_ok() && two.is_ok());
    check_later(upgrade(&server, b"", "X-Forwarded-For: 203.0.113.10, 192.0.2.1\r\n").await, 429, 5);
    check_later(upgrade(&server, b"", "X-Forwarded-For: 192.0.2.2, 127.0.0.5\r\n").await, 429, 5);
    drop((one, two));
    server.finish().await;
}

#[tokio::test]
async fn who_is_not_listed_speaks_for_nobody() {
    let server = start(|limits| limits.address_connections = 1, |_| {}).await;
    let one = upgrade(&server, b"", "X-Forwarded-For: 192.0.2.1\r\n").await;
    assert!(one.is_ok());
    check_later(upgrade(&server, b"", "X-Forwarded-For: 192.0.2.2\r\n").await, 429, 5);
    drop(one);
    server.finish().await;
    // A PROXY header is what it looks like: no request, no magic.
    let server = start(|_| {}, |_| {}).await;
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n";
    assert!(answer(&server, line).await.starts_with("http/1.1 400 "));
    let mut tcp = Peer::socket(&server, Transport::Tcp).await;
    tcp.send_raw(line).await;
    assert_eq!(tcp.ended().await, ending(Transport::Tcp, Reason::NOT_TICKWIRE));
    server.finish().await;
}

#[tokio::test]
async fn a_listed_proxy_begins_with_a_proxy_header_over_both_transports() {
    let server = start_behind(true, |limits| limits.address_connections = 1).await;
    let v1 = |last: u8| format!("PROXY TCP4 192.0.2.{last} 192.0.2.9 1 2\r\n").into_bytes();
    let v2 = |last: u8| {
        let addresses = [192, 0, 2, last, 192, 0, 2, 9, 0, 1, 0, 2];
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10"[..], &addresses, &[3, 0, 1, 7]].concat()
    };
    let mut there = Vec::new();
    for (first, second) in [(v1(1), v2(1)), (v2(2), v1(2))] {
        // In one piece with what follows, and byte by byte.
        there.push(upgrade(&server, &first, "").await.map_err(drop).unwrap());
        check_later(upgrade(&server, &second, "").await, 429, 5);
    }
    let mut tcp = Peer::socket(&server, Transport::Tcp).await;
    for byte in [&v2(3)[..], &say::preamble()].concat() {
        tcp.send_raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    tcp.greet().await;
    there.push(tcp);
    let mut again = Peer::socket(&server, Transport::Tcp).await;
    again.send_raw(&v1(3)).await;
    check_told(&mut again, Reason::RATE).await;
    // LOCAL is the proxy itself, which also has an address.
    there.push(upgrade(&server, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "").await.map_err(drop).unwrap());
    check_later(upgrade(&server, b"PROXY UNKNOWN\r\n", "").await, 429, 5);
    drop(there);
    server.finish().await;
}

#[tokio::test]
async fn a_listed_proxy_without_its_header_is_turned_away() {
    let server = start_behind(true, |limits| limits.proxy_timeout = Duration::from_millis(50)).await;
    for transport in BOTH {
        for wrong in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", b"PROXY TCP4 x\r\n"] {
            let mut peer = Peer::socket(&server, transport).await;
            peer.send_raw(wrong).await;
            assert!(peer.rest().await.is_empty());
        }
        // Half of one, and then nothing.
        let mut slow = Peer::socket(&server, transport).await;
        slow.send_raw(b"PROXY TCP4 ").await;
        assert!(slow.rest().await.is_empty());
    }
    assert_eq!(server.handle.rejections().get(Rejected::ProxyHeader), 8);
    server.finish().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_not_connect() {
    let listed = |access: &mut AccessConfig| {
        access.origins = vec!["https://example.org".parse().unwrap(), "https://*.example.org".parse().unwrap()];
    };
    let local: &[(&str, bool)] = &[
        ("", true),
        ("Origin: http://localhost:5173\r\n", true),
        ("Origin: http://127.0.0.1:7070\r\n", true),
        ("Origin: https://example.org\r\n", false),
        ("Origin: null\r\n", false),
        ("Origin: http://localhost\r\nOrigin: http://localhost\r\n", false),
        ("Origin: http://local\u{e4}\r\n", false),
    ];
    let lists: &[(&str, bool)] = &[
        ("", true),
        ("Origin: https://example.org\r\n", true),
        ("Origin: https://a.example.org\r\n", true),
        ("Origin: http://localhost:5173\r\n", false),
        ("Origin: https://example.org.evil.com\r\n", false),
    ];
    for (server, cases) in [(start(|_| {}, |_| {}).await, local), (start(|_| {}, listed).await, lists)] {
        for (headers, expected) in cases {
            match upgrade(&server, b"", headers).await {
                Ok(_) => assert!(expected, "{headers:?}"),
                Err(head) => assert!(!expected && head.starts_with("http/1.1 403 "), "{headers:?}: {head}"),
            }
        }
        let refused = cases.iter().filter(|(_, expected)| !expected).count();
        assert_eq!(server.handle.rejections().get(Rejected::Origin), refused as u64);
        server.finish().await;
    }
}

#[tokio::test]
async fn behind_a_listed_proxy_the_host_itself_may_connect() {
    let server = start_behind(false, |_| {}).await;
    // The usual request names the host localhost.
    let request = |origin: &str| say::request("/ws", origin).replace("Host: localhost", "Host: game.example.org");
    let same = request("Origin: https://game.example.org\r\n");
    let mut peer = Peer::socket(&server, Transport::WebSocket).await;
    peer.send_raw(same.as_bytes()).await;
    assert!(peer.http_head().await.starts_with("HTTP/1.1 101 "));
    drop(peer);
    assert!(answer(&server, request("Origin: https://evil.com\r\n").as_bytes()).await.starts_with("http/1.1 403 "));
    server.finish().await;
}

#[tokio::test]
async fn behind_a_proxy_header_the_host_itself_may_connect_too() {
    let server = start_behind(true, |_| {}).await;
    let request = |origin: &str| {
        let request = say::request("/ws", origin).replace("Host: localhost", "Host: game.example.org");
        ["PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n", &request].concat()
    };
    let mut peer = Peer::socket(&server, Transport::WebSocket).await;
    peer.send_raw(request("Origin: https://game.example.org\r\n").as_bytes()).await;
    assert!(peer.http_head().await.starts_with("HTTP/1.1 101 "));
    drop(peer);
    let evil = request("Origin: https://evil.com\r\n");
    assert!(answer(&server, evil.as_bytes()).await.starts_with("http/1.1 403 "));
    // LOCAL, as a proxy's own health check: it speaks for nobody, and its own pages are a stranger's.
    let local = evil.replace("TCP4 192.0.2.1 192.0.2.9 1 2", "UNKNOWN");
    assert!(answer(&server, local.as_bytes()).await.starts_with("http/1.1 403 "));
    server.finish().await;
}

#[tokio::test]
async fn pages_of_this_machine_may_reach_an_application_on_it() {
    let server = Server::builder().shards(1).detached().unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server.run(std::future::pending()));
    for (peer, page, expected) in [
        ([127, 0, 0, 1], "http://localhost:3000", "101"),
        ([127, 0, 0, 1], "https://evil.com", "403"),
        ([192, 0, 2, 1], "http://localhost:3000", "403"),
        ([192, 0, 2, 1], "http://localhost", "101"),
    ] {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let attached = handle.clone();
        let serving = tokio::spawn(async move { attached.attach_http(far, IpAddr::from(peer)).await });
        let mut peer = Peer::new(near, Transport::WebSocket);
        peer.send_raw(say::request("/ws", &format!("Origin: {page}\r\n")).as_bytes()).await;
        let head = peer.http_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{page}: {head}");
        drop(peer);
        soon(serving, "the end").await.unwrap().unwrap();
    }
    handle.drain();
    soon(running, "the end").await.unwrap().unwrap();
}

#[tokio::test]
async fn a_head_that_is_not_as_it_must_be_gets_its_answer() {
    let usual = say::request("/ws", "");
    let with = |from: &str, to: &str| {
        assert!(usual.contains(from));
        usual.replace(from, to).into_bytes()
    };
    let health = |headers: &str| format!("GET /healthz HTTP/1.1\r\n{headers}\r\n").into_bytes();
    let many: String = (0..101).map(|number| format!("x{number}: y\r\n")).collect();
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("LF alone", usual.replace("\r\n", "\n").into_bytes(), 400),
        ("LF alone in one line", with("Upgrade: websocket\r\n", "Upgrade: websocket\n"), 400),
        ("CR alone", with("Upgrade: websocket\r\n", "Upgrade: websocket\r"), 400),
        ("a folded line", with("Upgrade: websocket\r\n", "Upgrade:\r\n websocket\r\n"), 400),
        ("a control character", with("Upgrade: websocket", "Upgrade: web\x01socket"), 400),
        ("a space before the colon", with("Host: ", "Host : "), 400),
        ("a name with a space", with("Host: ", "Ho st: "), 400),
        ("no colon", with("Host: localhost", "Host localhost"), 400),
        ("two spaces", with("GET /ws ", "GET  /ws "), 400),
        ("no HTTP", with("HTTP/1.1", "ICAP/1.0"), 400),
        ("HTTP 1.2", with("HTTP/1.1", "HTTP/1.2"), 505),
        ("HTTP 0.9", b"GET /ws\r\n".to_vec(), 400),
        ("HTTP 2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505),
        ("TLS", vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0, b'\r', b'\n'], 400),
        ("a host with a path", with("Host: localhost", "Host: localhost/x"), 400),
        ("a host with a user", with("Host: localhost", "Host: me@localhost"), 400),
        ("an empty host", with("Host: localhost", "Host: "), 400),
        ("two hosts at the health check", health("Host: a\r\nHost: a\r\n"), 400),
        ("no host at the health check", health(""), 400),
        ("101 headers", say::request("/ws", &many).into_bytes(), 431),
        ("20 KB of header", say::request("/ws", &format!("x: {}\r\n", "y".repeat(20_000))).into_bytes(), 431),
        ("20 KB of path", say::request(&format!("/{}", "y".repeat(20_000)), "").into_bytes(), 414),
        ("another upgrade", with("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("another method", with("GET ", "PUT "), 405),
        (
            "two keys",
            with("Sec-WebSocket-Version", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version"),
            400,
        ),
    ];
    survives(limits(|_| {}), async |server| {
        for (name, request, status) in cases {
            let answer = answer(server, request).await;
            assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{name}: {answer:?}");
        }
        let rejections = server.handle.rejections();
        assert_eq!(rejections.get(Rejected::HeadTooLarge), 3);
        assert_eq!(rejections.get(Rejected::Handshake), cases.len() as u64 - 3);
    })
    .await;
}

#[tokio::test]
async fn short_of_memory_newcomers_are_told_to_come_later_and_members_stay() {
    // This process has more than a megabyte.
    let short = |limits: &mut Limits| limits.max_memory = 1 << 20;
    let server = TestServer::start(limits(short)).await;
    // On other systems nothing is known of it.
    if cfg!(target_os = "linux") {
        let refused = async {
            loop {
                if let Err(head) = upgrade(&server, b"", "").await {
                    return head;
                }
            }
        };
        let head = soon(refused, "the first look at the memory").await;
        assert!(head.starts_with("http/1.1 503 ") && head.contains("retry-after: 5\r\n"), "{head}");
        let mut tcp = Peer::socket(&server, Transport::Tcp).await;
        let told = Ended { reconnect: Some(5000), ..ending(Transport::Tcp, Reason::MEMORY) };
        assert_eq!(tcp.ended().await, told);
        // Whoever asks how the server is must not take it for dead.
        assert!(answer(&server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("http/1.1 200 "));
        assert!(server.handle.rejections().get(Rejected::Memory) >= 2);
        let (_io, far) = tokio::io::duplex(64);
        assert_eq!(server.handle.attach_tcp(far).await, Err(Full));
    }
    server.finish().await;
}

#[tokio::test]
async fn a_stream_of_an_application_is_served_as_from_the_first_byte() {
    let server = Server::builder().shards(1).detached().unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server.run(std::future::pending()));
    let (near, far) = tokio::io::duplex(4096);
    let attached = tokio::spawn({
        let handle = handle.clone();
        async move { handle.attach_http(far, IpAddr::from([192, 0, 2, 1])).await }
    });
    let mut peer = Peer::new(near, Transport::WebSocket);
    // The first message comes in one piece with the request.
    peer.send_raw(&[say::request("/ws", "").as_bytes(), &say::binary(&say::hello())].concat()).await;
    assert!(peer.http_head().await.starts_with("HTTP/1.1 101 "));
    let welcome = peer.control().await;
    assert_eq!(welcome.payload[0], 2, "{welcome:?}");
    drop(peer);
    assert_eq!(soon(attached, "the end").await.unwrap(), Ok(()));
    running.abort();
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// 10,000 half-open handshakes, as many at once as the server holds, while others come and talk. Prints
/// what they take: `cargo test --release --test it half_open -- --ignored --nocapture`
#[tokio::test]
#[ignore = "takes a minute and measures the whole process: .ci/run runs it, in release"]
async fn half_open_handshakes_hold_little_and_are_gone_in_time() {
    const WAVES: usize = 11;
    const AT_ONCE: usize = 950;
    // The floods of ten neighbours, none of which may fill the server alone.
    let server = start_behind(true, |limits| limits.address_connects_burst = 100_000).await;
    let first = upgrade(&server, b"PROXY UNKNOWN\r\n", "").await;
    let (mut most, mut longest, mut last, mut held) = (0, Duration::ZERO, Duration::ZERO, 0);
    for wave in 0..WAVES {
        let before = resident();
        let mut strangers = Vec::new();
        for number in 0..AT_ONCE {
            let mut peer = Peer::socket(&server, Transport::WebSocket).await;
            let proxy = format!("PROXY TCP4 192.0.{wave}.{} 192.0.2.9 1 2\r\n", number % 10);
            let half = say::request("/ws", &format!("x: {}\r\n", "y".repeat(1000)));
            peer.send_raw(&[proxy.as_bytes(), &half.as_bytes()[..half.len() - 2]].concat()).await;
            strangers.push(peer);
        }
        let asked = tokio::time::Instant::now();
        let client = upgrade(&server, b"PROXY TCP4 198.51.100.1 192.0.2.9 1 2\r\n", "").await;
        assert!(client.is_ok(), "a client is let in");
        longest = longest.max(asked.elapsed());
        most = most.max(resident().saturating_sub(before));
        drop(client);
        for peer in &mut strangers {
            assert!(peer.rest().await.starts_with(b"HTTP/1.1 408 "));
        }
        held += strangers.len();
        last = last.max(asked.elapsed());
    }
    println!("{held} half-open handshakes, {AT_ONCE} at once: at most {most} KiB, theirs and ours;");
    println!("a client was let in within {longest:?}; the last were gone {last:?} after they came");
    // Gone in 5 s, and a second more for this side to see it.
    assert!(held >= 10_000 && most <= 32 * 1024 && last < Duration::from_secs(6));
    assert_eq!(server.handle.rejections().get(Rejected::HeadTimeout), held as u64);
    drop(first);
    server.finish().await;
}
