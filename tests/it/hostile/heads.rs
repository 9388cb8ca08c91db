//! Heads of HTTP requests: what is no WebSocket request, what is no request, and what two readers might
//! take for different ones (PROTOCOL 4.2).

use super::row::{Row, Stage, WEB, row};
use crate::server::say;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub fn rows() -> Vec<Row> {
    [handshakes(), broken(), smuggled(), too_large(), odd()].concat()
}

fn head(name: &str, bytes: impl Into<Vec<u8>>) -> Row {
    row(name, WEB, Stage::Socket).raw(bytes)
}

/// The usual request with something replaced.
fn with(from: &str, to: &str) -> Vec<u8> {
    let usual = say::request("/ws", "");
    assert!(usual.contains(from));
    usual.replace(from, to).into_bytes()
}

/// The usual request with these lines more.
fn and(lines: &str) -> Vec<u8> {
    say::request("/ws", lines).into_bytes()
}

fn handshakes() -> Vec<Row> {
    let twice = format!("{KEY}{KEY}");
    vec![
        head("a GET that does not upgrade", "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n").says(426, "upgrade: websocket"),
        head("another upgrade", with("Upgrade: websocket", "Upgrade: h2c")).says(426, "upgrade: websocket"),
        head("version 8", with("Version: 13", "Version: 8")).says(426, "sec-websocket-version: 13"),
        head("no version", with("Sec-WebSocket-Version: 13\r\n", "")).status(400),
        head("two versions", with("Version: 13\r\n", "Version: 13\r\nSec-WebSocket-Version: 13\r\n")).status(400),
        head("no key", with(KEY, "")).status(400),
        head("two keys", with(KEY, &twice)).status(400),
        head("a key of 3 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "YWJj")).status(400),
        head("a key of 15 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j")).status(400),
        head("a key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWQ=")).status(400),
        head("a key that is no base64", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q==")).status(400),
        head("no subprotocol", with("Sec-WebSocket-Protocol: tickwire.v1\r\n", "")).says(400, "tickwire.v1"),
        head("other subprotocols", with("tickwire.v1", "mqtt, tickwire.v2,tickwire.v10")).status(400),
        head("7 KB of spaces", with("tickwire.v1", &format!("b{}x", " ".repeat(7000)))).status(400),
        head("no connection header", with("Connection: Upgrade\r\n", "")).status(400),
        head("POST", with("GET ", "POST ")).says(405, "allow: get"),
        head("HEAD", with("GET ", "HEAD ")).says(405, "allow: get"),
        head("CONNECT", with("GET /ws ", "CONNECT localhost:22 ")).status(404),
        head("a method that nobody knows", with("GET ", "STEAL ")).status(405),
        head("POST with a body", with("GET /ws HTTP/1.1\r\n", "POST /ws HTTP/1.1\r\nContent-Length: 5\r\n"))
            .status(405),
        head("an unknown path", with("/ws ", "/wsx ")).status(404),
        head("a path that goes up", with("/ws ", "/../etc/passwd ")).status(404),
        head("HTTP 1.0", with("HTTP/1.1", "HTTP/1.0")).status(426),
        head("a page of another host", and("Origin: https://evil.example\r\n")).status(403),
        head("a page of nowhere", and("Origin: null\r\n")).status(403),
        head("two origins", and("Origin: http://localhost\r\nOrigin: http://localhost\r\n")).status(403),
    ]
}

