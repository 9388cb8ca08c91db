//! The head of an HTTP request, read strictly before anybody interprets it.
//!
//! ```text
//! socket ──> bytes ──> lines end in CR LF, so many, so large ──whole──> hyper, over a `Rewound` stream
//!                  └── 400, 408, 414, 431, 505
//! ```
//!
//! A head is looked at once, byte by byte as it comes: whoever sends it in a thousand pieces costs no more
//! than others, and until it is whole it costs nothing but its bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::limits::Limits;

/// Headers of a request. 100: what hyper takes.
const MAX_HEADERS: usize = 100;

/// Why there is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    /// The connection ended before it was whole.
    Gone,
    /// Nothing came in time.
    Silent,
    /// It has begun, and was not whole in time.
    Late,
    /// A line that ends in LF or CR alone, or goes on in the next (`obs-fold`).
    Line,
    /// The request line is no request of HTTP 1.
    Request,
    /// A version of HTTP that is not spoken here.
    Version,
    /// The request line is larger than a head may be.
    Target,
    /// The head is larger than it may be, or has too many lines.
    TooLarge,
}

impl HeadError {
    /// The answer, as it goes over the wire. `None` where nobody is there to read it.
    pub(super) fn answer(self) -> Option<Vec<u8>> {
        let (status, sentence) = match self {
            // Who asks nothing is answered nothing: a browser opens connections in advance.
            Self::Gone | Self::Silent => return None,
            Self::Late => ("408 Request Timeout", "The request did not come in time.\n"),
            Self::Line => ("400 Bad Request", "Lines end in CR LF, and none is folded.\n"),
            Self::Request => ("400 Bad Request", "This is no HTTP request.\n"),
            Self::Version => ("505 HTTP Version Not Supported", "Only HTTP 1.1 is spoken here.\n"),
            Self::Target => ("414 URI Too Long", "The request line is too long.\n"),
            Self::TooLarge => ("431 Request Header Fields Too Large", "The head is too large.\n"),
        };
        let len = sentence.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {len}\r\n\r\n{sentence}"
        );
        Some(head.into_bytes())
    }
}

/// Reads until the head is whole, or its time is over. What is returned may have more behind it.
pub(super) async fn read<T: AsyncRead + Unpin>(
    io: &mut T,
    limits: &Limits,
    until: Instant,
) -> Result<Bytes, HeadError> {
    let mut bytes = BytesMut::new();
    match timeout_at(until, fill(io, limits, &mut bytes)).await {
        Ok(filled) => filled.map(|()| bytes.freeze()),
        Err(_) if bytes.is_empty() => Err(HeadError::Silent),
        Err(_) => Err(HeadError::Late),
    }
}

async fn fill<T: AsyncRead + Unpin>(io: &mut T, limits: &Limits, bytes: &mut BytesMut) -> Result<(), HeadError> {
    let mut scan = Scan::default();
    let mut scratch = [0; 1024];
    loop {
        let len = io.read(&mut scratch).await.map_err(|_| HeadError::Gone)?;
        let read = scratch.get(..len).filter(|read| !read.is_empty()).ok_or(HeadError::Gone)?;
        bytes.extend_from_slice(read);
        if scan.handle(bytes, limits.max_http_header)? {
            return Ok(());
        }
    }
}

/// How far a head has been looked at.
#[derive(Debug, Default)]
struct Scan {
    /// Bytes that have been looked at, and where the line begins that is not whole.
    at: usize,
    line: usize,
    /// Whole lines, those before the request line not counted.
    lines: usize,
}

impl Scan {
    /// Looks at what is new. True where the head is whole.
    fn handle(&mut self, bytes: &[u8], most: usize) -> Result<bool, HeadError> {
        while let Some(byte) = bytes.get(self.at) {
            if self.at >= most {
                return Err(if self.lines == 0 { HeadError::Target } else { HeadError::TooLarge });
            }
            let before = self.at.checked_sub(1).filter(|before| *before >= self.line);
            let after_cr = before.and_then(|before| bytes.get(before)) == Some(&b'\r');
            self.at += 1;
            if after_cr != (*byte == b'\n') {
                return Err(HeadError::Line);
            }
            if after_cr {
                let line = bytes.get(self.line..self.at - 2).unwrap_or_default();
                self.line = self.at;
                if self.handle_line(line)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A line without its end. True where it was the last one.
    fn handle_line(&mut self, line: &[u8]) -> Result<bool, HeadError> {
        match (self.lines, line) {
            // RFC 9112 2.2: an empty line before the request is skipped.
            (0, []) => return Ok(false),
            (0, _) => check_request(line)?,
            (_, []) => return Ok(true),
            (_, [b' ' | b'\t', ..]) => return Err(HeadError::Line),
            (count, _) if count > MAX_HEADERS => return Err(HeadError::TooLarge),
            _ => {}
        }
        self.lines += 1;
        Ok(false)
    }
}

/// RFC 9112 3: method, target, version, one space between each.
fn check_request(line: &[u8]) -> Result<(), HeadError> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::Request);
    };
    if method.is_empty() || target.is_empty() {
        return Err(HeadError::Request);
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(HeadError::Version)
        }
        _ => Err(HeadError::Request),
    }
}

