//! `tickwire pub`: messages into a room, and the certainty that they got there.
//!
//! A room refuses some messages only when it handles them, so the answer to a ping is not enough.
//! Behind the messages goes a direct to ourselves: it comes back after the batch in which they
//! left, and after every refusal (PROTOCOL 8.6).

use std::io::{self, BufRead, Read};
use std::time::Duration;

use clap::Args;
use tickwire::client::{Client, Event, Membership, Timing, Url};
use tickwire::wire::control::Mode;
use tickwire::wire::{Key, Target};
use tokio::sync::mpsc;

use super::reach::ReachArguments;
use super::sub::DEFAULT_URL;
use super::{Failure, connect, output, run_until_interrupted};

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
    let mut client = connect(&config).await?;
    let shown = output::escaped(arguments.room.as_bytes());
    let joined = client.join(&arguments.room, Mode::PUBLISH).await;
    let membership = joined.map_err(|error| Failure::Runtime(format!("{shown}: {}", output::error(&error))))?;
    let target = match arguments.key {
        None => Target::Event,
        Some(key) if arguments.room_value => Target::Value(Key::room(key)),
        Some(key) => Target::Value(Key::member(key)),
    };
    let timing = if arguments.urgent { Timing::Urgent } else { Timing::Tick };
    let mut window = Window { client, membership, target, timing, messages: 0, bytes: 0 };
    match arguments.message.as_deref() {
        Some(message) if message != "-" => window.send(message.as_bytes()).await?,
        _ => window.send_lines().await?,
    }
    window.settle().await?;
    window.client.close().await?;
    Ok(())
}

/// Messages on their way, of which it is not known yet that they arrived.
struct Window {
    client: Client,
    membership: Membership,
    target: Target,
    timing: Timing,
    messages: usize,
    bytes: usize,
}

impl Window {
    async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        if self.messages >= WINDOW_MESSAGES || (self.messages > 0 && self.bytes + payload.len() > WINDOW_BYTES) {
            self.settle().await?;
        }
        self.client.publish(self.membership.handle, self.target, self.timing, payload).await?;
        self.messages += 1;
        self.bytes += payload.len();
        Ok(())
    }

    /// Sends the lines of standard input, and answers the server while there are none.
    async fn send_lines(&mut self) -> Result<(), Failure> {
        let limit = usize::try_from(self.client.terms().max_message).unwrap_or(usize::MAX);
        let mut lines = read_lines(limit);
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(Ok(line)) => self.send(&line).await?,
                    Some(Err(error)) => return Err(Failure::Runtime(format!("standard input: {error}"))),
                    None => return Ok(()),
                },
                event = self.client.next() => check(&event?)?,
            }
        }
    }

    /// Waits until the room has handled everything.
    async fn settle(&mut self) -> Result<(), Failure> {
        if self.messages == 0 {
            return Ok(());
        }
        let (handle, me) = (self.membership.handle, self.membership.member);
        let direct = self.client.publish(handle, Target::Direct(me), self.timing, b"").await?;
        loop {
            match self.client.next().await? {
                Event::Direct(batch) if batch.records().any(|record| record.member == me) => break,
                // A room that does not take directs has handled what came before all the same.
                Event::Refused(refusal) if refusal.number == direct => break,
                event => check(&event)?,
            }
        }
        self.messages = 0;
        self.bytes = 0;
        Ok(())
    }
}

/// What ends the command.
fn check(event: &Event) -> Result<(), Failure> {
    match event {
        Event::Refused(refusal) => Err(Failure::Runtime(format!(
            "message {} was refused: {}",
            refusal.number,
            output::reason(refusal.reason, &refusal.text)
        ))),
        Event::Left { reason, .. } => Err(Failure::Runtime(format!("the server ended the membership, {reason}"))),
        Event::Closed(closing) => {
            let why = closing.reason.map(|reason| output::reason(reason, &closing.text));
            let why = why.unwrap_or_else(|| "the connection ended without a reason".into());
            Err(Failure::Runtime(format!("the session has ended: {why}")))
        }
        _ => Ok(()),
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
