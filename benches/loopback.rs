//! A message's whole way over real sockets: client, server, room, and back.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tickwire::class::RoomClasses;
use tickwire::client::{Client, ClientConfig, Event, Url};
use tickwire::server::Server;
use tickwire::wire::control::Mode;
use tickwire::wire::{Handle, Kind};
use tokio::runtime::{Builder, Runtime};

fn loopback(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let [websocket, tcp] = start(&runtime);
    let mut group = c.benchmark_group("bring events back to their sender");
    for (name, url) in [("TCP", format!("tcp://{tcp}")), ("WebSocket", format!("ws://{websocket}/ws"))] {
        let (mut client, room) = runtime.block_on(join(&url));
        for events in [1, 100] {
            group.throughput(Throughput::Elements(events));
            group.bench_function(format!("{events} over {name}"), |b| {
                b.iter(|| runtime.block_on(round(&mut client, room, events)));
            });
        }
    }
    group.finish();
}

/// A server whose rooms flush as soon as they have read everything, so that no tick is waited for.
fn start(runtime: &Runtime) -> [SocketAddr; 2] {
    let mut classes = RoomClasses::default();
    classes.default.period = Duration::ZERO;
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let server = Server::builder().websocket(any).tcp(any).shards(1).classes(classes);
    let server = runtime.block_on(server.bind()).unwrap();
    let addrs = [server.websocket_addr().unwrap(), server.tcp_addr().unwrap()];
    runtime.spawn(server.run(std::future::pending()));
    addrs
}

async fn join(url: &str) -> (Client, Handle) {
    let url: Url = url.parse().unwrap();
    let mut client = Client::connect(&ClientConfig::new(url)).await.unwrap();
    let membership = client.join("bench", Mode::BOTH).await.unwrap();
    (client, membership.handle)
}

/// Sends events and waits for all of them.
async fn round(client: &mut Client, room: Handle, events: u64) {
    for _ in 0..events {
        client.event(room, b"thirty-two bytes of an event ...").await.unwrap();
    }
    let mut missing = events;
    while missing > 0 {
        if let Event::Batch(batch) = client.next().await.unwrap()
            && batch.kind() == Kind::Event
        {
            missing -= batch.records().count() as u64;
        }
    }
}

criterion_group!(benches, loopback);
criterion_main!(benches);
