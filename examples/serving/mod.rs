//! What the examples share: ports from the command line, and serving until ctrl-c.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tickwire::class::{RoomClass, RoomClasses};
use tickwire::client::{Client, ClientConfig};
use tickwire::server::{Builder, Server};

/// What an example can fail with.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A server on the default ports, or on those that the arguments name (WebSocket, then TCP), whose rooms
/// all have this period.
pub(crate) fn builder(period: Duration) -> Result<Builder, Failure> {
    let mut ports = std::env::args().skip(1).map(|port| port.parse::<u16>());
    let mut address = |default| {
        let port = ports.next().transpose()?.unwrap_or(default);
        Ok::<_, Failure>(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
    };
    let (websocket, tcp) = (address(Server::WEBSOCKET_PORT)?, address(Server::TCP_PORT)?);
    let classes = RoomClasses { default: class(period), by_pattern: Vec::new() };
    Ok(Server::builder().websocket(websocket).tcp(tcp).classes(classes))
}

/// The default class with another period.
pub(crate) fn class(period: Duration) -> RoomClass {
    let mut class = RoomClass::default();
    class.period = period;
    class
}

/// Says where the server is, and how to reach `room` with the command line.
pub(crate) fn announce(server: &Server, room: &str, message: &str) -> Result<(), Failure> {
    let (websocket, tcp) = (websocket(server)?, tcp(server)?);
    println!("serving {websocket} and {tcp}");
    println!("  watch: tickwire sub {room} --url {websocket}");
    println!("  say:   tickwire pub {room} '{message}' --url {tcp}");
    println!("  (tickwire: cargo run --release --)");
    Ok(())
}

/// Serves until ctrl-c.
pub(crate) async fn run(server: Server) -> Result<(), Failure> {
    Ok(server.run(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await?)
}

/// A client of this server, over TCP.
#[allow(dead_code, reason = "some examples simulate nobody")]
pub(crate) async fn connect(url: String) -> Result<Client, Failure> {
    Ok(Client::connect(&ClientConfig::new(url.parse()?)).await?)
}

/// Where the server listens for TCP.
pub(crate) fn tcp(server: &Server) -> Result<String, Failure> {
    Ok(format!("tcp://{}", server.tcp_addr().ok_or("TCP is served")?))
}

fn websocket(server: &Server) -> Result<String, Failure> {
    Ok(format!("ws://{}/ws", server.websocket_addr().ok_or("WebSocket is served")?))
}
