//! `tickwire conformance`: a real server behind a relay that can misbehave, for clients to prove themselves against.
//!
//! ```text
//! runner ──steps──> client ──ws or tcp──> Relay ──> Stage: the server
//!    └──HTTP──> control ──orders──> Director ──┴──────┘      Witness, Issuer
//! ```
//!
//! `clients/conformance/README.md` says what it does.

mod answer;
mod control;
mod director;
mod framing;
mod issuer;
mod line;
mod order;
mod relay;
mod script;
mod stage;
#[cfg(test)]
mod tests;
mod visits;
mod witness;

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use self::director::Director;
use super::{Failure, serve};

/// Where runners find it.
#[derive(Debug, Args)]
pub(crate) struct ConformanceArguments {
    /// The address of the control port, on this machine; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    listen: SocketAddr,
    /// Print the names of the scenarios
    #[arg(long)]
    list: bool,
}

/// Orders that wait. 64: one for each connection of a runner.
const ORDERS: usize = 64;

/// Serves until standard input ends, or a signal.
pub(crate) fn run(arguments: &ConformanceArguments) -> Result<(), Failure> {
    if arguments.list {
        let mut out = io::stdout().lock();
        return script::names().iter().try_for_each(|name| writeln!(out, "{name}")).map_err(Failure::from);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(format!("the runtime does not start: {error}")))?;
    runtime.block_on(conduct(arguments.listen))
}

async fn conduct(listen: SocketAddr) -> Result<(), Failure> {
    let mut signals =
        serve::Signals::new().map_err(|error| Failure::Runtime(format!("signals cannot be caught: {error}")))?;
    let director = Director::new().await?;
    let clients = director.addrs()?;
    let listener = TcpListener::bind(listen).await;
    let listener =
        listener.map_err(|error| Failure::Runtime(format!("{listen} cannot be bound: {error} (--listen)")))?;
    let line = json!({
        "websocket": format!("ws://{}/ws", clients.websocket),
        "tcp": format!("tcp://{}", clients.tcp),
        "control": format!("http://{}", listener.local_addr()?),
    });
    writeln!(io::stdout(), "{line}")?;
    io::stdout().flush()?;
    let (orders, received) = mpsc::channel(ORDERS);
    tokio::select! {
        () = director.run(received) => {}
        () = control::serve(listener, orders) => {}
        () = input_ends() => {}
        () = signals.next() => {}
    }
    Ok(())
}

/// Reads standard input to its end, on a thread of its own: it cannot be awaited.
async fn input_ends() {
    let (ended, end) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ended = ended;
        let mut bytes = [0; 4096];
        while let Ok(1..) = io::stdin().read(&mut bytes) {}
    });
    // Nobody sends: it is dropped.
    let _dropped = end.await;
}

/// Reads an address of this machine: whoever reaches the control port commands the server.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let addr = text.parse().ok().filter(|addr: &SocketAddr| addr.ip().is_loopback());
    addr.ok_or_else(|| "write an address of this machine, such as 127.0.0.1:0".into())
}
