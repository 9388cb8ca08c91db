//! The page's files, which are part of the program.
//!
//! ```text
//! /admin              index.html
//! /admin/{file}       its style, its modules, its icon
//! ```

pub use crate::server::asset::Asset;

/// What the page may load and reach: itself, and nothing else (Content-Security-Policy).
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file behind a path of the operators' listener; `None` where there is none.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let asset = match path.strip_prefix("/admin")? {
        "" | "/" => Asset::html(include_str!("assets/index.html")),
        "/style.css" => Asset::style(include_str!("assets/style.css")),
        "/icon.svg" => Asset::icon(include_str!("assets/icon.svg")),
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
