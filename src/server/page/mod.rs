//! The first page: an arena at `/` where each tab is a dot that moves for all others, to see the server work.
//!
//! ```text
//! GET /               index.html
//! GET /assets/{file}  its style, its scripts, its icon
//! GET /ws             and the page is a client like any other, in the room `arena`
//! ```
//!
//! Its source is `clients/page`; what is in `assets/` is built from that, and checked against it. What travels
//! in the room is the page's own affair, and `tickwire bots` speaks the same ([`message`]).
//!
//! A library serves it with [`Builder::page`](crate::server::Builder::page); an application with a listener of
//! its own serves [`asset`]s.

pub mod message;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request};

use super::Handle;
pub use super::asset::Asset;
use super::http::{Answer, only_get};

/// The room of the page.
pub const ROOM: &str = "arena";

/// What the page may load and reach (Content-Security-Policy): itself. What it may reach is told for each
/// request: for some browsers the address of a WebSocket is not the page's own, whatever its host.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'";

/// The file behind a path of the public listener; `None` where there is none.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let asset = match path {
        "/" => Asset::html(include_str!("assets/index.html")),
        "/assets/style.css" => Asset::style(include_str!("assets/style.css")),
        "/assets/icon.svg" => Asset::icon(include_str!("assets/icon.svg")),
        "/assets/main.js" => Asset::script(include_str!("assets/main.js")),
        "/assets/thread.js" => Asset::script(include_str!("assets/thread.js")),
        _ => return None,
    };
    Some(asset)
}

/// Answers a request for a file of the page; `None` where the request is for something else.
pub(super) fn answer(request: &Request<Incoming>, server: &Handle) -> Option<Answer> {
    let asset = server.page.then(|| asset(request.uri().path())).flatten()?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(only_get());
    }
    let mut answer = asset.answer(request.headers(), policy(request.headers()));
    // One request a connection: whoever stays has said hello.
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(answer)
}

/// The policy, with this host's WebSocket. The host has been read: it has no letter that means something here.
fn policy(headers: &HeaderMap) -> HeaderValue {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let with_host = host.and_then(|host| HeaderValue::try_from(format!("{POLICY} ws://{host} wss://{host}")).ok());
    with_host.unwrap_or_else(|| HeaderValue::from_static(POLICY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_names_is_there_and_nothing_is_inline() {
        let page = asset("/").unwrap().text;
        let named = page.split("src=\"").chain(page.split("href=\"")).filter_map(|rest| rest.split('"').next());
        let paths: Vec<&str> = named.filter(|path| path.starts_with("/assets/")).collect();
        assert!(paths.len() >= 3 && paths.iter().all(|path| asset(path).is_some()), "{paths:?}");
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onclick"));
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=\"/assets/").count());
    }

    #[test]
    fn the_policy_names_the_websocket_of_the_host() {
        let of = |host: &'static str| {
            let headers = [(header::HOST, HeaderValue::from_static(host))].into_iter().collect();
            policy(&headers).to_str().unwrap().to_owned()
        };
        assert!(of("[::1]:7070").ends_with("connect-src 'self' ws://[::1]:7070 wss://[::1]:7070"));
        assert_eq!(policy(&HeaderMap::new()), POLICY);
        assert!(POLICY.contains("default-src 'none'") && !POLICY.contains("unsafe"));
    }
}