fn broken() -> Vec<Row> {
    let usual = say::request("/ws", "");
    vec![
        head("LF alone", usual.replace("\r\n", "\n")).status(400),
        head("LF alone in one line", with("Upgrade: websocket\r\n", "Upgrade: websocket\n")).status(400),
        head("CR alone", with("Upgrade: websocket\r\n", "Upgrade: websocket\r")).status(400),
        head("a folded line", with("Upgrade: websocket\r\n", "Upgrade:\r\n websocket\r\n")).status(400),
        head("NUL in a header", and("x: a\0b\r\n")).status(400),
        head("a control character", with("Upgrade: websocket", "Upgrade: web\x01socket")).status(400),
        head("a space before the colon", with("Host: ", "Host : ")).status(400),
        head("a name with a space", with("Host: ", "Ho st: ")).status(400),
        head("a header without a name", and(": a\r\n")).status(400),
        head("no colon", with("Host: localhost", "Host localhost")).status(400),
        head("two spaces in the request", with("GET /ws ", "GET  /ws ")).status(400),
        head("a tab in the request", with("GET /ws ", "GET\t/ws ")).status(400),
        head("another protocol's name", with("HTTP/1.1", "ICAP/1.0")).status(400),
        head("a version in small letters", with("HTTP/1.1", "http/1.1")).status(400),
        head("HTTP 1.2", with("HTTP/1.1", "HTTP/1.2")).status(505),
        head("HTTP 0.9", "GET /ws\r\n").status(400),
        head("HTTP 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status(505),
        head("no HTTP at all", "hello\r\n\r\n").status(400),
        head("frames, where HTTP is spoken", [say::preamble(), say::hello(), b"\r\n\r\n".to_vec()].concat())
            .status(400),
        head("no host", with("Host: localhost\r\n", "")).status(400),
        head("two hosts", with("Host: localhost\r\n", "Host: a\r\nHost: b\r\n")).status(400),
        head("an empty host", with("Host: localhost", "Host: ")).status(400),
        head("a host with a path", with("Host: localhost", "Host: localhost/x")).status(400),
        head("a host with a user", with("Host: localhost", "Host: me@localhost")).status(400),
        head("a PROXY header of nobody who is listed", "PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n").status(400),
    ]
}

/// A proxy in front might see another request, or a second one.
fn smuggled() -> Vec<Row> {
    let behind = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let smuggled = |lines: &str, body: &str| [and(lines), body.into(), behind.into()].concat();
    vec![
        head("a length, and a request for a body", smuggled("Content-Length: 38\r\n", "")).status(400),
        head("chunks", smuggled("Transfer-Encoding: chunked\r\n", "0\r\n\r\n")).status(400),
        head("chunks and a length", smuggled("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"))
            .status(400),
        head("chunks that are none", smuggled("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")).status(400),
        head("two lengths", smuggled("Content-Length: 1\r\nContent-Length: 2\r\n", "")).status(400),
        head("a negative length", smuggled("Content-Length: -1\r\n", "")).status(400),
        head("a length with a sign", smuggled("Content-Length: +5\r\n", "12345")).status(400),
        head("a length beyond all numbers", smuggled("Content-Length: 99999999999999999999\r\n", "")).status(400),
        head("two requests, of which one is answered", behind.repeat(2)).status(200),
        head(
            "a health check with a body that is a request",
            format!("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\n{behind}"),
        )
        .status(200),
    ]
}

fn too_large() -> Vec<Row> {
    let headers = |count: usize| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    vec![
        head("101 headers", and(&headers(101))).status(431),
        head("2000 headers", and(&headers(2000))).status(431),
        head("20 KB of header", and(&format!("x: {}\r\n", "y".repeat(20_000)))).status(431),
        head("100 KB of a header's name", and(&format!("{}: y\r\n", "x".repeat(100_000)))).status(431),
        head("20 KB of path", say::request(&"/".repeat(20_000), "")).status(414),
        head("a method without end", vec![b'x'; 50_000]).status(414),
    ]
}

fn odd() -> Vec<Row> {
    let headers: String = (0..80).map(|number| format!("x-{number}: y\r\n")).collect();
    vec![
        head("several subprotocols", with("tickwire.v1", "tickwire.v2, tickwire.v1")).upgraded(),
        head("subprotocols in two lines", with("tickwire.v1", "mqtt\r\nSec-WebSocket-Protocol: tickwire.v1"))
            .upgraded(),
        head("names in capitals", with("Upgrade: websocket", "UPGRADE: WebSocket")).upgraded(),
        head("several connection options", with("Connection: Upgrade", "Connection: keep-alive, Upgrade")).upgraded(),
        head("an extension is asked for", and("Sec-WebSocket-Extensions: permessage-deflate\r\n")).upgraded(),
        head("a page of this machine", and("Origin: http://localhost:3000\r\n")).upgraded(),
        head("a query", say::request("/ws?token=1", "")).upgraded(),
        head("80 headers", and(&headers)).upgraded(),
        head("a length of 0", and("Content-Length: 0\r\n")).upgraded(),
        head("empty lines before the request", [&b"\r\n\r\n"[..], &and("")].concat()).upgraded(),
        row("a request in single bytes", WEB, Stage::Socket).drip(and("")).upgraded(),
    ]
}
