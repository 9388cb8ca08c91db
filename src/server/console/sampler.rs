//! Looks at the server once a second while somebody watches.
//!
//! ```text
//! nobody ──a member joins──> look, publish, wait a second ──the last has left──> nobody
//! ```

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::rooms::TopRooms;
use super::{ABOUT, EVERY, Feed, KEPT, NOW, POINTS, ROOMS};
use crate::server::Handle;
use crate::server::observe::Figures;

/// The task that looks. Dropping it stops it.
#[derive(Debug)]
pub(in crate::server) struct Sampler(JoinHandle<()>);

impl Drop for Sampler {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Looks at a server until what is returned is dropped.
pub(in crate::server) fn start(feed: Feed, server: Handle) -> Sampler {
    Sampler(tokio::spawn(run(feed, server)))
}

async fn run(feed: Feed, server: Handle) {
    let mut watchers = feed.watchers();
    let mut looks = Looks::default();
    while watchers.wait_for(|watchers| *watchers > 0).await.is_ok() {
        // A look that is late is not made up for: two at once tell the same.
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.before = None;
        looks.rooms.forget();
        while *watchers.borrow() > 0 {
            clock.tick().await;
            feed.publish(looks.look(&server).await);
        }
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Looks {
    /// Points so far.
    points: u64,
    /// The last look; none where nobody has looked for long.
    before: Option<Figures>,
    rooms: TopRooms,
}

impl Looks {
    async fn look(&mut self, server: &Handle) -> super::feed::Published {
        let figures = Figures::take(server).await;
        let wall_ms = server.surroundings().facts.wall.saturating_add(micros(&figures)) / 1000;
        let first = self.before.is_none();
        let mut values = Vec::with_capacity(4);
        if first {
            values.push((ABOUT, text(about(server))));
        }
        let mut now = figures.now(self.before.as_ref());
        now.insert("wall_ms".into(), json!(wall_ms));
        values.push((NOW, text(now)));
        if let Some(mut point) = self.before.as_ref().and_then(|before| figures.point(before)) {
            point.insert("n".into(), json!(self.points));
            point.insert("wall_ms".into(), json!(wall_ms));
            values.push((POINTS + self.points % KEPT, text(point)));
            self.points += 1;
        }
        let most = server.surroundings().facts.limits.max_message;
        if let Some(rooms) = self.rooms.look(server, most).await {
            values.push((ROOMS, rooms));
        }
        self.before = Some(figures);
        Arc::from(values)
    }
}

fn micros(figures: &Figures) -> u64 {
    crate::time::micros(figures.uptime())
}

/// What does not change while the server runs.
fn about(server: &Handle) -> Map<String, Value> {
    let surroundings = server.surroundings();
    let limits = &surroundings.facts.limits;
    let pairs = [
        ("feed", json!(1)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("every_ms", json!(EVERY.as_millis() as u64)),
        ("points", json!(POINTS)),
        ("kept", json!(KEPT)),
        ("max_connections", json!(limits.max_connections)),
        ("outbox_bytes", json!(limits.outbox_bytes)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(object: Map<String, Value>) -> Bytes {
    Value::Object(object).to_string().into()
}
