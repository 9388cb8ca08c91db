//! Who obeys orders: the owner of the server under test, the relay, the witness and the tokens.
//!
//! ```text
//! control ──order──> Director ──> Stage, Relay, Witness, Issuer
//!         <─ answer ─────┘ one order after the other; between them the relay has its turns
//! ```
//!
//! What a check finds is as of its turn: a check that may hold later is asked again by the runner.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tickwire::name::RoomName;
use tickwire::server::api::{ApiError, Publication, What};
use tickwire::server::{Revoke, api};
use tickwire::wire::MemberNumber;
use tokio::sync::{mpsc, oneshot};

use super::issuer::Issuer;
use super::order::{Check, Claims, Fault, Order, Setting};
use super::relay::{Backend, Relay, Unfit};
use super::stage::{self, Stage, TOKEN_GRACE};
use super::witness::Witness;
use crate::cli::Failure;

/// Obeys.
#[derive(Debug)]
pub(super) struct Director {
    stage: Option<Stage>,
    relay: Relay,
    witness: Witness,
    issuer: Issuer,
}

/// An order, and where its answer goes.
pub(super) type Asked = (Order, oneshot::Sender<Result<Value, Refusal>>);

/// Why an order was not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A check does not hold, or not yet; or what should be done cannot be now.
    NotYet(String),
    /// It makes no sense.
    Wrong(String),
}

/// What an order comes to.
type Outcome = Result<Value, Refusal>;

/// Behind the end of a token's session, until that end has reached everybody. 250 ms.
const REACHED: Duration = Duration::from_millis(250);

impl Director {
    /// Sets the stage.
    pub(super) async fn new() -> Result<Self, Failure> {
        let (witness, issuer) = (Witness::new(), Issuer::new()?);
        let set = Stage::set(Setting::default(), &issuer, witness.ears()).await;
        let stage = set.map_err(|error| Failure::Runtime(error.to_string()))?;
        let relay = Relay::bind(stage.backend()).await;
        let relay = relay.map_err(|error| Failure::Runtime(format!("no port can be bound: {error}")))?;
        Ok(Self { stage: Some(stage), relay, witness, issuer })
    }

    /// Where clients connect to.
    pub(super) fn addrs(&self) -> Result<Backend, Failure> {
        self.relay.addrs().map_err(|error| Failure::Runtime(format!("a port is gone: {error}")))
    }

