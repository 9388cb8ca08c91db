//! A whole request, read: what is asked, with all that its query and its body say.

use percent_encoding::percent_decode_str;

use super::operation::Operation;
use super::refused::Refused;
use crate::dispatcher::operate::{RoomOrder, RoomQuery};
use crate::name::RoomName;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Rooms(RoomQuery),
    Room(RoomName),
}

/// Rooms in a list where nothing is said. 100: a page.
const PAGE: usize = 100;

impl Ask {
    /// Reads the rest of a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(
        operation: Operation,
        query: &str,
        _content_type: Option<&str>,
        _body: &[u8],
    ) -> Result<Self, Refused> {
        let mut query = Query::read(query)?;
        let ask = match operation {
            Operation::Rooms => Self::Rooms(rooms(&mut query)?),
            Operation::Room(room) => Self::Room(room),
        };
        query.end()?;
        Ok(ask)
    }

    /// Whether it changes something.
    pub(super) const fn changes(&self) -> bool {
        false
    }

    /// What it does, for the log.
    pub(super) const fn operation(&self) -> &'static str {
        match self {
            Self::Rooms(_) | Self::Room(_) => "look",
        }
    }
}

fn rooms(query: &mut Query) -> Result<RoomQuery, Refused> {
    let order = match query.take("sort") {
        None => RoomOrder::Name,
        Some(name) => RoomOrder::named(&name).ok_or(Refused::Parameter("sort is name, members, messages or bytes"))?,
    };
    let limit = query.number("limit", 1, RoomQuery::MOST as u64, "limit is a number from 1 to 1000")?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
    let prefix = query.take("prefix").unwrap_or_default();
    if prefix.len() > RoomName::MAX_LEN || !(prefix.is_empty() || RoomName::new(prefix.as_bytes()).is_some()) {
        return Err(Refused::Parameter("prefix is what names of rooms begin with"));
    }
    Ok(RoomQuery::new(order, limit).starting_with(prefix))
}

/// The parameters behind `?`, each once.
#[derive(Debug)]
struct Query(Vec<(String, String)>);

impl Query {
    /// How many there may be. 16: more than any operation knows.
    const MOST: usize = 16;

    fn read(query: &str) -> Result<Self, Refused> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if pairs.len() >= Self::MOST || pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refused::UnknownParameter);
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// What a parameter says.
    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    fn number(&mut self, name: &str, least: u64, most: u64, wrong: &'static str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.take(name) else { return Ok(None) };
        number(&text).filter(|number| (least..=most).contains(number)).map(Some).ok_or(Refused::Parameter(wrong))
    }

    /// Nothing else is known here.
    fn end(self) -> Result<(), Refused> {
        if self.0.is_empty() { Ok(()) } else { Err(Refused::UnknownParameter) }
    }
}

/// A decimal number without signs.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A part of a query, where `+` is a space.
fn decode(encoded: &str) -> Result<String, Refused> {
    let spaced = encoded.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| Refused::UnknownParameter)?;
    Ok(decoded.into_owned())
}
