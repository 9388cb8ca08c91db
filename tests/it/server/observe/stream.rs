//! One watcher of a room: HTTP, chunks, events.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::support::soon;

/// An open stream of events.
pub struct Stream {
    io: TcpStream,
    raw: Vec<u8>,
    text: String,
    /// The last id that was told, as a browser keeps it.
    pub last_id: String,
    /// The last time to come back after.
    pub retry: u64,
    over: bool,
}

/// An event.
#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

impl Stream {
    /// Watches a room, from behind `since` where there is one.
    pub async fn open(addr: SocketAddr, room: &str, since: Option<&str>) -> Self {
        let io = soon(TcpStream::connect(addr), "a connection").await.unwrap();
        Self::open_on(io, room, since).await
    }

    pub async fn open_on(mut io: TcpStream, room: &str, since: Option<&str>) -> Self {
        let since = since.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /v1/rooms/{room}/events HTTP/1.1\r\nHost: localhost\r\n{since}\r\n");
        soon(io.write_all(request.as_bytes()), "the server to read").await.unwrap();
        let mut stream =
            Self { io, raw: Vec::new(), text: String::new(), last_id: String::new(), retry: 0, over: false };
        let head = loop {
            if let Some(end) = stream.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = stream.raw.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut stream.raw, rest)).unwrap().to_ascii_lowercase();
            }
            assert!(stream.fill().await, "the end in a head");
        };
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        assert!(head.contains("cache-control: no-store\r\n") && head.contains("transfer-encoding: chunked"), "{head}");
        stream
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = self.read(&block) {
                    return Some(event);
                }
            }
            self.take_chunks();
            if !self.text.contains("\n\n") {
                if self.over {
                    assert!(self.text.is_empty(), "the end in an event: {}", self.text);
                    return None;
                }
                assert!(self.fill().await, "the end without the last chunk");
            }
        }
    }

    /// The next event, which has this name.
    #[track_caller]
    pub fn expect(&mut self, name: &str) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let event = self.next().await.unwrap_or_else(|| panic!("the end and no {name}, at {caller}"));
            assert_eq!(event.name, name, "{event:?} at {caller}");
            event.data
        }
    }

    /// The next event with this name, whatever comes before it.
    pub async fn find(&mut self, name: &str) -> Value {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the end and no {name}"));
            if event.name == name {
                return event.data;
            }
        }
    }

    /// A block of lines; `None` where it is no event.
    fn read(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = (None, None);
        for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
            let (field, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?}"));
            match field {
                "id" => self.last_id = value.to_owned(),
                "retry" => self.retry = value.parse().unwrap(),
                "event" => assert!(name.replace(value.to_owned()).is_none(), "{block}"),
                "data" => assert!(data.replace(serde_json::from_str(value).unwrap()).is_none(), "{block}"),
                _ => panic!("no field: {line:?}"),
            }
        }
        data.map(|data| Event { name: name.expect("an event has a name"), data })
    }

    /// Takes whole chunks off what was read.
    fn take_chunks(&mut self) {
        while let Some(line) = self.raw.windows(2).position(|bytes| bytes == b"\r\n") {
            let len = usize::from_str_radix(std::str::from_utf8(&self.raw[..line]).unwrap(), 16).unwrap();
            let Some(chunk) = self.raw.get(line + 2..line + 4 + len) else { return };
            let text = chunk.strip_suffix(b"\r\n").expect("a chunk ends with its line");
            self.text.push_str(std::str::from_utf8(text).unwrap());
            self.over = len == 0;
            self.raw.drain(..line + 4 + len);
        }
    }

    /// False at the end.
    async fn fill(&mut self) -> bool {
        soon(self.io.read_buf(&mut self.raw), "more of a stream, or its end").await.is_ok_and(|count| count > 0)
    }
}
