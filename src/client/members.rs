//! The members of a room, a page at a time (PROTOCOL 6.15, 6.16).
//!
//! ```text
//! MEMBERS after 0 ──> PAGE next 17 ──> MEMBERS after 17 ──> PAGE next 0: the end
//! ```

use super::{Client, Error, Event, Surprise};
use crate::wire::control::Page;
use crate::wire::{Handle, Kind, MemberNumber, Position, Presence, Records};

/// What the members of a room may cost together, in bytes. 32 MiB: as many members as a room has by
/// default, each with as much to show as it may.
const MAX_MEMBERS: usize = 32 * 1024 * 1024;

/// A member of a room, as others see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its number.
    pub number: MemberNumber,
    /// Who the server takes it for; may be empty.
    pub subject: Vec<u8>,
    /// What it shows of itself; may be empty.
    pub data: Vec<u8>,
    /// Whether its connection is gone and its place is kept.
    pub away: bool,
}

/// A page of members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MembersPage {
    /// The room.
    pub handle: Handle,
    /// The position the list describes.
    pub position: Position,
    /// What to ask for next, 0 at the end.
    pub next: MemberNumber,
    /// The members, by number.
    pub members: Vec<Member>,
}

impl MembersPage {
    pub(super) fn new(page: &Page<'_>) -> Result<Self, Error> {
        let mut members: Vec<Member> = Vec::new();
        for record in Records::new(Kind::Members, page.records) {
            let record = record?;
            let last = members.last_mut().filter(|last| last.number == record.member);
            match (Presence::decode(record.payload)?, last) {
                (Presence::Here { subject, data }, Some(last)) => {
                    (last.subject, last.data) = (subject.into(), data.into());
                }
                (Presence::Here { subject, data }, None) => {
                    let (subject, data) = (subject.into(), data.into());
                    members.push(Member { number: record.member, subject, data, away: false });
                }
                (Presence::Away, Some(last)) => last.away = true,
                (Presence::Away, None) => {
                    members.push(Member { number: record.member, away: true, ..Member::default() });
                }
                // A list has nobody who left; counts and what is not known tell of no member.
                _ => {}
            }
        }
        Ok(Self { handle: page.handle, position: page.position, next: page.next, members })
    }

    /// PROTOCOL 6.16: behind `after` and in order, so that pages come to an end.
    fn follows(&self, handle: Handle, after: MemberNumber) -> bool {
        let numbers = self.members.iter().map(|member| member.number);
        let last = numbers.clone().next_back().unwrap_or(after);
        self.handle == handle
            && numbers.clone().all(|number| number > after)
            && numbers.is_sorted_by(|one, next| one < next)
            // More is to follow only where there was something.
            && (self.next.0 == 0 || (self.next >= last && last > after))
    }

    /// What it takes to keep it, in bytes.
    pub(super) fn cost(&self) -> usize {
        let each = |member: &Member| member.subject.len() + member.data.len();
        self.members.capacity() * size_of::<Member>() + self.members.iter().map(each).sum::<usize>()
    }
}

impl Client {
    /// The members of a room, by number; needs the capability `pages`. Those that come or leave while
    /// the pages are fetched may be there or not. As for cancelling, see [`join`](Self::join).
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::TooManyMembers`] beyond 32 MiB, and whatever ends a connection.
    pub async fn members(&mut self, handle: Handle) -> Result<Vec<Member>, Error> {
        let (mut members, mut cost, mut after) = (Vec::new(), 0, MemberNumber(0));
        loop {
            let asked = self.sender().members(handle, after).await?;
            let answer = self.answer(asked, |event| matches!(event, Event::Page { request, .. } if *request == asked));
            let page = match answer.await? {
                Event::Page { page, .. } => page,
                other => return Err(Error::unexpected(other)),
            };
            if !page.follows(handle, after) {
                return Err(self.break_off(Surprise::Page));
            }
            cost += page.cost();
            if cost > MAX_MEMBERS {
                return Err(Error::TooManyMembers);
            }
            members.extend(page.members);
            if page.next.0 == 0 {
                return Ok(members);
            }
            after = page.next;
        }
    }
}
