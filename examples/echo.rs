//! The smallest logic: whatever a member says comes back to that member, and to nobody else.
//!
//! ```text
//! cargo run --release --example echo [WEBSOCKET_PORT [TCP_PORT]]
//! ```
//!
//! An event is swallowed, and returned as a direct. A request (a direct to member 0) is answered, and the
//! answer names the request it belongs to.

mod serving;

use std::time::Duration;

use tickwire::client::Event;
use tickwire::logic::{Asked, Context, Message, RoomLogic, Verdict};
use tickwire::wire::control::Mode;
use tickwire::wire::{MemberNumber, Reason, Target};

struct Echo;

impl RoomLogic for Echo {
    fn message(&mut self, from: MemberNumber, message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        match message.target {
            // It has somebody to go to already.
            Target::Direct(_) => Verdict::Relay,
            Target::Event | Target::Value(_) => {
                room.direct(from, message.payload).map_or_else(Verdict::Refuse, |()| Verdict::Swallow)
            }
        }
    }

    fn request(&mut self, asked: Asked, payload: &[u8], room: &mut Context<'_>) -> Result<(), Reason> {
        room.answer(asked, payload)
    }
}

#[tokio::main]
async fn main() -> Result<(), serving::Failure> {
    // A period of 0: an echo should not wait for a tick.
    let server = serving::builder(Duration::ZERO)?.logic("echo", |_| Echo).bind().await?;
    serving::announce(&server, "echo", "hello")?;
    let shout = shout(serving::tcp(&server)?);
    tokio::spawn(async move {
        if let Err(failure) = shout.await {
            eprintln!("the simulated client: {failure}");
        }
    });
    serving::run(server).await
}

/// A client that asks the room something once a second.
async fn shout(url: String) -> Result<(), serving::Failure> {
    let mut client = serving::connect(url).await?;
    let joined = client.join("echo", Mode::BOTH).await?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut asked = std::collections::HashMap::new();
    loop {
        tokio::select! {
            _ = second.tick() => {
                let number = client.direct(joined.handle, MemberNumber::ROOM, b"is anybody there?").await?;
                asked.insert(number, std::time::SystemTime::now());
            }
            event = client.next() => match event? {
                Event::Direct(batch) => {
                    for record in batch.records() {
                        let answers = record.key.unwrap_or_default();
                        let waited = asked.remove(&answers).and_then(|asked| asked.elapsed().ok()).unwrap_or_default();
                        let text = String::from_utf8_lossy(record.payload);
                        println!("request {answers} came back after {} us: {text}", waited.as_micros());
                    }
                }
                Event::GoingAway { .. } | Event::Closed(_) => return Ok(()),
                _ => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tickwire::logic::{Harness, Heard};

    use super::*;

    #[test]
    fn an_echo_reaches_its_sender_alone() {
        let mut room = Harness::new(|_| Echo);
        let (anna, bert) = (room.join("anna", b"").unwrap(), room.join("bert", b"").unwrap());
        room.tick();
        room.skip();
        room.event(anna, b"hello").unwrap();
        let request = room.request(anna, b"and you?").unwrap();
        room.tick();
        let echoes = [Heard::direct(MemberNumber::ROOM, "hello"), Heard::answer(request, "and you?")];
        assert_eq!(room.heard(anna), echoes);
        assert_eq!(room.heard(bert), []);
    }
}
