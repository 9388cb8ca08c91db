//! Sensors: devices that only publish, over TCP, and one dashboard that only receives.
//!
//! ```text
//! cargo run --release --example sensors [WEBSOCKET_PORT [TCP_PORT]]
//!
//! 200 devices ──value 0: "21.4"──> room ──200 latest values, once in 200 ms──> dashboard
//!                                    └──event: "alarm: member 17 at 30.2"──────────^
//! ```
//!
//! A device does not join to receive, so that a thousand devices cost one receiver's output and not a
//! million deliveries. The room checks what they say, and raises alarms.

mod serving;

use std::collections::BTreeMap;
use std::time::Duration;

use tickwire::client::{Batch, Event};
use tickwire::logic::{Context, Message, RoomLogic, Verdict};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Kind, MemberNumber, Reason, Target};

const ROOM: &str = "sensors/plant";
const DEVICES: u64 = 200;

/// In tenths of a degree.
const ALARM: i32 = 300;

const NOT_A_READING: Reason = Reason(960);

/// A device's only value: its temperature.
const TEMPERATURE: Key = Key::member(0);

#[derive(Default)]
struct Plant {
    /// Who is above the bound: an alarm is raised once.
    hot: std::collections::BTreeSet<MemberNumber>,
}

impl RoomLogic for Plant {
    fn wants_ticks(&self) -> bool {
        false
    }

    fn left(&mut self, member: MemberNumber, _reason: Reason, _room: &mut Context<'_>) {
        self.hot.remove(&member);
    }

    fn message(&mut self, from: MemberNumber, message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        match message.target {
            Target::Value(TEMPERATURE) => {}
            Target::Direct(_) => return Verdict::Relay,
            _ => return Verdict::Refuse(NOT_A_READING),
        }
        let Some(tenths) = reading(message.payload) else { return Verdict::Refuse(NOT_A_READING) };
        if tenths < ALARM {
            self.hot.remove(&from);
        } else if !self.hot.contains(&from) && room.send(alarm(from, tenths).as_bytes()).is_ok() {
            // Where the tick was full, the next reading raises it.
            self.hot.insert(from);
        }
        Verdict::Relay
    }
}

fn alarm(member: MemberNumber, tenths: i32) -> String {
    format!("alarm: member {member} at {}", degrees(tenths))
}

/// "21.4" is 214 tenths.
fn reading(payload: &[u8]) -> Option<i32> {
    let (whole, tenth) = std::str::from_utf8(payload).ok()?.split_once('.')?;
    let (whole, tenth): (i32, i32) = (whole.parse().ok()?, tenth.parse().ok()?);
    ((-99..=999).contains(&whole) && (0..=9).contains(&tenth)).then(|| whole * 10 + tenth)
}

fn degrees(tenths: i32) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[tokio::main]
async fn main() -> Result<(), serving::Failure> {
    let server = serving::builder(Duration::from_millis(200))?.logic("sensors/*", |_| Plant::default()).bind().await?;
    serving::announce(&server, ROOM, "this is refused: devices say no events")?;
    let url = serving::tcp(&server)?;
    let watching = watch(url.clone());
    tokio::spawn(async move {
        if let Err(failure) = watching.await {
            eprintln!("dashboard: {failure}");
        }
    });
    for device in 1..=DEVICES {
        let measuring = measure(url.clone(), device);
        tokio::spawn(async move {
            if let Err(failure) = measuring.await {
                eprintln!("device {device}: {failure}");
            }
        });
    }
    serving::run(server).await
}

/// A device: it publishes its temperature twice a second, and hears nothing of the others.
async fn measure(url: String, device: u64) -> Result<(), serving::Failure> {
    let mut client = serving::connect(url).await?;
    let joined = client.join(ROOM, Mode::PUBLISH).await?;
    let mut half_second = tokio::time::interval(Duration::from_millis(500));
    let mut random = device;
    let mut tenths = 200 + random as i32 % 97;
    loop {
        tokio::select! {
            _ = half_second.tick() => {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                tenths = (tenths + (random >> 33) as i32 % 11 - 5).clamp(100, 350);
                client.value(joined.handle, TEMPERATURE, degrees(tenths).as_bytes()).await?;
            }
            // Nothing comes, but pings want to be answered.
            event = client.next() => if let Event::GoingAway { .. } | Event::Closed(_) = event? {
                return Ok(());
            },
        }
    }
}

