//! The page's files, which are part of the program.
//!
//! ```text
//! /admin              index.html
//! /admin/{file}       its style, its modules, its icon
//! ```

use std::fmt::Write;

/// What the page may load and reach: itself, and nothing else (Content-Security-Policy).
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asset {
    /// Its media type.
    pub media_type: &'static str,
    /// What is in it.
    pub text: &'static str,
}

impl Asset {
    const fn script(text: &'static str) -> Self {
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
}

/// The file behind a path of the operators' listener; `None` where there is none.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let asset = match path.strip_prefix("/admin")? {
        "" | "/" => Asset { media_type: "text/html; charset=utf-8", text: include_str!("assets/index.html") },
        "/style.css" => Asset { media_type: "text/css; charset=utf-8", text: include_str!("assets/style.css") },
        "/icon.svg" => Asset { media_type: "image/svg+xml", text: include_str!("assets/icon.svg") },
        "/main.js" => Asset::script(include_str!("assets/main.js")),
        "/wire.js" => Asset::script(include_str!("assets/wire.js")),
        "/session.js" => Asset::script(include_str!("assets/session.js")),
        "/room.js" => Asset::script(include_str!("assets/room.js")),
        "/feed.js" => Asset::script(include_str!("assets/feed.js")),
        "/chart.js" => Asset::script(include_str!("assets/chart.js")),
        "/rooms.js" => Asset::script(include_str!("assets/rooms.js")),
        "/inside.js" => Asset::script(include_str!("assets/inside.js")),
        "/key.js" => Asset::script(include_str!("assets/key.js")),
        "/units.js" => Asset::script(include_str!("assets/units.js")),
        _ => return None,
    };
    Some(asset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands between `before` and `after`, each time.
    fn between<'a>(text: &'a str, before: &'static str, after: char) -> impl Iterator<Item = &'a str> {
        text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
    }

    #[test]
    fn what_files_name_is_there() {
        let page = asset("/admin").unwrap().text;
        let mut open: Vec<&str> = between(page, "src=\"", '"').chain(between(page, "href=\"", '"')).collect();
        let (mut seen, mut scripts) = (Vec::new(), 0);
        while let Some(path) = open.pop() {
            let found = asset(path).unwrap_or_else(|| panic!("{path}"));
            if found.media_type.starts_with("text/javascript") && !seen.contains(&path) {
                seen.push(path);
                scripts += 1;
                open.extend(between(found.text, "from \"./", '"').map(|name| &*format!("/admin/{name}").leak()));
            }
        }
        assert_eq!(scripts, 10, "every module is used");
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let page = asset("/admin").unwrap().text;
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onclick"));
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=\"/admin/").count());
        for path in ["/admin", "/admin/style.css", "/admin/main.js", "/admin/session.js", "/admin/chart.js"] {
            let text = asset(path).unwrap().text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
        }
        assert_eq!(asset("/admin/../Cargo.toml"), None);
        assert_eq!(asset("/metrics"), None);
    }

    #[test]
    fn tags_are_of_contents() {
        let tag = |path: &str| asset(path).unwrap().tag();
        assert_eq!((tag("/admin"), tag("/admin").len()), (tag("/admin/"), 18));
        assert_ne!(tag("/admin/main.js"), tag("/admin/wire.js"));
    }
}
