//! Faults and checks, played with the low-level client over both transports.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tickwire::client::{Client, ClientConfig, Comeback, Error, Event, JoinOptions, ResumePoint, Token, Wait};
use tickwire::wire::control::{Mode, Outcome};
use tickwire::wire::{Handle, Key, Kind, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::control;
use super::director::Director;
use super::relay::Backend;

/// Nothing here takes so long on any machine.
const LONG: Duration = Duration::from_secs(20);

/// The command, without its process.
struct Rig {
    clients: Backend,
    control: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Rig {
    async fn start(setting: Value) -> Self {
        let director = Director::new().await.unwrap();
        let clients = director.addrs().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control = listener.local_addr().unwrap();
        let (orders, received) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        tasks.spawn(director.run(received));
        tasks.spawn(control::serve(listener, orders));
        let rig = Self { clients, control, _tasks: tasks };
        rig.post("/reset", setting).await;
        rig
    }

    /// Both transports, one after the other.
    fn configs(&self) -> [ClientConfig; 2] {
        [format!("tcp://{}", self.clients.tcp), format!("ws://{}/ws", self.clients.websocket)]
            .map(|url| ClientConfig::new(url.parse().unwrap()))
    }

    fn tcp(&self) -> ClientConfig {
        self.configs()[0].clone()
    }

    async fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.control).await.unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    async fn ask(&self, path: &str, body: Value) -> (u16, Value) {
        self.request("POST", path, &body.to_string()).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(path, body.clone()).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    /// Asks until it holds, as runners do.
    async fn verify(&self, path: &str, body: Value) {
        let mut last = Value::Null;
        let holding = async {
            let mut tries = interval(Duration::from_millis(20));
            loop {
                tries.tick().await;
                let (status, answer) = self.ask(path, body.clone()).await;
                match status {
                    200 => return,
                    409 => last = answer,
                    _ => panic!("{path} {body}: {status} {answer}"),
                }
            }
        };
        timeout(LONG, holding).await.unwrap_or_else(|_| panic!("{path} {body}: {last}"));
    }
}

async fn connect(config: &ClientConfig) -> Client {
    Client::connect(config).await.unwrap()
}

async fn join(client: &mut Client) -> Handle {
    client.join("r", Mode::BOTH).await.unwrap().handle
}

async fn next(client: &mut Client) -> Result<Event, Error> {
    timeout(LONG, client.next()).await.expect("something comes")
}

/// Reads until an event with this text comes; what came before it of events.
async fn texts_to(client: &mut Client, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        if let Event::Batch(batch) = next(client).await.unwrap()
            && batch.kind() == Kind::Event
        {
            texts.extend(batch.records().map(|record| String::from_utf8(record.payload.to_vec()).unwrap()));
        }
        if texts.last().is_some_and(|text| text == last) {
            return texts;
        }
    }
}

/// Reads until the connection has ended without CLOSE, and says what is left of the session.
async fn broken(client: &mut Client) -> ResumePoint {
    loop {
        match next(client).await {
            Ok(Event::Closed(closing)) => {
                assert_eq!(closing.reason, None, "nobody has said why");
                break;
            }
            Ok(_) => {}
            Err(Error::Io(_) | Error::WebSocket(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    client.resume_point().expect("the session may be resumed")
}

/// Reads until the room is joined again.
async fn rejoined(client: &mut Client) -> Outcome {
    loop {
        if let Event::Joined { membership, .. } = next(client).await.unwrap() {
            return membership.outcome;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_seen_by_both_sides() {
    let rig = Rig::start(json!({})).await;
    for config in rig.configs() {
        rig.post("/reset", json!({})).await;
        let mut client = connect(&config).await;
        let room = join(&mut client).await;
        client.event(room, b"one").await.unwrap();
        client.event(room, b"two").await.unwrap();
        client.value(room, Key::member(1), b"v").await.unwrap();
        rig.verify("/seen", json!({"room": "r", "texts": ["one", "two"]})).await;
        rig.verify("/value", json!({"room": "r", "key": 1, "text": "v"})).await;
        rig.verify("/count", json!({"room": "r", "members": 1, "away": 0})).await;
        assert_eq!(rig.ask("/seen", json!({"room": "r", "texts": ["two", "one"]})).await.0, 409, "order counts");
        assert_eq!(rig.ask("/value", json!({"room": "r", "key": 1, "text": null})).await.0, 409);
        rig.post("/publish", json!({"room": "r", "texts": ["three"]})).await;
        assert_eq!(texts_to(&mut client, "three").await, ["one", "two", "three"]);
        rig.verify("/seen", json!({"room": "r", "texts": ["one", "two"]})).await;
        client.close().await.unwrap();
        rig.verify("/count", json!({"room": "r", "members": 0})).await;
        rig.verify("/value", json!({"room": "r", "key": 1, "text": null})).await;
        rig.verify("/connections", json!({"count": 1})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_goes_on_where_it_was() {
    let rig = Rig::start(json!({})).await;
    for config in rig.configs() {
        rig.post("/reset", json!({})).await;
        let mut client = connect(&config).await;
        let room = join(&mut client).await;
        rig.post("/publish", json!({"room": "r", "texts": ["1"]})).await;
        texts_to(&mut client, "1").await;
        rig.post("/fault", json!({"do": "cut"})).await;
        let point = broken(&mut client).await;
        rig.post("/publish", json!({"room": "r", "texts": ["2", "3"]})).await;
        let (mut client, resumed) = Client::resume(&config, &point).await.unwrap();
        assert!(resumed.session);
        assert_eq!(rejoined(&mut client).await, Outcome::RECOVERED);
        assert_eq!(texts_to(&mut client, "3").await, ["2", "3"]);
        client.event(room, b"4").await.unwrap();
        rig.verify("/seen", json!({"room": "r", "texts": ["4"]})).await;
        rig.verify("/connections", json!({"count": 2})).await;
        rig.verify("/waits", json!({"of": 0, "min_ms": 0, "max_ms": 20_000})).await;
        assert_eq!(rig.ask("/waits", json!({"of": 0, "min_ms": 20_000, "max_ms": 30_000})).await.0, 409);
        assert_eq!(rig.ask("/waits", json!({"of": 1, "min_ms": 0, "max_ms": 20_000})).await.0, 409, "nobody has come");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_be_cut_within_a_frame() {
    let rig = Rig::start(json!({})).await;
    for config in rig.configs() {
        rig.post("/reset", json!({})).await;
        let mut client = connect(&config).await;
        join(&mut client).await;
        client.ping().await.unwrap();
        rig.post("/fault", json!({"do": "cut", "after_bytes": 7})).await;
        rig.post("/publish", json!({"room": "r", "texts": ["a text that does not come whole"]})).await;
        let point = broken(&mut client).await;
        let (mut client, _) = Client::resume(&config, &point).await.unwrap();
        assert_eq!(rejoined(&mut client).await, Outcome::RECOVERED);
        texts_to(&mut client, "a text that does not come whole").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_down_whoever_comes_is_reset() {
    let rig = Rig::start(json!({})).await;
    for (config, before) in rig.configs().iter().zip([0, 2]) {
        rig.post("/fault", json!({"do": "down", "ms": 3_600_000})).await;
        assert!(matches!(
            Client::connect(config).await,
            Err(Error::Io(_) | Error::Connect(_) | Error::Closed(_) | Error::WebSocket(_))
        ));
        rig.verify("/connections", json!({"count": before + 1})).await;
        rig.post("/fault", json!({"do": "down", "ms": 0})).await;
        connect(config).await.close().await.unwrap();
        rig.verify("/connections", json!({"count": before + 2})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_stalled_stays_and_says_nothing() {
    let rig = Rig::start(json!({})).await;
    for config in rig.configs() {
        rig.post("/reset", json!({})).await;
        let mut client = connect(&config.clone().answer_timeout(Duration::from_millis(200))).await;
        join(&mut client).await;
        rig.post("/fault", json!({"do": "stall"})).await;
        assert!(matches!(client.ping().await, Err(Error::TimedOut(Wait::Answer))));
        rig.verify("/count", json!({"room": "r", "members": 1})).await;
        // Who comes now is served, and takes the session over.
        let point = client.resume_point().unwrap();
        let (mut other, resumed) = Client::resume(&config, &point).await.unwrap();
        assert!(resumed.session);
        assert_eq!(rejoined(&mut other).await, Outcome::RECOVERED);
        drop(client);
        rig.verify("/waits", json!({"of": 0, "min_ms": 0, "max_ms": 0})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_tells_slots_and_another_server_is_there() {
    let rig = Rig::start(json!({})).await;
    for config in rig.configs() {
        rig.post("/reset", json!({})).await;
        let mut client = connect(&config).await;
        let room = join(&mut client).await;
        client.event(room, b"1").await.unwrap();
        texts_to(&mut client, "1").await;
        let before = client.position(room).unwrap();
        rig.post("/server", json!({"do": "restart"})).await;
        let mut comeback = Comeback::default();
        while !comeback.handle_event(&next(&mut client).await.unwrap()) {}
        client.close().await.unwrap();
        let slot = json!({"early_ms": 0, "late_ms": 10_000});
        assert_eq!(rig.ask("/slot", slot.clone()).await.0, 409, "nobody has come since");
        connect(&config).await.close().await.unwrap();
        assert_eq!(rig.ask("/slot", slot.clone()).await.0, 409, "too early");
        assert!(comeback.wait().await);
        let mut client = connect(&config).await;
        rig.verify("/slot", slot).await;
        let since = JoinOptions::new(Mode::BOTH).since(before.0, before.1);
        let joined = client.join_with("r", since).await.unwrap();
        assert!(joined.outcome == Outcome::GAP && joined.epoch != before.0, "{joined:?}");
        client.event(joined.handle, b"2").await.unwrap();
        rig.verify("/seen", json!({"room": "r", "texts": ["1", "2"]})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_injected_between_frames() {
    let rig = Rig::start(json!({})).await;
    assert_eq!(rig.ask("/fault", json!({"do": "inject", "hex": "00"})).await.0, 409, "nobody is there");
    for config in rig.configs() {
        rig.post("/reset", json!({})).await;
        let mut client = connect(&config).await;
        join(&mut client).await;
        for harmless in ["020002006f00", "0300040000007e00", "0100000c"] {
            rig.post("/fault", json!({"do": "inject", "hex": harmless})).await;
        }
        rig.post("/flood", json!({"room": "r", "messages": 50, "bytes": 3000})).await;
        rig.post("/fault", json!({"do": "inject", "hex": "020002006f00"})).await;
        rig.post("/publish", json!({"room": "r", "texts": ["after"]})).await;
        let texts = texts_to(&mut client, "after").await;
        assert_eq!(texts.len(), 51);
        assert!(
            texts[..50].iter().zip(1..).all(|(text, number)| text.len() == 3000 && text.trim() == format!("#{number}"))
        );
        rig.post("/fault", json!({"do": "inject", "hex": "0100020004ff"})).await;
        let error = loop {
            if let Err(error) = next(&mut client).await {
                break error;
            }
        };
        assert!(matches!(error, Error::Decode(_)), "{error}");
        rig.verify("/connections", json!({"count": 1})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_back_is_told_its_gap() {
    let rig = Rig::start(json!({})).await;
    for config in rig.configs() {
        rig.post("/reset", json!({"outbox_bytes": 65_536})).await;
        let mut client = connect(&config).await;
        join(&mut client).await;
        rig.post("/fault", json!({"do": "hold"})).await;
        rig.post("/flood", json!({"room": "r", "messages": 400, "bytes": 8000})).await;
        rig.post("/publish", json!({"room": "r", "key": 1, "text": "late"})).await;
        rig.post("/fault", json!({"do": "release"})).await;
        let (mut is_told, mut value) = (false, None);
        while value.is_none() {
            match next(&mut client).await.unwrap() {
                Event::Gap { from, to, .. } => is_told = from <= to,
                // The value may have been flushed before the snapshot, or behind it.
                Event::Snapshot(batch) | Event::Batch(batch) if is_told => {
                    let mut records = batch.records();
                    value = records
                        .find(|record| record.key == Some(Key::room(1).wire()))
                        .map(|record| record.payload.to_vec());
                }
                _ => {}
            }
        }
        assert_eq!(value.as_deref(), Some(&b"late"[..]));
        rig.post("/publish", json!({"room": "r", "texts": ["after"]})).await;
        texts_to(&mut client, "after").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_is_too_short_leaves_its_last_batches() {
    let rig = Rig::start(json!({"history_batches": 2, "grace_ms": 100})).await;
    for config in rig.configs() {
        rig.post("/reset", json!({"history_batches": 2, "grace_ms": 100})).await;
        let mut client = connect(&config).await;
        join(&mut client).await;
        rig.post("/publish", json!({"room": "r", "texts": ["1"]})).await;
        texts_to(&mut client, "1").await;
        rig.post("/fault", json!({"do": "cut"})).await;
        let point = broken(&mut client).await;
        rig.verify("/count", json!({"room": "r", "members": 0, "away": 0})).await;
        rig.post("/flood", json!({"room": "r", "messages": 6, "bytes": 8})).await;
        let (mut client, resumed) = Client::resume(&config, &point).await.unwrap();
        assert!(!resumed.session);
        assert_eq!(rejoined(&mut client).await, Outcome::GAP);
        assert_eq!(texts_to(&mut client, "#6      ").await, ["#5      ", "#6      "]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_answers_itself() {
    let rig = Rig::start(json!({})).await;
    for config in rig.configs() {
        rig.post("/fault", json!({"do": "greet", "hex": "020007000801650402a006"})).await;
        match Client::connect(&config).await {
            Err(Error::Closed(closing)) => {
                let told = (closing.reason, closing.after);
                assert_eq!(told, (Some(Reason::SERVER_FULL), Some(Duration::from_millis(800))));
            }
            other => panic!("{other:?}"),
        }
        connect(&config).await.close().await.unwrap();
    }
    let [tcp, websocket] = rig.configs();
    rig.post("/fault", json!({"do": "http", "status": 503, "retry_after": 1})).await;
    connect(&tcp).await.close().await.unwrap();
    assert!(
        matches!(Client::connect(&websocket).await, Err(Error::Http { status: 503, .. })),
        "it waits for a request"
    );
    connect(&websocket).await.close().await.unwrap();
    rig.verify("/connections", json!({"count": 7})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_request_says_when_to_come_again() {
    let rig = Rig::start(json!({})).await;
    rig.post("/fault", json!({"do": "http", "status": 429, "retry_after": 7})).await;
    let mut stream = TcpStream::connect(rig.clients.websocket).await.unwrap();
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nRetry-After: 7\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_wanted_where_that_is_said() {
    let rig = Rig::start(json!({"tokens": true})).await;
    let refused = |config: ClientConfig| async move {
        match Client::connect(&config).await {
            Err(Error::Closed(closing)) => closing.reason,
            other => panic!("{other:?}"),
        }
    };
    let make = async |body: Value| {
        let answer = rig.post("/token", body).await;
        rig.tcp().token(Token::new(answer["token"].as_str().unwrap().as_bytes().to_vec()))
    };
    assert_eq!(refused(rig.tcp()).await, Some(Reason(241)));
    let expired = make(json!({"subject": "ann", "expires_in_s": -60})).await;
    assert_eq!(refused(expired).await, Some(Reason(242)));
    rig.verify("/outlived", json!({"tokens": 1})).await;
    let mine = json!({"mine/*": ["join", "publish", "receive"]});
    let config = make(json!({"subject": "ann", "expires_in_s": 60, "rooms": mine})).await;
    assert_eq!(rig.ask("/outlived", json!({"tokens": 2})).await.0, 409);
    let mut client = connect(&config).await;
    assert!(
        matches!(client.join("other", Mode::BOTH).await, Err(Error::Refused(refusal)) if refusal.reason == Reason(240))
    );
    let room = client.join("mine/1", Mode::BOTH).await.unwrap().handle;
    rig.post("/server", json!({"do": "kick", "room": "mine/1"})).await;
    while !matches!(next(&mut client).await.unwrap(), Event::Left { handle, .. } if handle == room) {}
    assert_eq!(rig.ask("/server", json!({"do": "kick", "subject": "bob"})).await.0, 409, "nobody is bob");
    rig.post("/server", json!({"do": "kick", "subject": "ann"})).await;
    let closing = loop {
        if let Event::Closed(closing) = next(&mut client).await.unwrap() {
            break closing;
        }
    };
    assert_eq!(closing.reason, Some(Reason(243)));
    rig.post("/reset", json!({})).await;
    connect(&rig.tcp()).await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_leaves_nothing() {
    let rig = Rig::start(json!({})).await;
    let mut client = connect(&rig.tcp()).await;
    let room = join(&mut client).await;
    client.event(room, b"old").await.unwrap();
    rig.verify("/seen", json!({"room": "r", "texts": ["old"]})).await;
    rig.post("/publish", json!({"room": "r", "key": 7, "text": "old"})).await;
    rig.post("/fault", json!({"do": "greet", "hex": "00"})).await;
    rig.post("/fault", json!({"do": "hold"})).await;
    rig.post("/reset", json!({"ping_ms": 500})).await;
    let point = broken(&mut client).await;
    rig.verify("/connections", json!({"count": 0})).await;
    rig.verify("/seen", json!({"room": "r", "texts": []})).await;
    let (mut client, resumed) = Client::resume(&rig.tcp(), &point).await.unwrap();
    assert!(!resumed.session);
    assert_eq!(client.terms().ping, Duration::from_millis(500));
    assert_eq!(rejoined(&mut client).await, Outcome::GAP);
    // A setting that cannot be leaves no server, and says so.
    let (status, answer) = rig.ask("/reset", json!({"outbox_bytes": 1})).await;
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("outbox_bytes"), "{status} {answer}");
    assert_eq!(rig.ask("/publish", json!({"room": "r", "texts": ["x"]})).await.0, 400);
    rig.post("/reset", json!({})).await;
    connect(&rig.tcp()).await.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_port_says_what_it_does_not_take() {
    let rig = Rig::start(json!({})).await;
    let (status, scenarios) = rig.request("GET", "/scenarios", "").await;
    assert!(status == 200 && scenarios.as_array().unwrap().len() > 30);
    for (method, path, body, expected) in [
        ("GET", "/reset", "", 404),
        ("PUT", "/reset", "{}", 405),
        ("POST", "/nowhere", "{}", 400),
        ("POST", "/reset", "{", 400),
        ("POST", "/flood", r#"{"room": "r", "messages": 1, "bytes": 16000}"#, 400),
        ("POST", "/token", r#"{"subject": "ann", "expires_in_s": 1, "rooms": {"r": 1}}"#, 400),
        ("POST", "/outlived", r#"{"tokens": 0}"#, 400),
    ] {
        let (status, answer) = rig.request(method, path, body).await;
        assert!(status == expected && answer["error"].is_string(), "{method} {path} {body}: {status} {answer}");
    }
}
