//! A market: quotes are values, trades are events. Two simulated traders and a line a second show it.
//!
//! ```text
//! cargo run --release --example ticker [WEBSOCKET_PORT [TCP_PORT]]
//!
//! an event "BUY ACME 10"    becomes the event "BUY ACME 10 @ 101.25" in the trader's name, or is refused
//! value n of the room       the quote of symbol n: "ACME 101.25". Only the latest counts, so a slow
//!                           receiver may miss some, and never sees an old one after a new one
//! a request "symbols"       is answered with their names
//! ```

mod serving;

use std::time::Duration;

use tickwire::client::Event;
use tickwire::logic::{Asked, Context, Message, RoomLogic, Tick, Verdict};
use tickwire::wire::control::Mode;
use tickwire::wire::{Kind, MemberNumber, Reason, Target};

const SYMBOLS: [&str; 6] = ["ACME", "BOLT", "CROW", "DUNE", "ECHO", "FERN"];

/// An order that cannot be read. From 960: a client should not try the same again.
const NOT_AN_ORDER: Reason = Reason(960);

struct Market {
    /// In cents.
    quotes: [u32; SYMBOLS.len()],
    /// How much the orders of this tick have moved each, in cents.
    pressure: [i32; SYMBOLS.len()],
    random: u64,
}

impl Market {
    fn new(seed: u64) -> Self {
        Self { quotes: [10_000; SYMBOLS.len()], pressure: [0; SYMBOLS.len()], random: seed }
    }

    /// -1, 0 or 1.
    fn step(&mut self) -> i32 {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        i32::from(self.random >> 33 & 1 == 1) - i32::from(self.random >> 34 & 1 == 1)
    }

    /// What an order becomes at the present quote.
    fn trade(&mut self, order: &[u8]) -> Result<String, Reason> {
        let text = std::str::from_utf8(order).map_err(|_| NOT_AN_ORDER)?;
        let [side, symbol, amount] = text.split(' ').collect::<Vec<_>>()[..] else { return Err(NOT_AN_ORDER) };
        let index = SYMBOLS.iter().position(|name| *name == symbol).ok_or(NOT_AN_ORDER)?;
        let amount: u16 = amount.parse().map_err(|_| NOT_AN_ORDER)?;
        let moves = i32::from(amount / 10);
        match side {
            "BUY" => self.pressure[index] = self.pressure[index].saturating_add(moves),
            "SELL" => self.pressure[index] = self.pressure[index].saturating_sub(moves),
            _ => return Err(NOT_AN_ORDER),
        }
        Ok(format!("{text} @ {}", price(self.quotes[index])))
    }
}

fn price(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

impl RoomLogic for Market {
    fn message(&mut self, _from: MemberNumber, message: &Message<'_>, _room: &mut Context<'_>) -> Verdict {
        match message.target {
            Target::Event => self
                .trade(message.payload)
                .map_or_else(Verdict::Refuse, |trade| Verdict::Change(trade.into_bytes().into())),
            Target::Direct(_) => Verdict::Relay,
            // Quotes are the room's to set.
            Target::Value(_) => Verdict::Refuse(Reason::NOT_ALLOWED),
        }
    }

    fn request(&mut self, asked: Asked, payload: &[u8], room: &mut Context<'_>) -> Result<(), Reason> {
        match payload {
            b"symbols" => room.answer(asked, SYMBOLS.join(" ").as_bytes()),
            _ => Err(Reason::ARGUMENT),
        }
    }

    fn flush(&mut self, _tick: Tick, room: &mut Context<'_>) {
        for (index, symbol) in SYMBOLS.iter().enumerate() {
            let moves = self.step() + std::mem::take(&mut self.pressure[index]);
            let quote = self.quotes[index].saturating_add_signed(moves).clamp(100, 1_000_000);
            if quote != self.quotes[index] || room.tick() < 2 {
                self.quotes[index] = quote;
                // Refused only where the tick is full of others' messages: the next one sets it.
                let _full = room.set(index as u64, format!("{symbol} {}", price(quote)).as_bytes());
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), serving::Failure> {
    let market = |name: &tickwire::name::RoomName| Market::new(name.as_str().len() as u64);
    let server = serving::builder(Duration::from_millis(100))?.logic("market/*", market).bind().await?;
    serving::announce(&server, "market/main", "BUY ACME 100")?;
    for trader in 1..=2 {
        let trading = trade(serving::tcp(&server)?, trader);
        tokio::spawn(async move {
            if let Err(failure) = trading.await {
                eprintln!("trader {trader}: {failure}");
            }
        });
    }
    serving::run(server).await
}

/// A client that trades now and then; the first one also prints what it sees.
async fn trade(url: String, trader: u64) -> Result<(), serving::Failure> {
    let mut client = serving::connect(url).await?;
    let joined = client.join("market/main", Mode::BOTH).await?;
    let mut next = tokio::time::interval(Duration::from_millis(700 * trader));
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let (mut quotes, mut trades, mut turn) = (std::collections::BTreeMap::new(), 0, trader as usize);
    loop {
        tokio::select! {
            _ = next.tick() => {
                turn += 1;
                let (side, symbol) = (["BUY", "SELL"][turn % 2], SYMBOLS[turn * 7 % SYMBOLS.len()]);
                client.event(joined.handle, format!("{side} {symbol} {}", turn % 5 * 20).as_bytes()).await?;
            }
            _ = second.tick(), if trader == 1 => {
                let line: Vec<String> = quotes.values().cloned().collect();
                println!("{trades:3} trades | {}", line.join(" | "));
            }
            event = client.next() => match event? {
                Event::Batch(batch) | Event::Snapshot(batch) => {
                    for record in batch.records() {
                        match record.key {
                            Some(key) => {
                                quotes.insert(key, String::from_utf8_lossy(record.payload).into_owned());
                            }
                            None if batch.kind() == Kind::Event => trades += 1,
                            None => {}
                        }
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
    use tickwire::wire::Key;

    use super::*;

    #[test]
    fn an_order_becomes_a_trade_at_the_quote() {
        let mut room = Harness::new(|_| Market::new(1));
        let anna = room.join("anna", b"").unwrap();
        room.event(anna, b"BUY ACME 10").unwrap();
        room.tick();
        assert!(room.heard(anna).contains(&Heard::event(anna, "BUY ACME 10 @ 100.00")));
        for order in ["BUY NONE 10", "HOLD ACME 10", "BUY ACME", "BUY ACME 99999"] {
            assert_eq!(room.event(anna, order.as_bytes()), Err(NOT_AN_ORDER));
        }
        assert_eq!(room.value(anna, Key::room(0), b"ACME 0.01"), Err(Reason::NOT_ALLOWED));
    }

    #[test]
    fn orders_move_quotes_and_newcomers_get_the_latest() {
        let mut room = Harness::new(|_| Market::new(1));
        let anna = room.join("anna", b"").unwrap();
        room.tick();
        room.event(anna, b"BUY ACME 10000").unwrap();
        room.tick();
        let bert = room.join("bert", b"").unwrap();
        let Heard::Snapshot(quotes) = room.heard(bert).swap_remove(1) else { panic!("a snapshot") };
        assert_eq!(quotes.len(), SYMBOLS.len());
        let acme = String::from_utf8(quotes[0].2.clone()).unwrap();
        assert!(acme.starts_with("ACME 109.9") || acme.starts_with("ACME 110.0"), "{acme}");
        let request = room.request(bert, b"symbols").unwrap();
        room.tick();
        assert!(room.heard(bert).contains(&Heard::answer(request, "ACME BOLT CROW DUNE ECHO FERN")));
    }
}
