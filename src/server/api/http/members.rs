//! A body as JSON: an object whose members are taken one by one, so that none is left that nobody knows.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::base64;
use super::refused::Refused;
use crate::name::RoomName;

/// Members that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// A whole body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        Self::of(serde_json::from_slice(body).map_err(|_| Refused::Json)?)
    }

    pub(super) fn of(value: Value) -> Result<Self, Refused> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Refused::Member("An object is expected here")),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A string that may be missing.
    pub(super) fn text(&mut self, name: &str, wrong: &'static str) -> Result<Option<String>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::Member(wrong)),
        }
    }

    /// A number below `end` that may be missing.
    pub(super) fn number(&mut self, name: &str, end: u64, wrong: &'static str) -> Result<Option<u64>, Refused> {
        let Some(value) = self.take(name) else { return Ok(None) };
        // 7.0 is an integer too, for whoever writes JSON.
        let whole = |float: f64| (float.fract() == 0.0 && (0.0..9e15).contains(&float)).then_some(float as u64);
        let number = value.as_u64().or_else(|| value.as_f64().and_then(whole));
        number.filter(|number| *number < end).map(Some).ok_or(Refused::Member(wrong))
    }

    /// True or false; false where it is missing.
    pub(super) fn flag(&mut self, name: &str, wrong: &'static str) -> Result<bool, Refused> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Refused::Member(wrong)),
        }
    }

    /// A room's name that may be missing.
    pub(super) fn room(&mut self) -> Result<Option<RoomName>, Refused> {
        let wrong = "room is a name of 1 to 64 bytes of A-Z a-z 0-9 _ . : / @ and -";
        let Some(text) = self.text("room", wrong)? else { return Ok(None) };
        RoomName::new(text.as_bytes()).map(Some).ok_or(Refused::Member(wrong))
    }

    /// A payload: `text`, `json` or `base64`. None, where it has none of them.
    pub(super) fn payload(&mut self) -> Result<Option<Bytes>, Refused> {
        let text = self.text("text", "text is a string")?.map(Bytes::from);
        let json = self.take("json").map(|json| Bytes::from(json.to_string()));
        let base64 = self.base64("base64")?;
        let mut payloads = [text, json, base64].into_iter().flatten();
        match (payloads.next(), payloads.next()) {
            (payload, None) => Ok(payload),
            _ => Err(Refused::Member("A payload is one of text, json and base64")),
        }
    }

    /// A subject, as text or in base64. Not empty.
    pub(super) fn subject(&mut self) -> Result<Option<Bytes>, Refused> {
        let wrong = "A subject is 1 to 256 bytes, as subject or as subject_base64";
        let text = self.text("subject", wrong)?.map(Bytes::from);
        let subject = match (text, self.base64("subject_base64")?) {
            (Some(_), Some(_)) => return Err(Refused::Member(wrong)),
            (text, base64) => text.or(base64),
        };
        let fits = |subject: &Bytes| (1..=crate::identity::Identity::MAX_NAME).contains(&subject.len());
        if subject.as_ref().is_some_and(|subject| !fits(subject)) { Err(Refused::Member(wrong)) } else { Ok(subject) }
    }

    fn base64(&mut self, name: &str) -> Result<Option<Bytes>, Refused> {
        let wrong = "This is no base64 (RFC 4648, section 4, padded)";
        let Some(text) = self.text(name, wrong)? else { return Ok(None) };
        base64::decode(&text).map(|bytes| Some(bytes.into())).ok_or(Refused::Member(wrong))
    }

    /// Nothing else is known here.
    pub(super) fn end(self) -> Result<(), Refused> {
        if self.0.is_empty() { Ok(()) } else { Err(Refused::UnknownMember) }
    }
}
