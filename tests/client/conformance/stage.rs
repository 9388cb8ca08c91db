//! A `tickwire conformance` of our own, and its control port.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::Transport;

/// How long a check may take to hold.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Stage {
    child: Child,
    addresses: Value,
}

impl Stage {
    pub fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
        // It ends with its standard input.
        let command = command.arg("conformance").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses = serde_json::from_str(&line).expect("a line of JSON");
        Self { child, addresses }
    }

    pub fn url(&self, transport: Transport) -> &str {
        let name = if transport == Transport::Tcp { "tcp" } else { "websocket" };
        self.addresses[name].as_str().unwrap()
    }

    pub fn control(&self) -> String {
        self.addresses["control"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned()
    }

    /// POST, which must be answered with 200.
    pub async fn order(&self, path: &str, body: &Value) -> Result<Value, String> {
        match post(&self.control(), path, body).await? {
            (200, answer) => Ok(answer),
            (status, answer) => Err(format!("{path} {body} was answered with {status}: {answer}")),
        }
    }

    /// POST, until it is answered with 200.
    pub async fn verify(&self, path: &str, body: &Value) -> Result<(), String> {
        let last = Instant::now() + PATIENCE;
        loop {
            match post(&self.control(), path, body).await? {
                (200, _) => return Ok(()),
                (409, _) if Instant::now() < last => sleep_until(Instant::now() + PAUSE).await,
                (status, answer) => return Err(format!("{path} {body} does not hold, {status}: {answer}")),
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// One request of HTTP/1.1, and its answer.
pub async fn post(control: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(control).await?;
        let body = body.to_string();
        let len = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {control}\r\ncontent-type: application/json\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(PATIENCE, exchange).await.map_err(|_| format!("{path} is not answered"))?;
    let answer = answer.map_err(|error| format!("{path}: {error}"))?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
