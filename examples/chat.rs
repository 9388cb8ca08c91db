//! A chat: names, notices of who came and left, private messages. Every line is an event from the
//! room itself, so that nobody can speak in another's name.
//!
//! ```text
//! cargo run --release --example chat [WEBSOCKET_PORT [TCP_PORT]]
//!
//! hello everybody      to all
//! /name anna           another name (1 to 16 letters and digits, and not somebody else's)
//! /to bert psst        to one
//! /who                 who is here
//! ```

mod serving;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tickwire::logic::{Context, Message, RoomLogic, Verdict};
use tickwire::wire::{MemberNumber, Reason, Target};

/// What a chat refuses with. From 960: a client should not try the same again.
const NOT_TEXT: Reason = Reason(960);
const NAME: Reason = Reason(961);
const NOBODY: Reason = Reason(962);

#[derive(Default)]
struct Chat {
    names: BTreeMap<MemberNumber, String>,
}

impl RoomLogic for Chat {
    /// A chat only reacts.
    fn wants_ticks(&self) -> bool {
        false
    }

    /// The data of the join is a name, the answer is the name that was given.
    fn joined(&mut self, member: MemberNumber, data: &[u8], room: &mut Context<'_>) -> Result<Bytes, Reason> {
        let wanted = std::str::from_utf8(data).map_err(|_| NOT_TEXT)?;
        let name = if wanted.is_empty() { format!("guest{member}") } else { wanted.to_owned() };
        self.check(&name)?;
        room.send(format!("* {name} is here").as_bytes())?;
        self.names.insert(member, name.clone());
        Ok(name.into())
    }

    fn left(&mut self, member: MemberNumber, _reason: Reason, room: &mut Context<'_>) {
        if let Some(name) = self.names.remove(&member) {
            // A tick that is full loses the notice; the list of members is right all the same.
            let _full = room.send(format!("* {name} is gone").as_bytes());
        }
    }

    fn message(&mut self, from: MemberNumber, message: &Message<'_>, room: &mut Context<'_>) -> Verdict {
        // Directs among members are their own business, and values have no meaning here.
        match message.target {
            Target::Event => {}
            Target::Direct(_) => return Verdict::Relay,
            Target::Value(_) => return Verdict::Refuse(Reason::NOT_ALLOWED),
        }
        let said = std::str::from_utf8(message.payload).map_err(|_| NOT_TEXT);
        said.and_then(|text| self.say(from, text.trim(), room)).map_or_else(Verdict::Refuse, |()| Verdict::Swallow)
    }
}

impl Chat {
    fn say(&mut self, from: MemberNumber, text: &str, room: &mut Context<'_>) -> Result<(), Reason> {
        let name = self.names.get(&from).ok_or(Reason::INTERNAL)?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "/name" => {
                self.check(rest)?;
                room.send(format!("* {name} is now {rest}").as_bytes())?;
                self.names.insert(from, rest.to_owned());
                Ok(())
            }
            "/to" => {
                let (to, words) = rest.split_once(' ').ok_or(NOBODY)?;
                let found = self.names.iter().find(|(_, name)| *name == to).ok_or(NOBODY)?;
                room.direct(*found.0, format!("{name} whispers: {words}").as_bytes())
            }
            "/who" => {
                let names: Vec<&str> = self.names.values().map(String::as_str).collect();
                room.direct(from, format!("* here: {}", names.join(", ")).as_bytes())
            }
            _ => room.send(format!("{name}: {text}").as_bytes()),
        }
    }

    /// Whether somebody may be called so.
    fn check(&self, name: &str) -> Result<(), Reason> {
        let valid = (1..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid && self.names.values().all(|other| other != name) { Ok(()) } else { Err(NAME) }
    }
}

#[tokio::main]
async fn main() -> Result<(), serving::Failure> {
    let server = serving::builder(Duration::from_millis(50))?.logic("chat/**", |_| Chat::default()).bind().await?;
    serving::announce(&server, "chat/lobby", "hello everybody")?;
    println!(
        "  talk:  tickwire pub chat/lobby --url {}     (a line each; see /name, /to and /who)",
        serving::tcp(&server)?
    );
    serving::run(server).await
}

#[cfg(test)]
mod tests {
    use tickwire::logic::{Harness, Heard};

    use super::*;

    const ROOM: MemberNumber = MemberNumber::ROOM;

    /// Anna, Bert and Carl in a room.
    fn three() -> (Harness, [MemberNumber; 3]) {
        let mut room = Harness::new(|_| Chat::default());
        let members = ["anna", "bert", "carl"].map(|name| room.join("", name.as_bytes()).unwrap());
        room.tick();
        room.skip();
        (room, members)
    }

    #[test]
    fn who_comes_and_leaves_is_announced() {
        let mut room = Harness::new(|_| Chat::default());
        let anna = room.join("", b"anna").unwrap();
        let guest = room.join("", b"").unwrap();
        assert_eq!(room.heard(guest)[0], Heard::Joined { answer: b"guest2".to_vec() });
        room.tick();
        room.leave(guest).unwrap();
        room.tick();
        let events: Vec<Heard> =
            room.heard(anna).into_iter().filter(|heard| matches!(heard, Heard::Event { .. })).collect();
        let notices = ["* anna is here", "* guest2 is here", "* guest2 is gone"];
        assert_eq!(events, notices.map(|text| Heard::event(ROOM, text)));
    }

    #[test]
    fn a_name_is_one_persons() {
        let (mut room, [anna, ..]) = three();
        assert_eq!(room.join("", b"anna"), Err(NAME));
        assert_eq!(room.event(anna, b"/name bert"), Err(NAME));
        assert_eq!(room.event(anna, b"/name a b"), Err(NAME));
        room.event(anna, b"/name anna2").unwrap();
        assert!(room.join("", b"anna").is_ok());
    }

    #[test]
    fn a_private_message_reaches_one_alone() {
        let (mut room, [anna, bert, carl]) = three();
        room.event(anna, b"/to bert psst").unwrap();
        assert_eq!(room.event(anna, b"/to dora psst"), Err(NOBODY));
        room.tick();
        assert_eq!(room.heard(bert), [Heard::direct(ROOM, "anna whispers: psst")]);
        assert_eq!((room.heard(anna), room.heard(carl)), (vec![], vec![]));
    }

    #[test]
    fn words_are_told_in_the_speakers_name() {
        let (mut room, [anna, bert, _]) = three();
        room.event(anna, b"hello").unwrap();
        assert_eq!(room.event(anna, b"\xff"), Err(NOT_TEXT));
        room.tick();
        assert_eq!(room.heard(bert), [Heard::event(ROOM, "anna: hello")]);
    }
}
