//! Does what a row says, and compares what comes of it.

use tickwire::wire::control::{Command, Mode};
use tickwire::wire::{Control, FrameType, Reason};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::row::{Answer, Row, Step};
use crate::server::hear::{Ended, closing, refusal};
use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{Transport, soon};

/// Somebody who plays a row.
pub struct Player {
    pub peer: Peer,
    /// The socket below TLS, or the same.
    pub beneath: TcpStream,
}

pub async fn play(row: &Row, player: Player) {
    let Player { mut peer, mut beneath } = player;
    for step in &row.steps {
        match step {
            // The server may have closed by then.
            Step::Frames(frames) => match peer.transport {
                Transport::Tcp => peer.try_send_raw(frames).await,
                Transport::WebSocket => peer.try_send_raw(&say::binary(frames)).await,
            },
            Step::Raw(bytes) => peer.try_send_raw(bytes).await,
            Step::Drip(bytes) => {
                for byte in bytes {
                    peer.try_send_raw(&[*byte]).await;
                    tokio::task::yield_now().await;
                }
            }
            Step::Beneath(bytes) => {
                let _closed = soon(beneath.write_all(bytes), "the server to read or to close").await;
            }
            Step::HalfClose => {
                let _closed = soon(peer.io.shutdown(), "the end to leave").await;
            }
            Step::Deaf => peer.answers = false,
            // Where it is reset, that was decided when it was opened.
            Step::Reset | Step::Drop => return drop((peer, beneath)),
        }
    }
    compare(row, &mut peer).await;
}

async fn compare(row: &Row, peer: &mut Peer) {
    match &row.answer {
        Answer::Close { reason, request, code } => {
            let code = (peer.transport == Transport::WebSocket).then_some(*code);
            let expected =
                Ended { reason: *reason, request: *request, reconnect: None, close_code: code, reset: false };
            assert_eq!(peer.ended().await, expected, "{}", row.name);
        }
        Answer::CloseAmid(reason) => assert_eq!(first_close(peer).await, *reason, "{}", row.name),
        Answer::Refused(expected) => {
            let mut refused = refusals(peer).await;
            refused.sort_unstable();
            assert_eq!(refused, *expected, "{}", row.name);
        }
        Answer::Status(status, words) => {
            let answer = String::from_utf8_lossy(&peer.rest().await).to_ascii_lowercase();
            // Whoever asks in HTTP 1.0 is answered in that.
            let starts = ["1", "0"].map(|minor| format!("http/1.{minor} {status} "));
            let told = starts.iter().any(|start| answer.starts_with(start)) && answer.contains(words);
            assert!(told, "{}: {answer:?}", row.name);
        }
        Answer::Upgraded => {
            let head = peer.http_head().await.to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 101 "), "{}: {head}", row.name);
            // RFC 6455 1.3, for the key that everybody uses; and no extension.
            assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{}: {head}", row.name);
            assert!(head.contains("sec-websocket-protocol: tickwire.v1\r\n"), "{}: {head}", row.name);
            assert!(!head.contains("extensions"), "{}: {head}", row.name);
            peer.greet().await;
        }
        Answer::UpgradedAndRefused(reason) => {
            let head = peer.http_head().await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{}: {head}", row.name);
            assert_eq!(refusals(peer).await, [(0, 0, *reason)], "{}", row.name);
        }
        Answer::Alert(description) => {
            let answer = peer.rest().await;
            assert!(is_alert(&answer, *description), "{}: {answer:02x?}", row.name);
        }
        Answer::AlertBehind(description) => {
            let answer = peer.rest().await;
            let (records, alert) = answer.split_at(answer.len().saturating_sub(7));
            let told = records.starts_with(&[0x16, 3]) && is_alert(alert, *description);
            assert!(told, "{}: {answer:02x?}", row.name);
        }
        Answer::End => {
            while let Some(frame) = peer.next().await {
                assert_ne!(frame.header.frame_type, FrameType::Control, "{}: {frame:?}", row.name);
            }
            assert_eq!(peer.close_code, None, "{}", row.name);
        }
        Answer::CloseFrame(code) => {
            peer.gone().await;
            assert_eq!(peer.close_code, Some(*code), "{}", row.name);
        }
        Answer::Forgotten => {}
    }
}

/// One record: a fatal alert.
fn is_alert(record: &[u8], description: u8) -> bool {
    matches!(record, [0x15, 3, _, 0, 2, 2, told] if *told == description)
}

/// The request, and the handle, of the last join.
pub const LAST: u64 = 99;

/// What was refused up to the answer to a last join, which says that the session goes on.
async fn refusals(peer: &mut Peer) -> Vec<(u64, u64, Reason)> {
    peer.send(&say::join(LAST, LAST, Mode::BOTH, "barrier")).await;
    let mut refused = Vec::new();
    loop {
        let frame = peer.control().await;
        refused.extend(refusal(&frame));
        assert_eq!(closing(&frame), None, "after {refused:?}");
        let control = Control::decode(&frame.payload).unwrap();
        if control.request.0 == LAST && matches!(control.command, Command::Joined(_) | Command::Refused(_)) {
            return refused;
        }
    }
}

/// The reason of CLOSE, whatever comes before and behind it.
async fn first_close(peer: &mut Peer) -> Reason {
    loop {
        let frame = peer.next().await.expect("CLOSE before the end");
        if let Some((_, reason, _)) = closing(&frame) {
            return reason;
        }
    }
}
