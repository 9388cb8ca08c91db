//! The access log of a server, as `tickwire serve` writes it.

use std::io::Write;
use std::sync::Arc;

use tickwire::server::Server;
use tickwire::wire::Reason;
use tokio::io::duplex;

use crate::server::peer::Peer;
use crate::server::say;
use crate::server::support::{Transport, soon};

#[expect(clippy::disallowed_types, reason = "a log in memory")]
type Lock<T> = std::sync::Mutex<T>;

#[derive(Clone, Default)]
struct Log(Arc<Lock<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_end_is_told_with_its_reason_and_its_counts() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let server = Server::builder().shards(1).access_log(1).detached().unwrap();
    let handle = server.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _stopped = stopped.await;
    }));
    let (near, far) = duplex(4096);
    let serving = tokio::spawn(async move { handle.attach_tcp(far).await });
    let mut peer = Peer::new(near, Transport::Tcp);
    let bytes = [say::preamble(), say::hello(), say::close(5)].concat();
    peer.send_raw(&bytes).await;
    assert_eq!(peer.ended().await.reason, Reason::FINISHED);
    drop(peer);
    assert_eq!(soon(serving, "attach to return").await.unwrap(), Ok(()));
    stop.send(()).unwrap();
    soon(running, "the server to return").await.unwrap().unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line] = &lines[..] else { panic!("{text}") };
    assert_eq!((line["target"].as_str(), line["level"].as_str()), (Some("tickwire::access"), Some("INFO")));
    let fields = &line["fields"];
    assert_eq!((fields["transport"].as_str(), fields["reason"].as_u64()), (Some("tcp"), Some(Reason::FINISHED.0)));
    assert_eq!((fields["frames_in"].as_u64(), fields["bytes_in"].as_u64()), (Some(2), Some(bytes.len() as u64)));
    assert!(fields["duration_ms"].is_u64() && fields["session"].is_u64() && fields["bytes_out"].is_u64());
}
