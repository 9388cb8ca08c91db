//! Every vector of `tests/vectors/errors.json`, over its transports.

use serde_json::Value;
use tickwire::wire::Reason;
use tickwire::wire::control::Mode;

use super::peer::Peer;
use super::say;
use super::support::{BOTH, TestServer, Transport, ending, limits};

#[tokio::test]
async fn every_error_vector_gets_exactly_its_answer() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/errors.json");
    let vectors = serde_json::from_slice::<Vec<Value>>(&std::fs::read(path).unwrap()).unwrap();
    assert!(vectors.len() > 200);
    let server = TestServer::start(limits(|_| {})).await;
    for vector in &vectors {
        let over = vector["transport"].as_str().unwrap();
        for transport in BOTH.into_iter().filter(|transport| fits(over, *transport)) {
            println!("{} over {transport:?}", vector["name"]);
            check(&server, transport, vector).await;
        }
    }
    server.finish().await;
}

fn fits(over: &str, transport: Transport) -> bool {
    match over {
        "tcp" => transport == Transport::Tcp,
        "ws" => transport == Transport::WebSocket,
        both => both == "both",
    }
}

async fn check(server: &TestServer, transport: Transport, vector: &Value) {
    let mut peer = match vector["after"].as_str().unwrap() {
        "connect" => Peer::socket(server, transport).await,
        "preamble" => Peer::preamble(server, transport).await,
        "hello" => Peer::hello(server, transport).await,
        "join" => {
            let mut peer = Peer::hello(server, transport).await;
            peer.join(1, Mode::BOTH, "vectors").await;
            peer
        }
        "capable" => {
            let mut peer = Peer::preamble(server, transport).await;
            // PROTOCOL 12: resume, history, deflate, receive, accepted, pages.
            peer.send(&say::hello_with(0x6f)).await;
            peer.control().await;
            peer.join(1, Mode::BOTH, "vectors").await;
            peer
        }
        other => panic!("unknown preparation {other}"),
    };
    for chunk in vector["send"].as_array().unwrap() {
        let bytes = hex(chunk.as_str().unwrap());
        // A server that has closed may reset what comes after.
        match vector["text"].as_bool().unwrap() {
            true => peer.try_send_raw(&say::masked(0x81, &bytes)).await,
            false if transport == Transport::Tcp => peer.try_send_raw(&bytes).await,
            false => peer.try_send_raw(&say::binary(&bytes)).await,
        }
    }
    let expect = &vector["expect"];
    let number = |field: &str| expect.get(field).map_or(0, |number| number.as_u64().unwrap());
    if let Some(reason) = expect.get("close") {
        let mut expected = ending(transport, Reason(reason.as_u64().unwrap()));
        let ended = first_close(&mut peer).await;
        // A hello that is refused is answered by its number.
        expected.request = ended.request;
        assert_eq!(ended, expected);
    } else {
        assert_eq!(peer.refused().await, (number("request"), number("number"), Reason(number("refused"))));
    }
}

/// CLOSE, with no REFUSED before it.
async fn first_close(peer: &mut Peer) -> super::hear::Ended {
    let ended = peer.ended().await;
    assert_eq!(peer.refusals, 0, "the first must be CLOSE");
    ended
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