/// The dashboard: a line each second.
async fn watch(url: String) -> Result<(), serving::Failure> {
    let mut client = serving::connect(url).await?;
    client.join(ROOM, Mode::RECEIVE).await?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut table = Table::default();
    println!("devices | lowest | mean   | highest | values/s | alarms");
    loop {
        tokio::select! {
            _ = second.tick() => table.print(),
            event = client.next() => match event? {
                Event::Batch(batch) | Event::Snapshot(batch) => table.handle(&batch),
                Event::GoingAway { .. } | Event::Closed(_) => return Ok(()),
                _ => {}
            },
        }
    }
}

#[derive(Default)]
struct Table {
    readings: BTreeMap<MemberNumber, i32>,
    values: u32,
    alarms: u32,
}

impl Table {
    fn handle(&mut self, batch: &Batch) {
        for record in batch.records() {
            match (batch.kind(), reading(record.payload)) {
                (Kind::Event, _) => self.alarms += 1,
                (_, Some(tenths)) => {
                    self.values += 1;
                    self.readings.insert(record.member, tenths);
                }
                // Deleted: the device is gone.
                (_, None) => drop(self.readings.remove(&record.member)),
            }
        }
    }

    fn print(&mut self) {
        let readings = self.readings.values();
        let (Some(lowest), Some(highest)) = (readings.clone().min(), readings.clone().max()) else { return };
        let count = self.readings.len();
        let mean = readings.sum::<i32>() / i32::try_from(count).unwrap_or(i32::MAX);
        let (lowest, mean, highest) = (degrees(*lowest), degrees(mean), degrees(*highest));
        let (values, alarms) = (std::mem::take(&mut self.values), self.alarms);
        println!("{count:7} | {lowest:6} | {mean:6} | {highest:7} | {values:8} | {alarms}");
    }
}

#[cfg(test)]
mod tests {
    use tickwire::logic::{Harness, Heard};

    use super::*;

    #[test]
    fn readings_reach_the_dashboard_and_not_other_devices() {
        let mut room = Harness::new(|_| Plant::default());
        let dashboard = room.join_as("", b"", Mode::RECEIVE).unwrap();
        let devices = [(); 2].map(|()| room.join_as("", b"", Mode::PUBLISH).unwrap());
        room.tick();
        room.skip();
        room.value(devices[0], TEMPERATURE, b"20.5").unwrap();
        room.value(devices[0], TEMPERATURE, b"20.6").unwrap();
        room.tick();
        assert_eq!(room.heard(dashboard), [Heard::value(devices[0], 0, "20.6")]);
        assert_eq!(room.heard(devices[1]), []);
    }

    #[test]
    fn an_alarm_is_raised_once_until_it_is_over() {
        let mut room = Harness::new(|_| Plant::default());
        let dashboard = room.join_as("", b"", Mode::RECEIVE).unwrap();
        let device = room.join_as("", b"", Mode::PUBLISH).unwrap();
        room.tick();
        room.skip();
        for reading in ["29.9", "30.0", "31.5", "25.0", "30.1"] {
            room.value(device, TEMPERATURE, reading.as_bytes()).unwrap();
            room.tick();
        }
        let alarms: Vec<Heard> =
            room.heard(dashboard).into_iter().filter(|heard| matches!(heard, Heard::Event { .. })).collect();
        assert_eq!(alarms, [300, 301].map(|tenths| Heard::event(MemberNumber::ROOM, alarm(device, tenths))));
    }

    #[test]
    fn what_is_no_reading_is_refused() {
        let mut room = Harness::new(|_| Plant::default());
        let device = room.join_as("", b"", Mode::PUBLISH).unwrap();
        for nonsense in [&b"warm"[..], b"20", b"20.", b"20.55", b"4000.0", b"", b"\xff.1"] {
            assert_eq!(room.value(device, TEMPERATURE, nonsense), Err(NOT_A_READING));
        }
        assert_eq!(room.value(device, Key::member(1), b"20.0"), Err(NOT_A_READING));
        assert_eq!(room.value(device, Key::room(0), b"20.0"), Err(NOT_A_READING));
        assert_eq!(room.event(device, b"20.0"), Err(NOT_A_READING));
    }
}
