//! Tells somebody who may not stay why, and when to come again.
//!
//! ```text
//! a place to part? ──yes──> say it, stop sending, discard, close
//!                  └─no───> say it, close
//! ```
//!
//! A flood of those who are turned away must not take what others need: few are waited for, and none of
//! them takes a place among those without hello.

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Access, Denied};
use crate::limits::Limits;
use crate::server::closing;
use crate::server::listener::Port;
use crate::server::stream::Stream;
use crate::session::Ending;

/// Turns a connection away.
pub(in crate::server) fn part(mut stream: Stream<TcpStream>, port: Port, denied: Denied, access: &Access) {
    let words = words(port, denied);
    let Ok(place) = Arc::clone(&access.partings).try_acquire_owned() else { return part_at_once(stream, &words) };
    let facts = Arc::clone(&access.rules().facts);
    tokio::spawn(async move {
        let _place = place;
        let limits: &Limits = &facts.limits;
        // Over the time, the connection is closed as it stands.
        let _over = timeout(limits.discard_timeout, closing::say(&mut stream, &words, limits)).await;
    });
}

/// The socket is new, so that a few words fit its buffer; where they do not, nobody waits.
fn part_at_once(stream: Stream<TcpStream>, words: &[u8]) {
    // Under TLS it would have to wait for the socket, and just ends.
    let Some(stream) = stream.into_plain() else { return };
    let Ok(mut stream) = stream.into_std() else { return };
    let _untold = stream.write(words).and_then(|_| stream.shutdown(Shutdown::Write));
}

fn words(port: Port, denied: Denied) -> Vec<u8> {
    match port {
        Port::Http => {
            let (status, sentence) = if denied.is_the_servers() {
                ("503 Service Unavailable", "The server has no place for more connections. Try later.\n")
            } else {
                ("429 Too Many Requests", "There are too many connections from your address. Try later.\n")
            };
            let (after, len) = (denied.after_secs(), sentence.len());
            format!(
                "HTTP/1.1 {status}\r\nRetry-After: {after}\r\nConnection: close\r\n\
                 Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len}\r\n\r\n{sentence}"
            )
            .into_bytes()
        }
        Port::Tcp => {
            let reconnect = Some(denied.after_millis());
            closing::close_bytes(&Ending { reconnect, ..Ending::because(denied.reason()) })
        }
    }
}
