//! `tickwire pub`: messages into a room, and the certainty that they got there.
//!
//! A room refuses some messages only when it handles them. Accepted messages are in a batch of it, and those that
//! were refused are told before (PROTOCOL 12.3). Behind the last one goes a direct to ourselves: it comes back after the
//! batch has left (PROTOCOL 8.6), so that a value was seen before it goes with this member.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use clap::Args;
use futures_util::FutureExt;
use tickwire::client::Url;
use tickwire::client::link::{
    Changed, Content, Events, Link, LinkConfig, LinkError, LinkEvent, LinkState, Message, MessageId, Policy, Room,
    RoomOptions, RoomState, SendOptions, Sent,
};
use tickwire::wire::{Key, Target};
use tokio::sync::mpsc;

use super::reach::ReachArguments;
use super::sub::DEFAULT_URL;
use super::{Failure, no_connection, output, run_until_interrupted};

/// What to publish, and how.
#[derive(Debug, Args)]
pub(crate) struct PubArguments {
    /// The room
    room: String,
    /// The message; - or nothing for the lines of standard input
    message: Option<String>,
    /// Set a value with this key instead; it goes when this command ends, unless --room-value
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(..1_u64 << 52))]
    key: Option<u64>,
    /// The value belongs to the room, and stays; an empty message deletes it
    #[arg(long, requires = "key")]
    room_value: bool,
    /// Flush the room at once
    #[arg(long)]
    urgent: bool,
    /// Let messages wait so many milliseconds for others, to leave in one write
    #[arg(long, value_name = "MS", conflicts_with = "urgent", value_parser = clap::value_parser!(u64).range(1..=1000))]
    gather: Option<u64>,
    /// The server: ws://host:port/ws or tcp://host:port
    #[arg(long, default_value = DEFAULT_URL)]
    url: Url,
    #[command(flatten)]
    reach: ReachArguments,
}

/// Messages sent before it is awaited that they arrived. 48: below the refusals a session may
/// meet at once, should all of them be refused.
const WINDOW_MESSAGES: usize = 48;

/// Bytes sent before it is awaited that they arrived. 32 KiB: a quarter of what a room gathers.
const WINDOW_BYTES: usize = 32 * 1024;

/// Publishes, and returns when everything was in a batch.
pub(crate) fn run(arguments: PubArguments) -> Result<(), Failure> {
    run_until_interrupted(publish(arguments))
}

async fn publish(arguments: PubArguments) -> Result<(), Failure> {
    let mut config = arguments.reach.config(&arguments.url)?;
    config.gather = arguments.gather.map(Duration::from_millis);
    let (link, events) = Link::new(LinkConfig::new(config));
    let shown = output::escaped(arguments.room.as_bytes());
    let joined = link.join(&arguments.room, RoomOptions::publisher());
    let room = joined.map_err(|error| Failure::Runtime(format!("{shown}: {error}")))?;
    link.connect();
    let target = match arguments.key {
        None => Target::Event,
        Some(key) if arguments.room_value => Target::Value(Key::room(key)),
        Some(key) => Target::Value(Key::member(key)),
    };
    // Every line is published, also of a value of which only the last one stays.
    let options = SendOptions::default().policy(Policy::Reliable);
    let options = if arguments.urgent { options.urgent() } else { options };
    let watch = Watch { url: arguments.url, events, has_connected: false, last: None };
    let mut window = Window { link, room, watch, target, options, messages: 0, bytes: 0 };
    let room = window.room.clone();
    window.watch.during(room.joined()).await?.map_err(lost)?;
    match arguments.message.as_deref() {
        Some(message) if message != "-" => window.send(message.as_bytes()).await?,
        _ => window.send_lines().await?,
    }
    window.finish().await?;
    let _none_waits = window.link.close();
    while window.watch.events.next().await.is_some() {}
    Ok(())
}

/// Messages on their way, of which it is not known yet that they arrived.
struct Window {
    link: Link,
    room: Room,
    watch: Watch,
    target: Target,
    options: SendOptions,
    messages: usize,
    bytes: usize,
}

