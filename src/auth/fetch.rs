//! One request to a server of keys, and its answer where that is 200.
//!
//! ```text
//! connect ──https──> TLS: the certificate is checked ──> GET ──> 200, at most so many bytes
//!        └───http──────────────────────────────────────>
//! ```
//!
//! Whoever asks sets the time. Redirects are not followed: where keys are is the operator's word alone.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Gets a path by plain HTTP; at most so many bytes. Cancel safe.
pub(super) async fn http(authority: &str, path: &str, most: usize) -> Option<Bytes> {
    let (host, port) = split(authority)?;
    let stream = TcpStream::connect((host.as_str(), port.unwrap_or(80))).await.ok()?;
    get(stream, authority, path, most).await
}

/// As [`http`], under TLS. `roots` are those who may have signed the server's certificate, in PEM; the public
/// ones where there are none. Cancel safe.
#[cfg(feature = "tls")]
pub(super) async fn https(authority: &str, path: &str, roots: Option<&[u8]>, most: usize) -> Option<Bytes> {
    let (host, port) = split(authority)?;
    let name = rustls::pki_types::ServerName::try_from(host.clone()).ok()?;
    let config = super::roots::client_config(roots)?;
    let stream = TcpStream::connect((host.as_str(), port.unwrap_or(443))).await.ok()?;
    let shaken = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
    let warn = |error: &std::io::Error| tracing::warn!("{authority}, which has keys, is not believed: {error}");
    get(shaken.inspect_err(warn).ok()?, authority, path, most).await
}

/// Host without brackets, and port.
fn split(authority: &str) -> Option<(String, Option<u16>)> {
    let uri: Uri = format!("http://{authority}/").parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), uri.port_u16()))
}

/// Whether a server is this machine, so that nobody is on the way to it.
pub(super) fn is_here(authority: &str) -> bool {
    let Some((host, _)) = split(authority) else { return false };
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|addr| addr.is_loopback())
}

async fn get<T>(stream: T, authority: &str, path: &str, most: usize) -> Option<Bytes>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(path).header(header::HOST, authority).body(Empty::<Bytes>::new()).ok()?;
    let answer = async move {
        let answer = sender.send_request(request).await.ok()?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(answer.into_body(), most).collect().await.ok()?;
        Some(body.to_bytes())
    };
    // The connection ends when the answer is there: who asks is gone then.
    futures_util::future::join(answer, connection).await.0
}
