//! Connections of the bench: hello and join, and then a bare socket.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tickwire::client::{ByteStream, ClientConfig, Error, Membership, Scheme, Surprise, Wait};
use tickwire::wire::control::{Command, Hello, Join, Mode};
use tickwire::wire::extension::kind;
use tickwire::wire::{
    Control, Extensions, FrameType, Handle, MAGIC, RawFrame, RequestId, SUBPROTOCOL, VERSION, put_extension,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

use super::framing::{Fault, Framing};
use super::workload::Role;
use crate::cli::{Failure, no_connection, output};

/// The room, in every connection's own numbers.
pub(super) const HANDLE: Handle = Handle(1);

/// Connections made at the same time. 128: far below what servers let wait for hello.
const AT_ONCE: usize = 128;

/// For one connection, hello and join included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that has joined its room.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: ByteStream,
    pub(super) membership: Membership,
    /// What came behind the answer.
    pub(super) left: Vec<u8>,
}

/// Connects everyone. `room` names their rooms.
pub(super) async fn connect_all(
    config: &ClientConfig,
    roles: &[Role],
    room: impl Fn(usize) -> String,
) -> Result<Vec<Link>, Failure> {
    let connecting = roles.iter().map(|role| connect(config, *role, room(role.room)));
    stream::iter(connecting).buffered(AT_ONCE).try_collect().await
}

async fn connect(config: &ClientConfig, role: Role, room: String) -> Result<Link, Failure> {
    let url = &config.url;
    let late = |_| no_connection(url, &Error::TimedOut(Wait::Connect));
    let greeted = timeout(CONNECT_TIMEOUT, greet(config, role, &room)).await.map_err(late)?;
    let stream = greeted.map_err(|error| no_connection(url, &error))?;
    timeout(CONNECT_TIMEOUT, answered(stream, Framing::of(url.scheme()))).await.map_err(late)?
}

async fn greet(config: &ClientConfig, role: Role, room: &str) -> Result<ByteStream, Error> {
    let mut stream = open(config).await?;
    stream.write_all(&greeting(config, role, room)).await.map_err(Error::Io)?;
    stream.flush().await.map_err(Error::Io)?;
    Ok(stream)
}

async fn open(config: &ClientConfig) -> Result<ByteStream, Error> {
    let url = &config.url;
    let stream = ByteStream::connect(config).await?;
    if url.scheme() == Scheme::Tcp {
        return Ok(stream);
    }
    let websocket = |error: tungstenite::Error| match error {
        tungstenite::Error::Http(response) => Error::Http { status: response.status().as_u16(), after: None },
        tungstenite::Error::Io(error) => Error::Io(error),
        other => Error::WebSocket(Box::new(other)),
    };
    let mut request = format!("ws://{}{}", url.authority(), url.path()).into_client_request().map_err(websocket)?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(websocket)?;
    // A server says nothing before hello, so that nothing is in the buffers that are dropped here.
    Ok(socket.into_inner())
}

/// Hello and join, in one chunk.
fn greeting(config: &ClientConfig, role: Role, room: &str) -> Vec<u8> {
    let scheme = config.url.scheme();
    let mode = match (role.sends, role.receives) {
        (Some(_), false) => Mode::PUBLISH,
        (None, true) => Mode::RECEIVE,
        _ => Mode::BOTH,
    };
    let join = Join { handle: HANDLE, mode, name: room.as_bytes(), extensions: Extensions::NONE };
    let mut frames = Vec::new();
    let mut encoded = Vec::new();
    if let Some(token) = &config.token {
        put_extension(kind::TOKEN, token.as_bytes(), &mut encoded);
    }
    let hello = Hello { extensions: Extensions::from_encoded(&encoded).unwrap_or_default(), ..Hello::default() };
    Control::new(RequestId(1), Command::Hello(hello)).encode(&mut frames);
    Control::new(RequestId(2), Command::Join(join)).encode(&mut frames);
    let mut out = Vec::new();
    if scheme == Scheme::Tcp {
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
    }
    Framing::of(scheme).wrap(&frames, &mut out);
    out
}

/// Reads until the join is answered. What comes in the same chunk is kept.
async fn answered(mut stream: ByteStream, framing: Framing) -> Result<Link, Failure> {
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.map_err(Error::Io)?;
        let mut answer = None;
        // Frames behind the answer must stay, so the bytes are only walked until it is there: they
        // are few, and walked again with the next chunk.
        framing.walk(&bytes, |frame| {
            if answer.is_none() {
                answer = read_answer(frame).transpose();
            }
        })?;
        match answer {
            Some(membership) => return Ok(Link { stream, membership: membership?, left: bytes }),
            None if read == 0 => return Err(Failure::Runtime("a connection was closed without a reason".into())),
            None => {}
        }
    }
}

/// What a frame says about the join.
fn read_answer(frame: RawFrame<'_>) -> Result<Option<Membership>, Failure> {
    if frame.header.frame_type != FrameType::Control {
        return Err(Error::Surprise(Surprise::NotWelcome).into());
    }
    let control = Control::decode(frame.payload).map_err(Error::Decode)?;
    match control.command {
        Command::Joined(joined) => Ok(Some(Membership::new(&joined))),
        Command::Refused(refused) => {
            Err(Failure::Runtime(format!("a join was refused, {}", output::reason(refused.reason, ""))))
        }
        Command::Close(close) => {
            Err(Failure::Runtime(format!("a connection was closed, {}", output::reason(close.reason, ""))))
        }
        _ => Ok(None),
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let what = match fault {
            Fault::Decode(error) => error.to_string(),
            Fault::WebSocket => "a WebSocket message that is not binary, whole and small enough".into(),
            Fault::Closed => "a WebSocket close without CLOSE".into(),
        };
        Self::Runtime(format!("the server sent what it must not: {what}"))
    }
}
