//! What four random bytes do: somebody publishes, reads, stalls, breaks or comes back, or time passes.

use bytes::Bytes;

use super::{CLIENTS, HANDLE, Link, Op, World, message};
use crate::command::{Command, What};
use crate::wire::{Key, MemberNumber, RequestId, Target};

impl World {
    /// Where a client is in no state for what is asked, some time passes.
    pub(super) fn step(&mut self, [op, who, b, c]: Op) {
        let index = usize::from(who) % CLIENTS;
        let link = self.lines[index].link;
        let is_in = matches!(link, Link::In | Link::Resumed);
        match op % 26 {
            0 | 1 if matches!(link, Link::Out | Link::Resumed) => self.join(index, b, c & 1 == 0),
            2 if link == Link::In && b < 64 => self.leave(index),
            3..=9 if is_in => self.say(index, [op % 26, who, b, c]),
            10..=13 => self.flood(b, c % 8 + 1),
            14 if link == Link::In => {
                let what = [What::All, What::Events, What::Paused, What::All][usize::from(b & 3)];
                self.receive(index, what);
            }
            15 if is_in => {
                let data = Bytes::copy_from_slice(&[b; 4]);
                self.answered(index, 20);
                self.ask(Some(index), Command::SetPresence { request: RequestId(4), handle: HANDLE, data });
            }
            16 if is_in => self.tell(index, usize::from(b) % CLIENTS, b & 64 != 0, usize::from(c) * 3),
            17 => match link {
                Link::Broken => self.resume(index),
                _ if b >= 80 => self.pass(10),
                Link::In | Link::Resumed => self.break_off(index),
                _ => self.end(index),
            },
            18 => self.pass(50 + u64::from(c)),
            19 => {
                let line = &mut self.lines[index];
                line.hoards = b & 1 == 0;
                line.unconsumed = line.unconsumed.saturating_sub(usize::from(c) * 64);
                self.take(index);
            }
            20 | 21 => self.pump(index, usize::from(b) * 16 + 1),
            22 => self.pump(index, usize::MAX),
            23 if link == Link::In => self.blink(index, b, c),
            // More than anybody may leave unread.
            24 if is_in => (0..20).for_each(|_| {
                self.tell(index, usize::from(c) % CLIENTS, false, 600);
                self.pass(20);
            }),
            25 if link == Link::In => self.lag(index, [op, who, b, c]),
            _ => self.pass(10),
        }
    }

    /// A client is a little behind while another writes or deletes a value, and reads again.
    fn lag(&mut self, index: usize, [op, who, b, c]: Op) {
        self.pump(index, usize::MAX);
        self.flood(b, 1 + (b >> 6));
        let other = (index + 1 + usize::from(op & 1)) % CLIENTS;
        if matches!(self.lines[other].link, Link::In | Link::Resumed) {
            self.say(other, [8 + (b & 1), who, b, c]);
            self.pass(50);
        }
        self.pump(index, usize::MAX);
        self.pass(10);
    }

    fn leave(&mut self, index: usize) {
        self.lines[index].link = Link::Leaving;
        self.answered(index, 20);
        self.ask(Some(index), Command::Leave { request: RequestId(3), handle: HANDLE });
    }

    /// An event, one or more values, or a deletion.
    fn say(&mut self, index: usize, [op, who, b, c]: Op) {
        let payload = |len: u8| (0..len).flat_map(|at| [at.wrapping_mul(b | 1) ^ c; 3]).collect();
        match op {
            3 | 4 => self.publish(index, Target::Event, c & 7 == 0, payload(b)),
            9 => (0..6).for_each(|more| {
                let key = Key::member(u64::from(c) % 40 + more);
                self.publish(index, Target::Value(key), false, Vec::new());
            }),
            _ => {
                for more in 0..=u64::from(c >> 5) {
                    let number = (u64::from(c) + more) % 40;
                    let key = if who & 64 == 0 { Key::member(number) } else { Key::room(number) };
                    self.publish(index, Target::Value(key), false, payload(b / 2));
                }
            }
        }
    }

    /// So much in a few ticks that who stalls is soon far behind.
    fn flood(&mut self, byte: u8, ticks: u8) {
        for _ in 0..ticks {
            self.ask(None, message(1, Target::Event, false, vec![byte; 800]));
            self.ask(None, message(1, Target::Event, false, vec![byte; 800]));
            self.pass(50);
        }
    }

    fn tell(&mut self, index: usize, to: usize, urgent: bool, len: usize) {
        let to = MemberNumber(self.lines[to].client.number);
        // Whoever has that number by now.
        (0..CLIENTS).for_each(|other| self.answered(other, len + 40));
        self.publish(index, Target::Direct(to), urgent, vec![7; len]);
    }

    /// The connection breaks, with or without having read something, and the client comes back soon.
    fn blink(&mut self, index: usize, b: u8, c: u8) {
        if b & 1 == 0 {
            self.pump(index, usize::from(c) * 8);
        }
        if self.lines[index].link == Link::In {
            self.break_off(index);
        }
        self.pass(u64::from(b & 64));
        if self.lines[index].link == Link::Broken {
            self.resume(index);
            self.join(index, 0, true);
        }
    }
}