impl Window {
    async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        if self.messages >= WINDOW_MESSAGES || (self.messages > 0 && self.bytes + payload.len() > WINDOW_BYTES) {
            self.settle().await?;
        }
        let _sent = self.room.publish_with(self.target, payload.to_vec(), self.options).map_err(lost)?;
        self.messages += 1;
        self.bytes += payload.len();
        Ok(())
    }

    /// Sends the lines of standard input.
    async fn send_lines(&mut self) -> Result<(), Failure> {
        let mut lines = read_lines(self.link.max_message());
        loop {
            match self.watch.during(lines.recv()).await? {
                Some(Ok(line)) => self.send(&line).await?,
                Some(Err(error)) => return Err(Failure::Runtime(format!("standard input: {error}"))),
                None => return Ok(()),
            }
        }
    }

    /// Waits until the room has handled everything.
    async fn settle(&mut self) -> Result<(), Failure> {
        self.watch.during(self.link.settled()).await?.map_err(lost)?;
        // A refusal is told before what it settles.
        self.watch.look()?;
        (self.messages, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Window {
    /// Waits until the last batch has left.
    async fn finish(&mut self) -> Result<(), Failure> {
        self.settle().await?;
        let membership = self.watch.during(self.room.joined()).await?.map_err(lost)?;
        let sent = self.room.publish_with(Target::Direct(membership.member), Vec::new(), self.options).map_err(lost)?;
        let Sent::Queued(id) = sent else { return Ok(()) };
        self.watch.last = Some(id);
        while self.watch.last.is_some() {
            self.watch.next().await?;
        }
        Ok(())
    }
}

fn lost(error: LinkError) -> Failure {
    Failure::Runtime(error.to_string())
}

/// What is heard meanwhile.
struct Watch {
    url: Url,
    events: Events,
    has_connected: bool,
    /// A direct to ourselves that has not come back.
    last: Option<MessageId>,
}

impl Watch {
    /// Waits for what happens next.
    async fn next(&mut self) -> Result<(), Failure> {
        match self.events.next().await {
            Some(event) => self.handle_event(event),
            None => Err(Failure::Runtime("the session has ended".into())),
        }
    }

    /// Waits for this, and hears what happens meanwhile.
    async fn during<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Failure> {
        let mut what = std::pin::pin!(what);
        loop {
            tokio::select! {
                biased;
                event = self.next() => event?,
                done = &mut what => return Ok(done),
            }
        }
    }

    /// Hears what has happened.
    fn look(&mut self) -> Result<(), Failure> {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            self.handle_event(event)?;
        }
        Ok(())
    }

    /// What ends the command.
    fn handle_event(&mut self, event: LinkEvent) -> Result<(), Failure> {
        let failure = match event {
            LinkEvent::Message(Message { content: Content::Direct(_), .. }) => {
                self.last = None;
                return Ok(());
            }
            // A room that does not take directs has handled what came before all the same.
            LinkEvent::Refused(refused) if self.last == Some(refused.id) => {
                self.last = None;
                return Ok(());
            }
            LinkEvent::Refused(refused) => {
                let says = if refused.text.is_empty() { String::new() } else { format!(" It says: {}", refused.text) };
                format!("message {} was refused: {}{says}", refused.id.0, refused.reason)
            }
            LinkEvent::Unconfirmed(messages) => {
                format!("the session was lost, and {} messages may have arrived or not", messages.len())
            }
            LinkEvent::Error(LinkError::Connect(error)) if !self.has_connected => {
                return Err(no_connection(&self.url, &error));
            }
            LinkEvent::Error(error @ LinkError::TooLarge { .. }) => error.to_string(),
            LinkEvent::Room(room, Changed { after: RoomState::Left, reason, text, .. }) => {
                let says =
                    if text.is_empty() || text == reason.sentence() { String::new() } else { format!(" {text}") };
                format!("{room}: {reason}{says}")
            }
            LinkEvent::State(Changed { after: LinkState::Closed, text, .. }) => {
                format!("the session has ended: {text}")
            }
            LinkEvent::State(Changed { after: LinkState::Connecting, text, .. }) if self.has_connected => {
                eprintln!("tickwire: the connection was lost, and is tried again: {text}");
                return Ok(());
            }
            LinkEvent::State(Changed { after: LinkState::Connected, .. }) => {
                if std::mem::replace(&mut self.has_connected, true) {
                    eprintln!("tickwire: connected again");
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        Err(Failure::Runtime(failure))
    }
}

/// Reads lines on a thread of its own: standard input cannot be awaited, and a blocked read must
/// not keep the command from ending.
fn read_lines(limit: usize) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    // A few lines ahead; the pipe holds the rest.
    let (lines, received) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = next_line(&mut input, limit).transpose() {
            let failed = line.is_err();
            if lines.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    received
}

/// The next line, without its end; `None` after the last. A line above `limit` is an error: it
/// would be refused, and must not fill the memory.
fn next_line(input: &mut impl BufRead, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    // The end of the line may come on top, as one byte or two.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(2);
    if input.take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > limit {
        let what = format!("a line has more bytes than a message may, {limit}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_without_their_ends_and_bounded() {
        let mut input = &b"a\r\n\nbcd\nlast"[..];
        let mut next = || next_line(&mut input, 4).unwrap();
        assert_eq!(next().unwrap(), b"a");
        assert_eq!(next().unwrap(), b"");
        assert_eq!(next().unwrap(), b"bcd");
        assert_eq!(next().unwrap(), b"last");
        assert_eq!(next(), None);
        assert!(next_line(&mut &b"12345\n"[..], 4).is_err());
        assert!(next_line(&mut &vec![b'x'; 100][..], 4).is_err());
        assert_eq!(next_line(&mut &b"1234\r\n"[..], 4).unwrap().unwrap(), b"1234");
    }
}
