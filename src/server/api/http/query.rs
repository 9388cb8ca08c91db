//! The parameters behind `?`, each once.

use percent_encoding::percent_decode_str;

use super::refused::Refused;

/// What nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// How many there may be. 16: more than any operation knows.
    const MOST: usize = 16;

    pub(super) fn read(query: &str) -> Result<Self, Refused> {
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
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// A number from `least` to `most`.
    pub(super) fn number(
        &mut self,
        name: &str,
        (least, most): (u64, u64),
        wrong: &'static str,
    ) -> Result<Option<u64>, Refused> {
        let Some(text) = self.take(name) else { return Ok(None) };
        number(&text).filter(|number| (least..=most).contains(number)).map(Some).ok_or(Refused::Parameter(wrong))
    }

    /// Nothing else is known here.
    pub(super) fn end(self) -> Result<(), Refused> {
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
