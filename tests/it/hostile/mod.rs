//! Hostile clients, as a table: what each sends or does, over which transports, and the one answer to it.
//!
//! ```text
//! row ──> peer at a stage ──steps──> server ──answer──> is it the one that the row states?
//!                                       └──> a pair in another room talks: nothing lost, in order
//! ```
//!
//! | theme | what is wrong |
//! |---|---|
//! | `headers`, `control`, `data`, `pings` | frames of each type, byte by byte |
//! | `hello`, `names`, `extensions` | what stands in them |
//! | `messages` | the WebSocket layer |
//! | `heads` | requests of HTTP |
//! | `records` | TLS: its records and its alerts |
//! | `time` | who is slow, silent or deaf |
//! | `floods` | who sends too much |
//! | `ends` | half-closed, cut off, reset |
//!
//! Rows say what is sent with raw sockets: no client stands between. They run one after the other, but for
//! those of `time`, which would take a second each. How late the pair's batches are meanwhile is `lateness`,
//! which is no test of what is right, and runs where it is asked for.

mod arena;
mod control;
mod data;
mod ends;
mod extensions;
mod floods;
mod headers;
mod heads;
mod hello;
mod lateness;
mod messages;
mod names;
mod pair;
mod pings;
mod play;
mod records;
mod row;
mod time;

use self::arena::Arena;
use self::row::Row;

/// Runs a theme's rows, one after the other.
async fn check(rows: Vec<Row>) {
    let mut arena = Arena::start(|_| {}).await;
    let mut failed = Vec::new();
    for row in &rows {
        for on in row.on {
            if !arena.play(row, *on).await {
                failed.push(format!("{} over {on:?}", row.name));
            }
        }
    }
    arena.finish().await;
    assert!(failed.is_empty(), "answered otherwise: {failed:#?}");
}

/// Every theme whose rows run one after the other.
fn themes() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("headers", headers::rows()),
        ("control", control::rows()),
        ("data", data::rows()),
        ("pings", pings::rows()),
        ("hello", hello::rows()),
        ("names", names::rows()),
        ("extensions", extensions::rows()),
        ("messages", messages::rows()),
        ("heads", heads::rows()),
        ("records", records::rows()),
        ("floods", floods::rows()),
        ("ends", ends::rows()),
    ]
}

#[test]
fn every_row_has_a_name_of_its_own_and_there_are_enough() {
    let mut names = Vec::new();
    for (theme, rows) in themes().into_iter().chain([("time", time::rows())]) {
        println!("{theme}: {} rows, {} times played", rows.len(), rows.iter().map(|row| row.on.len()).sum::<usize>());
        names.extend(rows.into_iter().map(|row| format!("{theme}: {}", row.name)));
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 120, "{count} rows");
}

macro_rules! themes {
    ($($theme:ident)+) => {
        $(#[tokio::test]
        async fn $theme() {
            check(super::$theme::rows()).await;
        })+
    };
}

/// A test for each, so that they run side by side.
mod tests {
    use super::*;

    themes! { headers control data pings hello names extensions messages heads records floods ends }
}
