//! `tickwire healthcheck`: whether a server takes clients, as an exit status.
//!
//! ```text
//! http://ADDR/PATH ──GET──> 200 ──> exit status 0
//!                     └───> anything else, nobody, too late ──> 1
//! ```
//!
//! It is for containers and scripts, which have no other program for that.

use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Failure, run_on_one_thread, units};

/// Asks a server whether it is ready.
#[derive(Debug, Args)]
pub(crate) struct HealthcheckArguments {
    /// What to ask for: plain HTTP, as the operators' address speaks
    #[arg(long, value_name = "URL", value_parser = Target::parse, default_value = "http://127.0.0.1:7072/readyz")]
    url: Target,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "3s")]
    timeout: Duration,
}

/// What of an answer is looked at, in bytes: its first line.
const FIRST_LINE: usize = 256;

/// Asks, and fails where the answer is not 200.
pub(crate) fn run(arguments: &HealthcheckArguments) -> Result<(), Failure> {
    run_on_one_thread(async {
        let HealthcheckArguments { url, timeout: within } = arguments;
        let asked = timeout(*within, ask(url)).await;
        let status = asked
            .map_err(|_| format!("no answer within {}", units::show_duration(*within)))
            .and_then(|asked| asked.map_err(|error| error.to_string()))
            .map_err(|why| Failure::Runtime(format!("{}: {why}", url.text)))?;
        match status {
            200 => Ok(()),
            status => Err(Failure::Runtime(format!("{}: not ready, HTTP {status}", url.text))),
        }
    })
}

/// The status of the answer. Cancel safe, in that the connection ends.
async fn ask(target: &Target) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(&*target.authority).await?;
    let Target { host, path, .. } = target;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tickwire\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut line = Vec::new();
    while line.len() < FIRST_LINE && !line.contains(&b'\n') {
        let mut bytes = [0; FIRST_LINE];
        let count = stream.read(&mut bytes).await?;
        line.extend(bytes.iter().take(count));
        if count == 0 {
            break;
        }
    }
    let unreadable = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is not HTTP");
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut words = line.split_ascii_whitespace();
    let version = words.next().filter(|version| version.starts_with("HTTP/1."));
    version.and_then(|_| words.next()?.parse().ok()).ok_or_else(unreadable)
}

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    text: String,
    /// With a port.
    authority: String,
    /// As it was written.
    host: String,
    path: String,
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        let hint =
            "write http://127.0.0.1:7072/readyz, with the operators' address ([admin] listen), which speaks no TLS";
        let rest = text.strip_prefix("http://").ok_or(hint)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // Behind a bracket is what is not the address of IPv6.
        let name_end = host.rfind(']').unwrap_or(0);
        let has_port = host.get(name_end..).is_some_and(|rest| rest.contains(':'));
        let plain = |byte: u8| byte.is_ascii_graphic();
        if host.is_empty() || host.contains('@') || !rest.bytes().all(plain) {
            return Err(hint.into());
        }
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { text: text.into(), authority, host: host.into(), path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use tickwire::server::Server;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn addresses_are_read() {
        let target = |text: &str| Target::parse(text).map(|target| (target.authority, target.path));
        assert_eq!(target("http://127.0.0.1:7072/readyz"), Ok(("127.0.0.1:7072".into(), "/readyz".into())));
        assert_eq!(target("http://localhost"), Ok(("localhost:80".into(), "/".into())));
        assert_eq!(target("http://[::1]/x"), Ok(("[::1]:80".into(), "/x".into())));
        assert_eq!(target("http://[::1]:7072/x"), Ok(("[::1]:7072".into(), "/x".into())));
        for wrong in
            ["https://127.0.0.1:7072/readyz", "127.0.0.1:7072", "http://", "http:///x", "http://a b/", "http://a@b/"]
        {
            assert!(target(wrong).unwrap_err().contains("[admin] listen"), "{wrong}");
        }
    }

    /// What the command says of an address.
    async fn check(url: String, timeout: Duration) -> Result<(), String> {
        let arguments = HealthcheckArguments { url: Target::parse(&url).unwrap(), timeout };
        let ran = tokio::task::spawn_blocking(move || run(&arguments)).await.unwrap();
        ran.map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn a_server_is_ready_until_it_is_to_stop() {
        let any = "127.0.0.1:0".parse().ok();
        let server = Server::builder().websocket(any).tcp(None).shards(1).bind().await.unwrap();
        let (handle, addr) = (server.handle(), server.websocket_addr().unwrap());
        let running = tokio::spawn(server.run(std::future::pending()));
        let long = Duration::from_secs(10);
        assert_eq!(check(format!("http://{addr}/readyz"), long).await, Ok(()));
        assert_eq!(check(format!("http://{addr}/healthz"), long).await, Ok(()));
        let nowhere = check(format!("http://{addr}/nowhere"), long).await.unwrap_err();
        assert!(nowhere.ends_with("not ready, HTTP 404"), "{nowhere}");
        handle.drain();
        running.await.unwrap().unwrap();
        assert!(check(format!("http://{addr}/readyz"), long).await.is_err(), "nobody is there");
    }

    #[tokio::test]
    async fn who_says_nothing_or_nonsense_is_not_ready() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let late = check(url.clone(), Duration::from_millis(50)).await.unwrap_err();
        assert!(late.ends_with("no answer within 50 ms"), "{late}");
        let speaks = tokio::spawn(async move {
            // The one that was given up, and the next.
            let _first = silent.accept().await.unwrap();
            let (mut stream, _) = silent.accept().await.unwrap();
            stream.write_all(b"220 mail.example.org\r\n").await.unwrap();
        });
        let nonsense = check(url, Duration::from_secs(10)).await.unwrap_err();
        assert!(nonsense.ends_with("the answer is not HTTP"), "{nonsense}");
        speaks.await.unwrap();
    }
}
