//! The client of this library under TLS.

use tickwire::client::{Client, ClientConfig, Error, Event, NoRoots, Trust};
use tickwire::limits::Limits;
use tickwire::server::{Server, Tls};
use tickwire::tls::Fingerprint;
use tickwire::wire::Kind;
use tickwire::wire::control::Mode;

use super::super::own_client::Cable;
use super::super::support::{BOTH, TestServer, Transport, soon};
use super::{Pem, start};

fn config(server: &TestServer, transport: Transport, host: &str, trust: Trust) -> ClientConfig {
    config_at(server.addr(transport).port(), transport, host, trust)
}

fn config_at(port: u16, transport: Transport, host: &str, trust: Trust) -> ClientConfig {
    let url = match transport {
        Transport::Tcp => format!("tls://{host}:{port}"),
        Transport::WebSocket => format!("wss://{host}:{port}/ws"),
    };
    ClientConfig::new(url.parse().unwrap()).trust(trust)
}

async fn event(client: &mut Client) -> Vec<u8> {
    loop {
        let Event::Batch(batch) = soon(client.next(), "an event").await.unwrap() else { continue };
        if batch.kind() == Kind::Event {
            return batch.records().next().unwrap().payload.to_vec();
        }
    }
}

#[tokio::test]
async fn a_client_talks_with_a_server_it_trusts() {
    let (server, pem) = start(Limits::default()).await;
    let roots = Trust::roots(pem.certificate.as_bytes()).unwrap();
    let pinned = Trust::fingerprint(Fingerprint::of(&pem.der));
    for transport in BOTH {
        for (host, trust) in [("localhost", &roots), ("127.0.0.1", &pinned)] {
            let config = config(&server, transport, host, trust.clone());
            let mut client = soon(Client::connect(&config), "a connection").await.unwrap();
            let handle = client.join("room", Mode::BOTH).await.unwrap().handle;
            let payload = vec![7; 15_000];
            client.event(handle, &payload).await.unwrap();
            assert!(event(&mut client).await == payload);
            client.close().await.unwrap();
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn a_client_refuses_whom_it_does_not_trust() {
    let (server, pem) = start(Limits::default()).await;
    let refused = [
        ("localhost", Trust::public()),
        ("localhost", Trust::fingerprint(Fingerprint::of(b"another"))),
        ("localhost", Trust::roots(Pem::new().certificate.as_bytes()).unwrap()),
        // It is not for this name.
        ("127.0.0.1", Trust::roots(pem.certificate.as_bytes()).unwrap()),
    ];
    for transport in BOTH {
        for (host, trust) in &refused {
            let config = config(&server, transport, host, trust.clone());
            let error = soon(Client::connect(&config), "a refusal").await.unwrap_err();
            assert!(matches!(&error, Error::Connect(cause) if cause.kind() == std::io::ErrorKind::InvalidData));
        }
    }
    for none in ["", "no certificate", &pem.key] {
        assert_eq!(Trust::roots(none.as_bytes()).unwrap_err(), NoRoots);
    }
    server.finish().await;
}

#[tokio::test]
async fn a_session_goes_on_over_another_connection() {
    let tls = Tls::self_signed(["localhost"]).unwrap();
    let trust = Trust::fingerprint(tls.fingerprint());
    let server = TestServer::build(Server::builder().tls(tls)).await;
    for (first, second) in [(Transport::Tcp, Transport::WebSocket), (Transport::WebSocket, Transport::Tcp)] {
        let cable = Cable::new(server.addr(first)).await;
        let connecting = config_at(cable.addr.port(), first, "127.0.0.1", trust.clone());
        let mut client = soon(Client::connect(&connecting), "a connection").await.unwrap();
        let before = client.join("resume", Mode::BOTH).await.unwrap();
        let point = client.resume_point().expect("the server resumes");
        cable.cut();
        let resuming = config(&server, second, "localhost", trust.clone());
        let (mut back, resumed) = soon(Client::resume(&resuming, &point), "the session").await.unwrap();
        assert!(resumed.session, "{resumed:?}");
        back.event(before.handle, b"here again").await.unwrap();
        assert_eq!(event(&mut back).await, b"here again");
        back.close().await.unwrap();
    }
    server.finish().await;
}
