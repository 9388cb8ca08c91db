//! Every scenario of clients/conformance, played by this crate's own client over both transports.
//!
//! ```text
//! scenarios x {ws, tcp} ──> workers, each with a `tickwire conformance` of its own ──> Play ──> Link
//! ```
//!
//! Most of a scenario is waiting, so several are played at once.

mod play;
mod stage;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout};

use self::play::Play;
use self::stage::Stage;

/// Scenarios that are played at once. 8: the processor is busy with two or three of them.
const WORKERS: usize = 8;

/// How long a scenario may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Tcp,
}

/// What is left to play, and what went wrong.
type Left = Arc<Mutex<(VecDeque<(Value, Transport)>, Vec<String>)>>;

#[test]
fn every_scenario_is_played() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/conformance/scenarios.json");
    let scenarios: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let only = std::env::var("TICKWIRE_SCENARIO").unwrap_or_default();
    let mut left = VecDeque::new();
    let mut skipped = 0;
    for scenario in &scenarios {
        for transport in [Transport::WebSocket, Transport::Tcp] {
            let needs_websocket = scenario["needs"].as_array().unwrap().iter().any(|need| need == "websocket");
            if !name(scenario).contains(&only) {
                continue;
            }
            if needs_websocket && transport == Transport::Tcp {
                println!("skipped Tcp  {}: it needs a WebSocket", name(scenario));
                skipped += 1;
                continue;
            }
            left.push_back((scenario.clone(), transport));
        }
    }
    let played = left.len();
    assert!(!only.is_empty() || (scenarios.len() >= 42 && skipped <= 2), "only what TCP has no words for is left out");
    let left: Left = Arc::new(Mutex::new((left, Vec::new())));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let left = Arc::clone(&left);
            std::thread::spawn(move || work(&left))
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let failed = std::mem::take(&mut left.lock().unwrap().1);
    println!("{} passed, {} failed, {skipped} skipped", played - failed.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn name(scenario: &Value) -> &str {
    scenario["name"].as_str().unwrap()
}

/// Plays what is left, one after the other.
fn work(left: &Left) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stage = Stage::start();
    loop {
        let Some((scenario, transport)) = left.lock().unwrap().0.pop_front() else { return };
        let began = Instant::now();
        let played = runtime.block_on(async { timeout(PATIENCE, Play::run(&stage, &scenario, transport)).await });
        let took = began.elapsed().as_millis();
        let name = name(&scenario);
        match played.unwrap_or_else(|_| Err("it took too long".into())) {
            Ok(()) => println!("passed  {transport:?} {took} ms  {name}"),
            Err(why) => {
                println!("FAILED  {transport:?} {took} ms  {name}: {why}");
                left.lock().unwrap().1.push(format!("{transport:?}, {name}: {why}"));
            }
        }
    }
}
