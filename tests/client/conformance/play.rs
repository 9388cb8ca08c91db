//! One scenario: its steps, done with a [`Link`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tickwire::client::link::{
    Content, Events, Link, LinkConfig, LinkError, LinkEvent, LinkState, Outcome, Policy, RoomOptions, RoomState,
    SendOptions, Sent, Tokens,
};
use tickwire::client::{ClientConfig, Token};
use tickwire::wire::{Key, Target};
use tokio::time::{Instant, timeout_at};

use super::Transport;
use super::stage::{Stage, post};

/// How long what is expected may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often what makes no event is looked at.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Play<'a> {
    stage: &'a Stage,
    link: Link,
    events: Events,
    tokens: Arc<AtomicUsize>,
    states: VecDeque<(&'static str, u64)>,
    errors: VecDeque<&'static str>,
    rooms: HashMap<String, RoomQueues>,
}

#[derive(Default)]
struct RoomQueues {
    states: VecDeque<(&'static str, u64)>,
    texts: VecDeque<String>,
    outcomes: VecDeque<&'static str>,
}

impl<'a> Play<'a> {
    pub async fn run(stage: &'a Stage, scenario: &Value, transport: Transport) -> Result<(), String> {
        stage.order("/reset", &scenario["server"]).await?;
        let steps = scenario["steps"].as_array().unwrap();
        // The client is made with what the first connect says, and rooms may be joined before.
        let options = steps.iter().map(|step| &step["connect"]).find(|connect| connect.is_object());
        let tokens = Arc::new(AtomicUsize::new(0));
        let config = config(stage, transport, options.unwrap_or(&Value::Null), &tokens);
        let (link, events) = Link::new(config);
        let (states, errors, rooms) = (VecDeque::new(), VecDeque::new(), HashMap::new());
        let mut play = Self { stage, link, events, tokens, states, errors, rooms };
        for (number, step) in steps.iter().enumerate() {
            play.step(step).await.map_err(|why| format!("step {}, {step}: {why}", number + 1))?;
        }
        let _dropped = play.link.close();
        Ok(())
    }

    async fn step(&mut self, step: &Value) -> Result<(), String> {
        let (name, argument) = step.as_object().unwrap().iter().find(|(name, _)| VERBS.contains(&&name[..])).unwrap();
        let text = argument.as_str().unwrap_or_default();
        match &name[..] {
            "connect" => self.link.connect(),
            "disconnect" => self.link.disconnect(),
            "close" => drop(self.link.close()),
            "join" => {
                let options = if step["as"] == "publisher" { RoomOptions::publisher() } else { RoomOptions::default() };
                self.link.join(text, options.echo()).map_err(shown)?;
            }
            "leave" => self.room(text)?.leave(),
            "pause" => self.room(text)?.pause().await.map_err(shown)?,
            "unpause" => self.room(text)?.unpause().await.map_err(shown)?,
            "publish" => return self.publish(step, Target::Event, &argument[1]),
            "set" => return self.publish(step, Target::Value(Key::member(number(&argument[1]))), &argument[2]),
            "control" => drop(self.stage.order(text, &step["body"]).await?),
            "verify" => self.stage.verify(text, &step["body"]).await?,
            _ => return self.expect(text, step).await,
        }
        Ok(())
    }

    fn room(&self, name: &str) -> Result<tickwire::client::link::Room, String> {
        self.link.room(name).ok_or_else(|| format!("{name} is not wanted"))
    }

    fn publish(&self, step: &Value, target: Target, text: &Value) -> Result<(), String> {
        let verb = if matches!(target, Target::Event) { "publish" } else { "set" };
        let room = self.room(step[verb][0].as_str().unwrap())?;
        let mut options = SendOptions::default();
        if let Some(policy) = step["policy"].as_str() {
            options = options.policy(match policy {
                "reliable" => Policy::Reliable,
                "latest" => Policy::Latest,
                "drop" => Policy::Drop,
                other => return Err(format!("no policy: {other}")),
            });
        }
        let sent = room.publish_with(target, text.as_str().unwrap().to_owned(), options);
        match (sent, step["throws"].as_str()) {
            (Ok(Sent::Dropped), None) if options.policy != Some(Policy::Drop) => Err("it was dropped".into()),
            (Ok(_), None) => Ok(()),
            (Err(error), Some(kind)) if error.kind().name() == kind => Ok(()),
            (sent, _) => Err(format!("{sent:?}")),
        }
    }

    async fn expect(&mut self, what: &str, step: &Value) -> Result<(), String> {
        let last = Instant::now() + PATIENCE;
        loop {
            // What is here comes first.
            while let Some(Some(event)) = self.events.next().now_or_never() {
                self.take(event);
            }
            match self.look(what, step)? {
                true => return Ok(()),
                false if Instant::now() >= last => return Err(format!("instead: {}", self.seen(step))),
                false => {}
            }
            let next = last.min(Instant::now() + PAUSE);
            match timeout_at(next, self.events.next()).await {
                Ok(Some(event)) => self.take(event),
                // The end: what is expected must be here.
                Ok(None) if self.look(what, step)? => return Ok(()),
                Ok(None) => return Err(format!("the client has ended, {}", self.seen(step))),
                Err(_) => {}
            }
        }
    }

