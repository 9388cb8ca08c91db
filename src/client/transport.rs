//! Bytes of a connection as frames, over TCP and over WebSocket (PROTOCOL 4).

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
#[cfg(feature = "tls")]
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::outgoing::Outgoing;
use super::{ByteStream, ClientConfig, Error, Scheme};
use crate::wire::{Decoder, Frame, Header, Reason, SUBPROTOCOL, Sender};

/// The largest frame payload a header can announce. A client that asks for no less takes it.
const MAX_FRAME: usize = 65_535;

/// Bytes asked of the socket at once. 16 KiB: a frame of the default limit.
const READ_SIZE: usize = 16 * 1024;

/// How long a write may take. 45 s, as a server waits for the answer to a ping: who takes nothing
/// for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(45);

type Socket = WebSocketStream<ByteStream>;

/// Connects, and shakes hands where the transport wants it.
pub(super) async fn connect(config: &ClientConfig) -> Result<(FrameReader, FrameWriter), Error> {
    let stream = ByteStream::connect(config).await?;
    let decoder = Decoder::new(Sender::Server, MAX_FRAME);
    match config.url.scheme() {
        Scheme::Tcp => {
            let (read, writer) = match stream {
                ByteStream::Plain(stream) => {
                    let (read, write) = stream.into_split();
                    (Reading::Plain(read), FrameWriter::Tcp(write))
                }
                #[cfg(feature = "tls")]
                stream @ ByteStream::Tls(_) => {
                    let (read, write) = tokio::io::split(stream);
                    (Reading::Tls(read), FrameWriter::Tls(write))
                }
            };
            let input = Input::Tcp { read, buffer: BytesMut::new() };
            Ok((FrameReader { input, decoder }, writer))
        }
        Scheme::WebSocket => {
            let (write, read) = shake_hands(stream, config).await?.split();
            let input = Input::WebSocket { read, message: Bytes::new() };
            Ok((FrameReader { input, decoder }, FrameWriter::WebSocket(Box::new(write))))
        }
    }
}

async fn shake_hands(stream: ByteStream, config: &ClientConfig) -> Result<Socket, Error> {
    let url = &config.url;
    // TLS is below: the request is the same.
    let address = format!("ws://{}{}", url.authority(), url.path());
    let mut request = address.into_client_request().map_err(from_tungstenite)?;
    // PROTOCOL 4.2: the subprotocol must be offered.
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    config.headers.write(request.headers_mut());
    if let Some(bearer) = &config.bearer {
        let value = [b"Bearer ", bearer.as_bytes()].concat();
        let mut value = HeaderValue::from_bytes(&value).map_err(|error| Error::WebSocket(Box::new(error)))?;
        value.set_sensitive(true);
        request.headers_mut().insert("authorization", value);
    }
    // PROTOCOL 4.2: a message is at most 16 KiB, unless a single frame is larger.
    let largest = Some(Header::LEN + MAX_FRAME);
    let config = WebSocketConfig::default().max_message_size(largest).max_frame_size(largest);
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await.map_err(from_tungstenite)?;
    Ok(socket)
}

/// The reading half.
pub(super) struct FrameReader {
    input: Input,
    decoder: Decoder,
}

enum Input {
    Tcp { read: Reading, buffer: BytesMut },
    WebSocket { read: SplitStream<Socket>, message: Bytes },
}

enum Reading {
    Plain(OwnedReadHalf),
    #[cfg(feature = "tls")]
    Tls(ReadHalf<ByteStream>),
}

/// What waiting for bytes brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Bytes, or a WebSocket message.
    More,
    /// The end. A WebSocket close frame may name a reason.
    End(Option<Reason>),
}

impl FrameReader {
    /// The next frame, if it is here already.
    pub(super) fn buffered(&mut self) -> Result<Option<Frame>, Error> {
        let frame = match &mut self.input {
            Input::Tcp { buffer, .. } => self.decoder.decode(buffer),
            Input::WebSocket { message, .. } => self.decoder.decode_message(message),
        };
        Ok(frame?)
    }

