//! `tickwire conformance` as a process: how it begins and ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

/// How long it may take to begin, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

fn start() -> (Child, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    let command = command.arg("conformance").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

/// Waits, but not for ever: what hangs is ended, and has failed.
fn wait(mut child: Child) -> ExitStatus {
    let number = child.id();
    let (ended, end) = channel();
    let waiting = std::thread::spawn(move || {
        let status = child.wait().unwrap();
        // Nobody listens where it took too long.
        let _late = ended.send(());
        status
    });
    if end.recv_timeout(PATIENCE).is_err() {
        signal(number, "KILL");
    }
    waiting.join().unwrap()
}

fn signal(process: u32, name: &str) {
    // A shell has it built in.
    let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status();
    assert!(kill.unwrap().success());
}

#[test]
fn it_says_where_it_is_and_ends_with_its_input() {
    let (mut child, addrs) = start();
    assert!(addrs["websocket"].as_str().unwrap().ends_with("/ws"), "{addrs}");
    assert!(addrs["tcp"].as_str().unwrap().starts_with("tcp://127.0.0.1:"), "{addrs}");
    let control = addrs["control"].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(control).unwrap();
    stream.write_all(b"GET /scenarios HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let scenarios = include_str!("../../clients/conformance/scenarios.json");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(scenarios), "{answer:.200}");
    drop(child.stdin.take());
    assert!(wait(child).success());
}

#[cfg(unix)]
#[test]
fn it_ends_with_a_signal_too() {
    let (child, _) = start();
    signal(child.id(), "TERM");
    assert!(wait(child).success());
}

#[test]
fn its_scenarios_are_listed() {
    let listed = Command::new(env!("CARGO_BIN_EXE_tickwire")).args(["conformance", "--list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let scenarios: Value = serde_json::from_str(include_str!("../../clients/conformance/scenarios.json")).unwrap();
    let names = scenarios.as_array().unwrap().iter().map(|scenario| scenario["name"].as_str().unwrap());
    assert!(listed.lines().eq(names), "{listed}");
    let public = Command::new(env!("CARGO_BIN_EXE_tickwire")).args(["conformance", "--listen", "0.0.0.0:0"]).output();
    assert_eq!(public.unwrap().status.code(), Some(2), "it is for this machine");
}