    /// Whether what is expected is here. An error where it will not be.
    fn look(&mut self, what: &str, step: &Value) -> Result<bool, String> {
        let is = step["is"].as_str().unwrap_or_default();
        let (name, reason) = (step["room"].as_str().unwrap_or_default(), step["reason"].as_u64());
        let room = self.rooms.entry(name.to_owned()).or_default();
        let has_state = |states: &mut VecDeque<(&str, u64)>| {
            std::iter::from_fn(|| states.pop_front())
                .any(|(state, why)| state == is && reason.is_none_or(|reason| reason == why))
        };
        Ok(match what {
            "state" => has_state(&mut self.states),
            "room" => has_state(&mut room.states),
            "error" => std::iter::from_fn(|| self.errors.pop_front()).any(|kind| kind == is),
            "event" => std::iter::from_fn(|| room.texts.pop_front()).any(|text| step["text"] == text[..]),
            "events" => {
                let texts = step["texts"].as_array().unwrap();
                let here = room.texts.len().min(texts.len());
                if room.texts.iter().zip(texts).any(|(found, expected)| expected != found) {
                    return Err(format!("instead: {:?}", room.texts));
                }
                if here < texts.len() {
                    return Ok(false);
                }
                room.texts.drain(..here);
                true
            }
            "outcome" => match room.outcomes.pop_front() {
                Some(outcome) if outcome == is || is == "any" => true,
                Some(outcome) => return Err(format!("instead: {outcome}")),
                None => false,
            },
            "none" if room.texts.is_empty() => true,
            "none" => return Err(format!("there are {:?}", room.texts)),
            "tokens" => self.tokens.load(Ordering::SeqCst) as u64 == number(&step["count"]),
            "members" => self.room(name)?.members().map(|members| members.len() as u64) == step["count"].as_u64(),
            "value" => {
                let values = self.room(name)?.values();
                let found = values.iter().find(|value| value.key.number() == number(&step["key"]));
                found.map(|value| &value.payload[..]) == step["text"].as_str().map(str::as_bytes)
            }
            other => return Err(format!("nothing is known of {other}")),
        })
    }

    fn seen(&self, step: &Value) -> String {
        let room = step["room"].as_str().and_then(|name| self.link.room(name));
        let known = room.map(|room| format!("{:?} {:?} {:?}", room.state(), room.values(), room.members()));
        let queues: Vec<_> = self.rooms.iter().map(|(name, room)| (name, room.texts.len(), &room.outcomes)).collect();
        format!("{:?} {} {queues:?}", self.link.state(), known.unwrap_or_default())
    }

    fn take(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::State(changed) => {
                let state = match changed.after {
                    LinkState::Disconnected => "disconnected",
                    LinkState::Connecting => "connecting",
                    LinkState::Connected => "connected",
                    LinkState::Closed => "closed",
                };
                self.states.push_back((state, changed.reason.0));
            }
            LinkEvent::Room(room, changed) => {
                let state = match changed.after {
                    RoomState::Left => "left",
                    RoomState::Joining => "joining",
                    RoomState::Joined => "joined",
                };
                self.queues(room.as_str()).states.push_back((state, changed.reason.0));
            }
            LinkEvent::Message(message) if message.content == Content::Event => {
                let text = String::from_utf8_lossy(&message.payload).into_owned();
                self.queues(message.room.as_str()).texts.push_back(text);
            }
            LinkEvent::Outcome(room, outcome) => {
                let outcome = match outcome {
                    Outcome::Recovered => "recovered",
                    Outcome::Gap(..) => "gap",
                    Outcome::Snapshot => "snapshot",
                };
                self.queues(room.as_str()).outcomes.push_back(outcome);
            }
            LinkEvent::Error(error) => self.errors.push_back(error.kind().name()),
            _ => {}
        }
    }

    fn queues(&mut self, room: &str) -> &mut RoomQueues {
        self.rooms.entry(room.to_owned()).or_default()
    }
}

/// What a step can say to do.
const VERBS: [&str; 12] = [
    "expect",
    "connect",
    "disconnect",
    "close",
    "join",
    "leave",
    "pause",
    "unpause",
    "publish",
    "set",
    "control",
    "verify",
];

fn shown(error: LinkError) -> String {
    error.to_string()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn config(stage: &Stage, transport: Transport, options: &Value, asked: &Arc<AtomicUsize>) -> LinkConfig {
    let mut config = LinkConfig::new(ClientConfig::new(stage.url(transport).parse().unwrap()));
    if let Some(messages) = options["queue_messages"].as_u64() {
        config = config.queue(usize::try_from(messages).unwrap(), 256 * 1024);
    }
    let Some(tokens) = options["tokens"].as_array() else { return config };
    let (tokens, asked, control) = (tokens.clone(), Arc::clone(asked), stage.control());
    config.tokens(Tokens::new(move || {
        let count = asked.fetch_add(1, Ordering::SeqCst);
        let (wanted, control) = (tokens[count.min(tokens.len() - 1)].clone(), control.clone());
        async move {
            if wanted.is_null() {
                return Ok(None);
            }
            let (status, answer) = post(&control, "/token", &wanted).await?;
            let token = answer["token"].as_str().ok_or_else(|| json!([status, answer]).to_string())?;
            Ok(Some(Token::new(token.to_owned())))
        }
    }))
}