    /// Waits for bytes. Called when [`buffered`](Self::buffered) has nothing. Cancel safe: what was
    /// read is kept.
    pub(super) async fn fill(&mut self) -> Result<Filled, Error> {
        match &mut self.input {
            Input::Tcp { read, buffer } => {
                buffer.reserve(READ_SIZE);
                let read = match read {
                    Reading::Plain(read) => read.read_buf(buffer).await,
                    #[cfg(feature = "tls")]
                    Reading::Tls(read) => read.read_buf(buffer).await,
                };
                match read {
                    Ok(0) => Ok(Filled::End(None)),
                    Ok(_) => Ok(Filled::More),
                    Err(error) => Err(Error::Io(error)),
                }
            }
            Input::WebSocket { read, message } => loop {
                match read.next().await {
                    Some(Ok(Message::Binary(bytes))) => {
                        *message = bytes;
                        return Ok(Filled::More);
                    }
                    Some(Ok(Message::Close(close))) => {
                        return Ok(Filled::End(close.and_then(|close| reason_of(&close))));
                    }
                    // The protocol knows no text (PROTOCOL 4.2); a client ignores what it does not know.
                    // Tungstenite answers pings.
                    Some(Ok(_)) => {}
                    // An end without a word is an end, on TCP as well.
                    Some(Err(
                        tungstenite::Error::ConnectionClosed
                        | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                    ))
                    | None => return Ok(Filled::End(None)),
                    Some(Err(error)) => return Err(from_tungstenite(error)),
                }
            },
        }
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").finish_non_exhaustive()
    }
}

/// PROTOCOL 4.3: code 4000 + reason.
fn reason_of(close: &CloseFrame) -> Option<Reason> {
    let reason = u64::from(u16::from(close.code)).checked_sub(4000)?;
    (1..=999).contains(&reason).then_some(Reason(reason))
}

/// The writing half.
pub(super) enum FrameWriter {
    Tcp(OwnedWriteHalf),
    #[cfg(feature = "tls")]
    Tls(WriteHalf<ByteStream>),
    /// Boxed: a sink with its buffers is large.
    WebSocket(Box<SplitSink<Socket, Message>>),
}

impl FrameWriter {
    /// Writes whole frames. Not cancel safe.
    pub(super) async fn write(&mut self, frames: Bytes) -> Result<(), Error> {
        match self {
            Self::Tcp(write) => write.write_all(&frames).await.map_err(Error::Io),
            #[cfg(feature = "tls")]
            Self::Tls(write) => {
                write.write_all(&frames).await.map_err(Error::Io)?;
                // TLS may hold back what the socket has not taken.
                write.flush().await.map_err(Error::Io)
            }
            Self::WebSocket(write) => write.send(Message::Binary(frames)).await.map_err(from_tungstenite),
        }
    }

    /// Ends the sending side.
    async fn finish(&mut self) -> Result<(), Error> {
        match self {
            Self::Tcp(write) => write.shutdown().await.map_err(Error::Io),
            #[cfg(feature = "tls")]
            Self::Tls(write) => write.shutdown().await.map_err(Error::Io),
            Self::WebSocket(write) => write.close().await.map_err(from_tungstenite),
        }
    }
}

/// Writes what comes, until nothing more will.
pub(super) async fn write_all(mut outgoing: Outgoing, mut writer: FrameWriter) {
    while let Some(frames) = outgoing.next().await {
        // A failure is not told from here: the reading half sees the same end, with its reason.
        match timeout(WRITE_TIMEOUT, writer.write(frames)).await {
            Ok(Ok(())) => outgoing.handle_written(),
            Ok(Err(_)) | Err(_) => return,
        }
    }
    // Nobody is left who could be told that this failed.
    let _ = timeout(WRITE_TIMEOUT, writer.finish()).await;
}

/// The seconds of `Retry-After`; a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after")?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Ours where we have a name for it.
fn from_tungstenite(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Io(error) => Error::Io(error),
        tungstenite::Error::Http(response) => {
            Error::Http { status: response.status().as_u16(), after: retry_after(response.headers()) }
        }
        other => Error::WebSocket(Box::new(other)),
    }
}