/// A stream of which the first bytes have been read already.
#[derive(Debug)]
pub(super) struct Rewound<T> {
    io: T,
    read: Bytes,
}

impl<T> Rewound<T> {
    pub(super) const fn new(io: T, read: Bytes) -> Self {
        Self { io, read }
    }

    /// The stream, and what of the first bytes nobody has read again.
    pub(super) fn into_parts(self) -> (T, Bytes) {
        (self.io, self.read)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewound<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let len = self.read.len().min(buffer.remaining());
        buffer.put_slice(self.read.get(..len).unwrap_or_default());
        self.read.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewound<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 200;

    /// What comes of bytes, whole and one by one.
    fn scan(bytes: &[u8]) -> Result<bool, HeadError> {
        let whole = Scan::default().handle(bytes, MOST);
        let mut scan = Scan::default();
        let single = (1..=bytes.len()).map(|end| scan.handle(&bytes[..end], MOST)).find(|done| *done != Ok(false));
        assert_eq!(single.unwrap_or(Ok(false)), whole, "{}", bytes.escape_ascii());
        whole
    }

    #[test]
    fn a_head_is_whole_at_its_empty_line() {
        assert_eq!(scan(b""), Ok(false));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: x\r\n"), Ok(false));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: x\r\n\r"), Ok(false));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(true));
        assert_eq!(scan(b"GET / HTTP/1.0\r\n\r\n\n\n\n"), Ok(true));
        assert_eq!(scan(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Ok(true));
    }

    #[test]
    fn what_is_wrong_is_known_as_soon_as_it_comes() {
        let cases: &[(&[u8], HeadError)] = &[
            (b"GET / HTTP/1.1\n", HeadError::Line),
            (b"GET / HTTP/1.1\r\r", HeadError::Line),
            (b"GET / HTTP/1.1\rX", HeadError::Line),
            (b"\n", HeadError::Line),
            (b"GET / HTTP/1.1\r\nHost: x\n", HeadError::Line),
            (b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n", HeadError::Line),
            (b"GET / HTTP/1.1\r\n\ty\r\n", HeadError::Line),
            (b"GET /\r\n", HeadError::Request),
            (b"GET  / HTTP/1.1\r\n", HeadError::Request),
            (b"GET / HTTP/1.1 \r\n", HeadError::Request),
            (b" / HTTP/1.1\r\n", HeadError::Request),
            (b"GET  HTTP/1.1\r\n", HeadError::Request),
            (b"GET / HTTP/11\r\n", HeadError::Request),
            (b"GET / HTTP/x.1\r\n", HeadError::Request),
            (b"GET / http/1.1\r\n", HeadError::Request),
            (b"hello\r\n", HeadError::Request),
            (b"GET / HTTP/1.2\r\n", HeadError::Version),
            (b"PRI * HTTP/2.0\r\n", HeadError::Version),
        ];
        for (bytes, error) in cases {
            assert_eq!(scan(bytes), Err(*error), "{}", bytes.escape_ascii());
            assert_eq!(scan(&bytes[..bytes.len() - 1]), Ok(false), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_head_has_bounds() {
        assert_eq!(scan(&[b'x'; MOST]), Ok(false));
        assert_eq!(scan(&[b'x'; MOST + 1]), Err(HeadError::Target));
        let long = [&b"GET / HTTP/1.1\r\nx: "[..], &[b'x'; MOST]].concat();
        assert_eq!(scan(&long), Err(HeadError::TooLarge));
        let most = |headers: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(headers)).into_bytes();
        assert_eq!(Scan::default().handle(&most(MAX_HEADERS), 1 << 20), Ok(true));
        assert_eq!(Scan::default().handle(&most(MAX_HEADERS + 1), 1 << 20), Err(HeadError::TooLarge));
        // The end of a head may be the last byte that is allowed.
        let exact = [&b"GET / HTTP/1.1\r\nx: "[..], &[b'x'; MOST - 23], b"\r\n\r\n"].concat();
        assert_eq!((exact.len(), scan(&exact)), (MOST, Ok(true)));
    }

    #[tokio::test]
    async fn a_rewound_stream_begins_again() {
        let (mut near, far) = tokio::io::duplex(64);
        let mut rewound = Rewound::new(far, Bytes::from_static(b"first "));
        let write = async {
            tokio::io::AsyncWriteExt::write_all(&mut near, b"second").await.unwrap();
            drop(near);
        };
        let mut read = Vec::new();
        let (_, len) = tokio::join!(write, rewound.read_to_end(&mut read));
        assert_eq!((len.unwrap(), &read[..]), (12, &b"first second"[..]));
    }
}
