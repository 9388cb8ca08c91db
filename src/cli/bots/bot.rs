//! One bot: a connection that is made again when it ends, and a dot.

use std::rc::Rc;
use std::time::Duration;

use tickwire::client::{Client, ClientConfig, Comeback, Error, Event, Membership};
use tickwire::server::page::message::{self, IS_BOT, PLACE};
use tickwire::wire::control::Mode;
use tickwire::wire::{Advice, Key, Reason};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};

use super::Tally;
use super::dot::{Dot, Whim};
use crate::cli::output;

/// The shortest time between two moves. 20 ms: a room that sends at once needs no more.
const SHORTEST: Duration = Duration::from_millis(20);

/// The longest time between two moves. 250 ms: slower, it would not look as if it moved.
const LONGEST: Duration = Duration::from_millis(250);

/// One bot.
pub(super) struct Bot {
    config: ClientConfig,
    room: String,
    dot: Dot,
    tally: Rc<Tally>,
    connecting: Rc<Semaphore>,
    comeback: Comeback,
}

/// How a stay in the room ended.
enum Ended {
    /// As the comeback has been told.
    Told,
    /// The server will have none of it.
    Unwanted(Reason),
}

impl Bot {
    pub(super) fn new(
        number: u16,
        config: ClientConfig,
        room: String,
        tally: Rc<Tally>,
        connecting: Rc<Semaphore>,
    ) -> Self {
        let dot = Dot::new(u64::from(number) + 1);
        Self { config, room, dot, tally, connecting, comeback: Comeback::default() }
    }

    /// Plays until the server wants it no more.
    pub(super) async fn run(mut self) {
        loop {
            match self.stay().await {
                Ok(Ended::Told) => {}
                Ok(Ended::Unwanted(reason)) => {
                    self.tally.trouble.replace(Some(reason.to_string()));
                    return;
                }
                Err(error) => {
                    self.tally.trouble.replace(Some(output::error(&error)));
                    self.comeback.handle_error(&error);
                }
            }
            if !self.comeback.wait().await {
                return;
            }
            self.tally.reconnects.set(self.tally.reconnects.get() + 1);
        }
    }

    /// One connection from its beginning to its end.
    async fn stay(&mut self) -> Result<Ended, Error> {
        let connecting = Rc::clone(&self.connecting);
        // The semaphore is never closed.
        let turn = connecting.acquire().await.map_err(|_| Error::Ended)?;
        let mut client = Client::connect(&self.config).await?;
        let membership = match client.join(&self.room, Mode::PUBLISH).await {
            Ok(membership) => membership,
            Err(Error::Refused(refusal)) if refusal.reason.advice() == Advice::Never => {
                return Ok(Ended::Unwanted(refusal.reason));
            }
            Err(error) => return Err(error),
        };
        drop(turn);
        self.comeback.handle_connected();
        self.tally.trouble.take();
        let _here = Here::new(Rc::clone(&self.tally));
        self.play(client, &membership).await
    }

    async fn play(&mut self, mut client: Client, membership: &Membership) -> Result<Ended, Error> {
        let period = Duration::from_micros(membership.period).clamp(SHORTEST, LONGEST);
        let mut moves = tokio::time::interval(period);
        // Where the machine was busy, nobody wants the moves of then.
        moves.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut before = Instant::now();
        loop {
            tokio::select! {
                _ = moves.tick() => {
                    let now = Instant::now();
                    // A machine that slept makes no leaps.
                    let passed = (now - before).min(LONGEST).as_secs_f32();
                    before = now;
                    self.step(&mut client, membership, passed).await?;
                }
                event = client.next() => match event? {
                    Event::Left { reason, .. } if reason.advice() == Advice::Never => return Ok(Ended::Unwanted(reason)),
                    Event::Left { reason, .. } => {
                        self.comeback.handle_error(&Error::Ended);
                        self.tally.trouble.replace(Some(reason.to_string()));
                        return Ok(Ended::Told);
                    }
                    Event::Refused(_) => self.tally.refused.set(self.tally.refused.get() + 1),
                    event if self.comeback.handle_event(&event) => return Ok(Ended::Told),
                    _ => {}
                },
            }
        }
    }

    async fn step(&mut self, client: &mut Client, membership: &Membership, passed: f32) -> Result<(), Error> {
        self.dot.advance(passed);
        let place = self.dot.place();
        client.value(membership.handle, Key::member(PLACE), &place.value(IS_BOT)).await?;
        self.tally.moves.set(self.tally.moves.get() + 1);
        match self.dot.whim(passed) {
            Some(Whim::Shot) => {
                client.event(membership.handle, &place.shot()).await?;
                self.tally.shots.set(self.tally.shots.get() + 1);
            }
            Some(Whim::Text(text)) => {
                if let Some(said) = message::text(text) {
                    client.event(membership.handle, &said).await?;
                    self.tally.texts.set(self.tally.texts.get() + 1);
                }
            }
            None => {}
        }
        Ok(())
    }
}

/// Counts a bot as here for as long as it is.
struct Here(Rc<Tally>);

impl Here {
    fn new(tally: Rc<Tally>) -> Self {
        tally.here.set(tally.here.get() + 1);
        Self(tally)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.here.set(self.0.here.get() - 1);
    }
}
