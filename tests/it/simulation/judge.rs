//! What must hold when all is over.
//!
//! ```text
//! recorder ──its log is the truth──> every other log: the same, or told as lost
//!      └── every message of every publisher: once, or refused, or of a session that was not resumed
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Client, Fate, What};
use super::world::Outcome;

/// The events of a room: what a payload says of its sender and its number, in their order.
type Events = Vec<(u8, u32)>;

impl Outcome {
    /// What holds in any case.
    pub fn check(&self) {
        for client in &self.clients {
            // A slow line may bring answers to pings too late.
            let closed: Vec<u64> = client.closed.iter().map(|reason| reason.0).filter(|reason| *reason != 3).collect();
            assert_eq!(closed, [200], "client {}", client.id);
            for room in 0..client.rooms.len() {
                self.check_room(client, room);
            }
            self.check_directs(client);
        }
        for publisher in &self.clients {
            self.check_messages(publisher);
        }
    }

    /// Inside the window: nobody was ever told that something is lost, and nothing was.
    pub fn check_lossless(&self) {
        self.check();
        for client in &self.clients {
            assert_eq!(client.welcomes[0], 1, "client {} was not resumed", client.id);
            assert_eq!(client.closed.len(), 1, "client {}: {:?}", client.id, client.closed);
            assert_eq!(client.lost_directs, 0, "client {}", client.id);
            for room in &client.rooms {
                assert_eq!((&room.lost[..], room.gaps), (&[][..], 0), "client {}", client.id);
            }
            for message in &client.messages {
                let bad = matches!(message.what, What::Bad { .. });
                let expected = if bad { Fate::Refused } else { Fate::Accepted };
                assert_eq!(message.fate, expected, "client {}: {message:?}", client.id);
            }
        }
    }

    fn truth(&self) -> &Client {
        &self.clients[0]
    }

    /// What came and what was told to be lost are together everything from the first join on, and what
    /// came is what the recorder heard.
    fn check_room(&self, client: &Client, place: usize) {
        let (room, truth) = (&client.rooms[place], &self.truth().rooms[place]);
        let (epoch, last) = truth.since.unwrap();
        assert_eq!(room.since, Some((epoch, last)), "client {} in {}: the end", client.id, room.name);
        let lost: BTreeSet<u64> = room.lost.iter().flat_map(|(from, to)| *from..=*to).collect();
        let told: u64 = room.lost.iter().map(|(from, to)| to - from + 1).sum();
        assert_eq!(told, lost.len() as u64, "client {}: lost twice", client.id);
        let heard: BTreeSet<u64> = room.heard.keys().copied().collect();
        assert!(heard.is_disjoint(&lost), "client {}: it came, and was told to be lost", client.id);
        let all: BTreeSet<u64> = (room.start + 1..=last).collect();
        assert_eq!(&heard | &lost, all, "client {} in {}: silence", client.id, room.name);
        for (position, events) in &room.heard {
            assert_eq!(truth.heard.get(position), Some(events), "client {} at {position}", client.id);
        }
        assert_eq!(room.values, truth.values, "client {} in {}: values", client.id, room.name);
        // The recorder's own coming may be in nobody's list but as the others know it.
        assert_eq!(room.members, truth.members, "client {} in {}: members", client.id, room.name);
    }

    fn events(&self, place: usize) -> Events {
        let heard = self.truth().rooms[place].heard.values().flatten();
        heard.map(|(_, payload)| (payload[0], u32::from_be_bytes(payload[1..5].try_into().unwrap()))).collect()
    }

    /// Every message was delivered once and in its order, or its sender knows why not.
    fn check_messages(&self, publisher: &Client) {
        for place in 0..publisher.rooms.len() {
            let sent = publisher.messages.iter().filter(|message| message.room == place && message.what == What::Event);
            let fates: Vec<Fate> = sent.map(|message| message.fate).collect();
            let events = self.events(place).into_iter().filter(|(from, _)| *from == publisher.id);
            let came: Vec<u32> = events.map(|(_, number)| number).collect();
            assert!(came.is_sorted_by(|one, next| one < next), "client {}: order, or twice", publisher.id);
            let came: BTreeSet<u32> = came.into_iter().collect();
            for (number, fate) in (0..).zip(fates) {
                match fate {
                    Fate::Accepted => assert!(came.contains(&number), "{} lost {number}", publisher.id),
                    Fate::Refused => assert!(!came.contains(&number), "{} refused {number}", publisher.id),
                    Fate::Unknown => {}
                    Fate::Open => panic!("client {}: event {number} has no answer", publisher.id),
                }
            }
            self.check_values(publisher, place);
        }
    }

    /// The last write of each of a member's own keys is what is left.
    fn check_values(&self, publisher: &Client, place: usize) {
        let (mut last, mut unsure) = (BTreeMap::new(), BTreeSet::new());
        for message in publisher.messages.iter().filter(|message| message.room == place) {
            let What::Value(key) = message.what else { continue };
            match message.fate {
                Fate::Accepted if key % 2 == 0 => drop(last.insert(key, message.number)),
                Fate::Unknown => drop(unsure.insert(key)),
                Fate::Open => panic!("client {}: {message:?}", publisher.id),
                _ => {}
            }
        }
        let (me, truth) = (publisher.rooms[place].me, &self.truth().rooms[place].values);
        // A session that was not resumed took its values along.
        let lasted = publisher.welcomes[0] == 1;
        for (key, number) in last.into_iter().filter(|(key, _)| lasted && !unsure.contains(key)) {
            let value = truth.get(&(me, key)).unwrap_or_else(|| panic!("client {}: {key} is gone", publisher.id));
            assert_eq!(value[1..5], number.to_be_bytes(), "client {}: value {key}", publisher.id);
        }
    }

    /// Directs came once and in their order; those that did not come were told to be lost.
    fn check_directs(&self, receiver: &Client) {
        let mut missed = 0;
        for sender in &self.clients {
            for place in 0..sender.rooms.len() {
                let to = What::Direct(receiver.id);
                let sent = sender.messages.iter().filter(|message| message.room == place && message.what == to);
                let fates: Vec<Fate> = sent.map(|message| message.fate).collect();
                let came = receiver.directs.iter().filter(|(from, room, _)| (*from, *room) == (sender.id, place));
                let came: Vec<u32> = came.map(|(_, _, number)| *number).collect();
                assert!(came.is_sorted_by(|one, next| one < next), "directs {} to {}", sender.id, receiver.id);
                let came: BTreeSet<u32> = came.into_iter().collect();
                for (number, fate) in (0..).zip(fates) {
                    assert!(
                        fate != Fate::Refused || !came.contains(&number),
                        "refused, and came: {} to {} in {place}, {number}",
                        sender.id,
                        receiver.id
                    );
                    missed += u64::from(fate == Fate::Accepted && !came.contains(&number));
                }
            }
        }
        // Where a session ended, its directs ended with it.
        if receiver.welcomes[0] == 1 {
            assert!(missed <= receiver.lost_directs, "directs to {}: {missed} are missing", receiver.id);
        }
    }
}
