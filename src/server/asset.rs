//! A file that is part of the program, as an answer of HTTP.
//!
//! ```text
//! GET, If-None-Match: what the browser has ──> 304, or 200 with the file
//! ```

use std::fmt::Write;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::http::Answer;

/// A file of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asset {
    /// Its media type.
    pub media_type: &'static str,
    /// What is in it.
    pub text: &'static str,
}

impl Asset {
    pub(super) const fn html(text: &'static str) -> Self {
        Self { media_type: "text/html; charset=utf-8", text }
    }

    pub(super) const fn style(text: &'static str) -> Self {
        Self { media_type: "text/css; charset=utf-8", text }
    }

    pub(super) const fn icon(text: &'static str) -> Self {
        Self { media_type: "image/svg+xml", text }
    }

    pub(super) const fn script(text: &'static str) -> Self {
        Self { media_type: "text/javascript; charset=utf-8", text }
    }

    /// Its entity tag (RFC 9110 8.8.3): another one for other contents.
    #[must_use]
    pub fn tag(&self) -> String {
        // FNV-1a: no secret, only the same everywhere.
        let hash = self
            .text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut tag = String::with_capacity(18);
        // Writing to a string does not fail.
        let _ = write!(tag, "\"{hash:016x}\"");
        tag
    }

    /// The file, with what it may load and reach. It is asked for anew each time, and sent where it has changed.
    pub(super) fn answer(&self, asked: &HeaderMap, policy: HeaderValue) -> Answer {
        let tag = self.tag();
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_known =
            known.flat_map(|value| value.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
        let mut answer = Response::new(Full::default());
        if is_known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *answer.body_mut() = Full::new(Bytes::from_static(self.text.as_bytes()));
        }
        let fixed = [
            (header::CONTENT_TYPE, self.media_type),
            (header::CACHE_CONTROL, "no-cache"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        let headers = answer.headers_mut();
        headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        answer
    }
}
