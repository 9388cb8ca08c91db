//! What a server speaks: the part of the generator that differs from one to the next.
//!
//! ```text
//! join ──> message, message ──carry──> socket ──> server ──> socket ──walk──> Sink::delivery
//! ```
//!
//! A dialect must hand each payload on whole and unchanged: what is checked stands inside it.

pub(crate) mod floor;
pub(crate) mod hub;
pub(crate) mod mqtt;
pub(crate) mod nats;
pub(crate) mod redis;
pub(crate) mod socketio;
pub(crate) mod tickwire;

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::websocket;
use super::workload::Who;

/// A protocol, from a client's side.
pub(crate) trait Dialect: Copy + Sync {
    /// Whether a sender that receives gets its own messages back.
    fn echoes(&self) -> bool;

    /// How many may be set up at once, for servers that take long to answer each.
    fn parallel(&self) -> usize {
        1
    }

    /// Greets and joins; blocks, before the clock starts.
    fn join(&self, setup: &mut Setup, who: Who) -> io::Result<()>;

    /// Appends one message.
    fn message(&self, who: Who, payload: &[u8], out: &mut Vec<u8>);

    /// Appends messages as the transport carries them.
    fn carry(&self, messages: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(messages);
    }

    /// Reports what is in the whole units of `bytes`, and returns how many bytes they are. `carried` is the
    /// connection's, for what does not end where its WebSocket frame does.
    fn walk<S: Sink>(&self, carried: &mut Vec<u8>, bytes: &[u8], sink: &mut S) -> usize;
}

/// Where [`Dialect::walk`] reports.
pub(crate) trait Sink {
    /// One delivered message.
    fn delivery(&mut self, payload: &[u8]);
    /// Bytes that the client owes the server, as the transport carries them.
    fn reply(&mut self, bytes: &[u8]);
    /// What must not happen: a refusal, a close, bytes that cannot be read.
    fn bad(&mut self, what: &'static str);
}

/// A connection that is being set up.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) stream: TcpStream,
    /// What was read and not used; the first input of the run.
    pub(crate) rest: Vec<u8>,
}

impl Setup {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads some more.
    pub(crate) fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        let len = self.stream.read(&mut chunk)?;
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed while it was set up"));
        }
        self.rest.extend_from_slice(&chunk[..len]);
        Ok(())
    }

    /// Reads to the end of `mark`, and takes it all.
    pub(crate) fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.rest, mark) {
                return Ok(self.rest.drain(..at + mark.len()).collect());
            }
            self.more()?;
        }
    }

    /// Reads one WebSocket frame, and takes its payload.
    pub(crate) fn frame(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some((_, at, len)) = websocket::head(&self.rest)
                && let Some(payload) = self.rest.get(at..at + len)
            {
                let payload = payload.to_vec();
                self.rest.drain(..at + len);
                return Ok(payload);
            }
            self.more()?;
        }
    }

    /// Upgrades to WebSocket.
    pub(crate) fn upgrade(&mut self, path: &str, subprotocol: Option<&str>) -> io::Result<()> {
        let subprotocol = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{subprotocol}\r\n"
        );
        self.write(request.as_bytes())?;
        let answer = self.until(b"\r\n\r\n")?;
        if answer.starts_with(b"HTTP/1.1 101") {
            return Ok(());
        }
        Err(io::Error::other(format!("no upgrade: {}", String::from_utf8_lossy(&answer))))
    }
}

/// Where a mark begins.
pub(crate) fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

/// A sink that keeps everything, for tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) deliveries: Vec<Vec<u8>>,
    pub(crate) replies: Vec<u8>,
    pub(crate) bad: usize,
}

#[cfg(test)]
impl Sink for Heard {
    fn delivery(&mut self, payload: &[u8]) {
        self.deliveries.push(payload.to_vec());
    }

    fn reply(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }

    fn bad(&mut self, _what: &'static str) {
        self.bad += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a dialect sends for one payload, before it is masked.
    pub(super) fn sent(dialect: &impl Dialect, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        dialect.message(Who { index: 0, room: 12, receives: true, sends: true }, payload, &mut out);
        out
    }

    /// Walks `bytes` cut at every place, and whole.
    pub(super) fn check_walk(dialect: &impl Dialect, bytes: &[u8], payloads: &[&[u8]]) {
        for cut in 0..=bytes.len() {
            let (mut heard, mut carried) = (Heard::default(), Vec::new());
            let used = dialect.walk(&mut carried, &bytes[..cut], &mut heard);
            let again = dialect.walk(&mut carried, &bytes[used..], &mut heard);
            assert_eq!((used + again, heard.bad), (bytes.len(), 0), "cut at {cut}");
            assert_eq!(heard.deliveries, payloads, "cut at {cut}");
        }
    }

    #[test]
    fn a_message_is_what_its_protocol_says() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(text(sent(&nats::Nats { ws: false }, b"hello")), "PUB r.12 5\r\nhello\r\n");
        assert_eq!(text(sent(&redis::Redis, b"hi")), "*3\r\n$7\r\nPUBLISH\r\n$3\r\nr12\r\n$2\r\nhi\r\n");
        // MQTT 5, 3.3: PUBLISH, length, topic, no properties, payload.
        assert_eq!(sent(&mqtt::Mqtt { ws: false }, b"hi"), b"\x30\x09\x00\x04r/12\x00hi");
        assert_eq!(sent(&floor::Floor { ws: false }, b"hi"), b"\x02\x00hi");
    }

    #[test]
    fn deliveries_are_found_wherever_the_bytes_are_cut() {
        let payloads: [&[u8]; 2] = [b"one\r\n", b"two"];
        check_walk(&floor::Floor { ws: false }, b"\x05\x00one\r\n\x03\x00two", &payloads);
        check_walk(&nats::Nats { ws: false }, b"MSG r.1 1 5\r\none\r\n\r\nMSG r.1 1 3\r\ntwo\r\n", &payloads);
        check_walk(&mqtt::Mqtt { ws: false }, b"\x30\x09\0\x01r\0one\r\n\xd0\0\x30\x07\0\x01r\0two", &payloads);
        let push = b">3\r\n$7\r\nmessage\r\n$2\r\nr1\r\n$5\r\none\r\n\r\n:3\r\n>3\r\n$7\r\nmessage\r\n$2\r\nr1\r\n$3\r\ntwo\r\n";
        check_walk(&redis::Redis, push, &payloads);
        check_walk(&hub::Hub, b"\x82\x05one\r\n\x82\x03two", &payloads);
        check_walk(&socketio::SocketIo, b"\x81\x04451-\x82\x05one\r\n\x81\x04451-\x82\x03two", &payloads);
        check_walk(
            &nats::Nats { ws: true },
            b"\x82\x0dMSG r.1 1 5\r\n\x82\x07one\r\n\r\n\x82\x12MSG r.1 1 3\r\ntwo\r\n",
            &payloads,
        );
    }

    #[test]
    fn pings_of_nats_and_socket_io_are_answered() {
        let mut heard = Heard::default();
        nats::Nats { ws: false }.walk(&mut Vec::new(), b"PING\r\n-ERR 'x'\r\n", &mut heard);
        assert_eq!((&heard.replies[..], heard.bad), (&b"PONG\r\n"[..], 1));
        heard = Heard::default();
        socketio::SocketIo.walk(&mut Vec::new(), b"\x81\x012", &mut heard);
        assert_eq!((heard.replies[0], heard.bad), (0x81, 0));
    }
}
