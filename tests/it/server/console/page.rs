//! The page's files over HTTP.

use tickwire::server::console::{POLICY, asset};

use super::start;
use crate::server::observe::{ask, get};

#[tokio::test]
async fn the_page_comes_whole_and_may_load_nothing_else() {
    let server = start().await;
    let admin = server.admin.unwrap();
    for (path, media_type) in [
        ("/admin", "text/html; charset=utf-8"),
        ("/admin/", "text/html; charset=utf-8"),
        ("/admin/style.css", "text/css; charset=utf-8"),
        ("/admin/main.js", "text/javascript; charset=utf-8"),
        ("/admin/icon.svg", "image/svg+xml"),
    ] {
        let answer = ask(admin, "GET", path, "Connection: close\r\n").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, asset(path).unwrap().text), "{path}");
        let has = |line: &str| answer.head.contains(&format!("\r\n{line}"));
        assert!(has(&format!("content-type: {media_type}\r\n")), "{}", answer.head);
        assert!(has(&format!("content-security-policy: {}", POLICY.to_ascii_lowercase())), "{}", answer.head);
        assert!(has("cache-control: no-cache\r\n") && has("x-content-type-options: nosniff\r\n"), "{}", answer.head);
        assert!(has("referrer-policy: no-referrer\r\n"), "{}", answer.head);
    }
    assert!(POLICY.contains("default-src 'none'") && !POLICY.contains("unsafe"));
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let server = start().await;
    let admin = server.admin.unwrap();
    let tag = asset("/admin/main.js").unwrap().tag();
    for (known, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let headers = format!("Connection: close\r\nIf-None-Match: {known}\r\n");
        let answer = ask(admin, "GET", "/admin/main.js", &headers).await;
        assert_eq!((answer.status, answer.body.is_empty()), (status, status == 304), "{known}");
        assert!(answer.head.contains(&format!("etag: {tag}\r\n")), "{}", answer.head);
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let server = start().await;
    let admin = server.admin.unwrap();
    let head = ask(admin, "HEAD", "/admin", "Connection: close\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let post = ask(admin, "POST", "/admin", "Content-Length: 0\r\n").await;
    assert!(post.status == 405 && post.head.contains("allow: get, head\r\n"), "{}", post.head);
    for path in ["/admin/nothing.js", "/admin/assets/main.js", "/admin/..%2fmetrics", "/administrator"] {
        assert_eq!(get(admin, path).await.status, 404, "{path}");
    }
}