    /// Obeys until nobody asks any more.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Asked>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((order, reply)) = order else { return };
                    let outcome = self.obey(order).await;
                    // Whoever asked may have gone.
                    let _gone = reply.send(outcome);
                }
                () = self.relay.turn() => {}
                () = self.witness.hear() => {}
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Outcome {
        match order {
            Order::Reset(setting) => self.reset(setting).await?,
            Order::Fault(fault) => self.fail(fault).await?,
            Order::Restart => self.restart().await?,
            Order::KickSubject(subject) => self.kick_subject(&subject)?,
            Order::KickRoom(room) => self.kick_room(&room).await?,
            Order::Publish(room, texts) => self.publish(&room, texts.into_iter().map(String::into_bytes)).await?,
            Order::Set(room, key, text) => self.set(room, key, text).await?,
            Order::Flood(room, messages, bytes) => {
                let padded = (1..=messages).map(|number| format!("{:<bytes$}", format!("#{number}")).into_bytes());
                self.publish(&room, padded).await?;
            }
            Order::Token(claims) => return self.token(&claims),
            Order::Check(check) => self.check(check).await?,
        }
        Ok(json!({}))
    }

    async fn reset(&mut self, setting: Setting) -> Result<(), Refusal> {
        self.relay.reset().await;
        self.issuer.reset();
        if let Some(stage) = self.stage.take() {
            stage.strike().await;
        }
        // Only now: nothing of what was before is heard.
        self.witness = Witness::new();
        let set = Stage::set(setting, &self.issuer, self.witness.ears()).await;
        let stage = set.map_err(|error| Refusal::Wrong(stage::explain(&error)))?;
        self.relay.serve(stage.backend());
        self.stage = Some(stage);
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), Refusal> {
        let stage = self.stage.as_mut().ok_or_else(no_server)?;
        let restarted = stage.restart(&self.issuer, self.witness.ears()).await;
        restarted
            .map_err(|error| Refusal::Wrong(stage::explain(&error)))?
            .ok_or_else(|| Refusal::NotYet("too many servers are still going away".into()))?;
        self.relay.serve(stage.backend());
        Ok(())
    }

    async fn fail(&mut self, fault: Fault) -> Result<(), Refusal> {
        self.relay.fail(fault).await.map_err(|unfit| {
            Refusal::NotYet(match unfit {
                Unfit::NoConnection => "no connection is there".into(),
                Unfit::Late => "a client does not take what is injected".into(),
                Unfit::Answers => "too many answers wait for connections".into(),
            })
        })
    }

    fn server(&self) -> Result<&tickwire::server::Handle, Refusal> {
        self.stage.as_ref().map(Stage::server).ok_or_else(no_server)
    }

    fn kick_subject(&self, subject: &str) -> Result<(), Refusal> {
        // Tokens that are made later count: a scenario may go on.
        let kicked = self.server()?.revoke(Revoke::Subject(subject.as_bytes()), Duration::from_secs(60));
        match kicked {
            Ok(0) => Err(Refusal::NotYet(format!("{subject:?} has no session"))),
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::Wrong(error.to_string())),
        }
    }

    async fn kick_room(&self, room: &RoomName) -> Result<(), Refusal> {
        let members = self.members(room).await?;
        if members.is_empty() {
            return Err(Refusal::NotYet("the room has no members".into()));
        }
        for member in members {
            match self.server()?.kick(room, api::Whom::Member(member.number)).await {
                // It may have left meanwhile.
                Ok(_) | Err(ApiError::Refused(_)) => {}
                Err(error) => return Err(refused(&error)),
            }
        }
        Ok(())
    }

    async fn publish(&self, room: &RoomName, events: impl Iterator<Item = Vec<u8>>) -> Result<(), Refusal> {
        let event = |payload| Publication { urgent: true, ..Publication::event(room, payload) };
        let outcomes = self.server()?.publish_all(events.map(event).collect()).await;
        outcomes.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(refused(&error)))
    }

    async fn set(&self, room: RoomName, key: u64, text: Option<String>) -> Result<(), Refusal> {
        let what = text.map_or(What::Delete(key), |text| What::Value(key, text.into()));
        let set = self.server()?.publish(Publication { room, what, urgent: false }).await;
        set.map(|_| ()).map_err(|error| refused(&error))
    }

    fn token(&mut self, claims: &Claims) -> Outcome {
        let token = self.issuer.make(claims, SystemTime::now());
        let token =
            token.ok_or_else(|| Refusal::Wrong("no server reads such a token, or too many were made".into()))?;
        Ok(json!({ "token": token }))
    }

    async fn check(&mut self, check: Check) -> Result<(), Refusal> {
        match check {
            Check::Seen(room, texts) => self.check_seen(&room, &texts),
            Check::Value(room, key, text) => self.check_value(&room, key, text.as_deref()).await,
            Check::Count { room, members, away } => self.check_count(&room, members, away).await,
            Check::Outlived(tokens) => self.check_outlived(tokens),
            Check::Connections(count) => {
                let come = self.relay.visits().count();
                holds(come == count, || format!("{come} connections have come"))
            }
            Check::Waits { of, least, most } => {
                let wait = self.relay.visits().wait(of);
                let wait = wait.ok_or_else(|| Refusal::NotYet(format!("connection {} has not come", of + 1)))?;
                holds((least..=most).contains(&wait), || format!("the wait was {} ms", wait.as_millis()))
            }
            Check::Slot { early, late } => {
                let came = self.relay.visits().slot();
                let missing = || Refusal::NotYet("no slot was told, or nobody has come since".into());
                let (was_early, was_late) = came.ok_or_else(missing)?;
                let shown = || format!("{} ms early, {} ms late", was_early.as_millis(), was_late.as_millis());
                holds(was_early <= early && was_late <= late, shown)
            }
        }
    }

    fn check_seen(&mut self, room: &RoomName, texts: &[String]) -> Result<(), Refusal> {
        let events = self.witness.events(room);
        let events = events.ok_or_else(|| Refusal::Wrong("more was published than is kept".into()))?;
        let same =
            events.len() == texts.len() && events.iter().zip(texts).all(|(event, text)| **event == *text.as_bytes());
        holds(same, || {
            let shown = events.iter().take(SHOWN).map(|event| String::from_utf8_lossy(event));
            format!("{} events were seen: {}", events.len(), json!(shown.collect::<Vec<_>>()))
        })
    }

    async fn check_value(&self, room: &RoomName, key: u64, text: Option<&str>) -> Result<(), Refusal> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = match self.server()?.values(room, after, PAGE).await {
                Ok(page) => page,
                Err(ApiError::NoSuchRoom) => break,
                Err(error) => return Err(refused(&error)),
            };
            let members = page.values.into_iter().filter(|value| value.owner != MemberNumber::ROOM);
            found.extend(members.filter(|value| value.key.number() == key).map(|value| value.payload));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let same = text.map_or(found.is_empty(), |text| found.iter().any(|value| value == text));
        holds(same, || {
            let shown: Vec<_> = found.iter().take(SHOWN).map(|value| String::from_utf8_lossy(value)).collect();
            format!("members' values of the key: {}", json!(shown))
        })
    }

    async fn check_count(&self, room: &RoomName, members: usize, away: Option<usize>) -> Result<(), Refusal> {
        let all = self.members(room).await?;
        let are_away = all.iter().filter(|member| member.away).count();
        let are_here = all.len() - are_away;
        let same = are_here == members && away.is_none_or(|away| away == are_away);
        holds(same, || format!("{are_here} members are here, {are_away} away"))
    }

    fn check_outlived(&self, tokens: usize) -> Result<(), Refusal> {
        if !self.stage.as_ref().is_some_and(Stage::wants_tokens) {
            return Err(Refusal::Wrong("this server takes no tokens: reset it with \"tokens\": true".into()));
        }
        let expired = self.issuer.have_expired(tokens, TOKEN_GRACE + REACHED, SystemTime::now());
        let expired = expired.ok_or_else(|| Refusal::NotYet("so many tokens have not been made".into()))?;
        holds(expired, || "they, or their sessions, have not expired".into())
    }

    /// All members of a room; none where there is no room.
    async fn members(&self, room: &RoomName) -> Result<Vec<api::MemberView>, Refusal> {
        let mut all = Vec::new();
        let mut after = Some(MemberNumber::ROOM);
        while let Some(from) = after {
            match self.server()?.members(room, from, PAGE).await {
                Ok(page) => {
                    all.extend(page.members);
                    after = page.next;
                }
                Err(ApiError::NoSuchRoom) => break,
                Err(error) => return Err(refused(&error)),
            }
        }
        Ok(all)
    }
}

/// What is asked of a room at once.
const PAGE: usize = 1000;

/// Of what was seen instead, so much is told.
const SHOWN: usize = 20;

fn holds(it_does: bool, why_not: impl FnOnce() -> String) -> Result<(), Refusal> {
    if it_does { Ok(()) } else { Err(Refusal::NotYet(why_not())) }
}

fn refused(error: &ApiError) -> Refusal {
    match error {
        ApiError::Busy => Refusal::NotYet(error.to_string()),
        error => Refusal::Wrong(error.to_string()),
    }
}

/// The last reset has failed.
fn no_server() -> Refusal {
    Refusal::Wrong("there is no server since the last reset failed".into())
}
