//! Connections that the relay answers itself, and no server.
//!
//! ```text
//! greet   client ──HELLO──> relay ──these bytes, end──> client
//! http    client ──GET /ws──> relay ──status──> client
//! ```

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tickwire::wire::{Header, MAGIC, SUBPROTOCOL};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tungstenite::Message;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::protocol::WebSocketConfig;

/// What the relay says itself.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Bytes behind a HELLO over TCP.
    Tcp(Vec<u8>),
    /// Bytes behind a HELLO over WebSocket, as one message.
    WebSocket(Vec<u8>),
    /// A status in place of a WebSocket, and the seconds after which to come again.
    Http(u16, Option<u64>),
}

/// How long a client may take for its HELLO, or its request. 10 s: as long as it may wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take to end, behind the answer. 2 s, as in PROTOCOL 4.3.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes of a request's head. 16 KiB: cookies included.
const MAX_HEAD: usize = 16 * 1024;

/// Bytes of a message with a HELLO, and whatever a client says behind it at once. 128 KiB.
const MAX_MESSAGE: usize = 128 * 1024;

impl Answer {
    /// Says it. `ended` is called when everything has been said, and before the client is waited for.
    pub(super) async fn say(self, mut stream: TcpStream, ended: impl Future<Output = ()>) {
        let said = timeout(PATIENCE, self.speak(&mut stream)).await;
        ended.await;
        if matches!(said, Ok(Ok(()))) {
            let mut rest = BytesMut::new();
            let reading = async {
                // Not to reset what the client has not read yet.
                while let Ok(1..) = stream.read_buf(&mut rest).await {
                    rest.clear();
                }
            };
            let _late = timeout(LAST_WORDS, reading).await;
        }
    }

    async fn speak(self, stream: &mut TcpStream) -> io::Result<()> {
        match self {
            Self::Tcp(bytes) => {
                let mut preamble = [0; MAGIC.len() + 1];
                stream.read_exact(&mut preamble).await?;
                let mut header = [0; Header::LEN];
                stream.read_exact(&mut header).await?;
                let [_, high, low, _] = header;
                let mut hello = vec![0; usize::from(u16::from_be_bytes([high, low]))];
                stream.read_exact(&mut hello).await?;
                stream.write_all(&bytes).await?;
            }
            Self::WebSocket(bytes) => greet(stream, bytes).await.map_err(io::Error::other)?,
            Self::Http(status, again) => {
                read_head(stream).await?;
                let again = again.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
                let head =
                    format!("HTTP/1.1 {status} Conformance\r\n{again}Content-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
            }
        }
        stream.shutdown().await
    }
}

/// Accepts a WebSocket, waits for its first message, and answers it.
async fn greet(stream: &mut TcpStream, bytes: Vec<u8>) -> Result<(), Box<tungstenite::Error>> {
    #[expect(clippy::result_large_err, reason = "the trait wants it so")]
    let choose = |_: &Request, mut answer: Response| -> Result<Response, ErrorResponse> {
        let chosen = hyper::header::HeaderValue::from_static(SUBPROTOCOL);
        answer.headers_mut().insert(hyper::header::SEC_WEBSOCKET_PROTOCOL, chosen);
        Ok(answer)
    };
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket = tokio_tungstenite::accept_hdr_async_with_config(stream, choose, Some(config)).await?;
    while let Some(message) = socket.next().await {
        if message?.is_binary() {
            socket.send(Message::Binary(bytes.into())).await?;
            break;
        }
    }
    Ok(())
}

/// Reads a request to the end of its head.
async fn read_head(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = BytesMut::with_capacity(MAX_HEAD);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}
