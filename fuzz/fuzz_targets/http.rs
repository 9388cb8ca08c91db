//! Requests of operators, as far as they are read before anything is done: method, target, type and body, a line
//! each but the last. Whatever comes is understood, and then twice in the same way, or refused with a status that the
//! document has; what is understood needs a scope.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::server::api::{Scope, inspect};

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(lines.next().unwrap_or_default());
    // What hyper hands on is text, and so is a type that is looked at.
    let (Ok(method), Ok(target), Ok(media)) = (line(), line(), line()) else { return };
    let body = lines.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let media = (!media.is_empty()).then_some(media);
    let read = inspect((method, path, query), media, body);
    assert_eq!(inspect((method, path, query), media, body), read);
    match read {
        Ok(scope) => {
            assert!(Scope::named(scope).is_some() && path.starts_with("/v1/"));
            // What looks is never of another method.
            assert_eq!(scope == "read", matches!(method, "GET" | "HEAD"));
        }
        Err(status) => assert!([400, 404, 405, 415, 422].contains(&status), "{status}"),
    }
});
