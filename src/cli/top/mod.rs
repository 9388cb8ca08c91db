//! `tickwire top`: what a server does, and its rooms, again every second.
//!
//! ```text
//! feed (a room of the server's own) ──values──> Figures ──> screen | lines | JSON
//! ```

mod figures;
mod screen;
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tickwire::client::{Client, ClientConfig, Error, Event, Token, Url};
use tickwire::server::console::FEED;
use tickwire::wire::Reason;
use tickwire::wire::control::Mode;
use tokio::time::Instant;

use self::figures::{Figures, Sort};
use self::terminal::Terminal;
use super::{Failure, no_connection, output, run_until_interrupted, units};

/// Where operators look at a server that was started without flags.
const DEFAULT_URL: &str = "ws://127.0.0.1:7072/admin/ws";

/// The key where no flag says one.
const VARIABLE: &str = "TICKWIRE_API_KEY";

/// Bytes of a key's file. 4 KiB: far more than a key has.
const LARGEST_FILE: u64 = 4096;

/// Which server, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// The operators' address: ws://host:port/admin/ws
    #[arg(long, default_value = DEFAULT_URL)]
    url: Url,
    /// An operator's key [default: TICKWIRE_API_KEY]; others on this machine can read it here
    #[arg(long, conflicts_with = "key_file")]
    key: Option<String>,
    /// A file with the key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Which rooms come first
    #[arg(long, value_enum, default_value_t = Sort::Members)]
    sort: Sort,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
    /// Print once, with the rates of one second, and end
    #[arg(long)]
    once: bool,
    /// Time between two looks, from 1s; the server counts once a second
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "1s")]
    interval: Duration,
}

/// How it is shown.
#[derive(Debug)]
enum Shown {
    /// Again and again in one place.
    Screen(Terminal),
    /// One below the other, as a person reads them.
    Lines,
    Json,
}

/// Shows until it is interrupted, or the session ends.
pub(crate) fn run(arguments: &TopArguments) -> Result<(), Failure> {
    if arguments.interval < Duration::from_secs(1) {
        return Err(Failure::Usage("--interval is at least 1s: the server counts once a second".into()));
    }
    run_until_interrupted(show_all(arguments))
}

async fn show_all(arguments: &TopArguments) -> Result<(), Failure> {
    let mut config = ClientConfig::new(arguments.url.clone());
    config.bearer = key(arguments)?.map(Token::new);
    let has_key = config.bearer.is_some();
    let mut client = Client::connect(&config).await.map_err(|error| refused(&arguments.url, &error, has_key))?;
    client.join(FEED, Mode::RECEIVE).await.map_err(|error| no_figures(&error))?;
    let mut shown = match () {
        () if arguments.json => Shown::Json,
        () if io::stdout().is_terminal() && !arguments.once => Shown::Screen(Terminal::enter()?),
        () => Shown::Lines,
    };
    let mut figures = Figures::default();
    let mut next = Instant::now();
    loop {
        match client.next().await? {
            Event::Batch(batch) | Event::Snapshot(batch) if figures.handle(&batch) && is_due(&figures, next) => {
                next = Instant::now() + arguments.interval;
                show(&mut shown, &figures, arguments)?;
                if arguments.once {
                    // Enough was shown; a server that does not say goodbye changes nothing.
                    let _ = client.close().await;
                    return Ok(());
                }
            }
            // Who stays holds up the server's end (PROTOCOL 6.9).
            Event::GoingAway { .. } => return Err(Failure::Runtime("the server is going away".into())),
            Event::Left { reason, .. } => return Err(Failure::Runtime(format!("the figures have ended, {reason}"))),
            Event::Closed(closing) => {
                drop(shown);
                let why = closing.reason.map(|reason| output::reason(reason, &closing.text));
                let why = why.unwrap_or_else(|| "the connection ended without a reason".into());
                return Err(Failure::Runtime(format!("the session has ended: {why}")));
            }
            _ => {}
        }
    }
}

/// Whether it is time to show. The first look has nothing to compare with; half a look early is not too early.
fn is_due(figures: &Figures, next: Instant) -> bool {
    figures.has_rates() && Instant::now() + Duration::from_millis(500) >= next
}

fn show(shown: &mut Shown, figures: &Figures, arguments: &TopArguments) -> Result<(), Failure> {
    match shown {
        Shown::Screen(terminal) => {
            let (width, height) = terminal.size();
            terminal.draw(&screen::lines(figures, arguments.sort, width, Some(height)))?;
        }
        Shown::Lines => {
            let mut text = screen::lines(figures, arguments.sort, terminal::size().0, None).join("\n");
            text.push_str(if arguments.once { "\n" } else { "\n\n" });
            print(&text)?;
        }
        Shown::Json => print(&format!("{}\n", figures.json(arguments.sort)))?,
    }
    Ok(())
}

/// Writes and flushes: whoever reads a pipe wants to see it now.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The key of a flag, of a file, or of the environment.
fn key(arguments: &TopArguments) -> Result<Option<String>, Failure> {
    let key = match (&arguments.key, &arguments.key_file) {
        (Some(key), _) => Some(key.clone()),
        (None, Some(path)) => {
            let failure = |what: &dyn std::fmt::Display| Failure::Usage(format!("{}: {what}", path.display()));
            let length = std::fs::metadata(path).map_err(|error| failure(&error))?.len();
            if length > LARGEST_FILE {
                return Err(failure(&"a file with a key has at most 4 KiB"));
            }
            Some(std::fs::read_to_string(path).map_err(|error| failure(&error))?)
        }
        (None, None) => std::env::var(VARIABLE).ok(),
    };
    let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    match key {
        Some(key) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Failure::Usage("a key has no spaces and no letters beyond ASCII".into()))
        }
        key => Ok(key),
    }
}

/// What to do about a connection that was refused.
fn refused(url: &Url, error: &Error, has_key: bool) -> Failure {
    let hint = match error {
        Error::Http { status: 401, .. } if has_key => "the key is not one of the server's ([admin] keys)",
        Error::Http { status: 401, .. } => "a key is needed: --key-file FILE, or TICKWIRE_API_KEY",
        Error::Http { status: 403, .. } => "the server has no [admin] keys, or this one may not read",
        Error::Http { status: 404 | 426, .. } => {
            "there is no console: the server is older than this program, or the path is not /admin/ws"
        }
        Error::Http { status: 429, .. } => "too many keys were wrong; try later",
        _ => return no_connection(url, error),
    };
    Failure::Runtime(format!("{url}: {hint}"))
}

/// What to do about a session that has no figures.
fn no_figures(error: &Error) -> Failure {
    let hint = match error {
        Error::Refused(refusal) if refusal.reason == Reason::NOT_ALLOWED => {
            "\nThe address must be the operators' (/admin/ws), and the key for all rooms."
        }
        _ => "",
    };
    Failure::Runtime(format!("{FEED}: {}{hint}", output::error(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let url: Url = DEFAULT_URL.parse().unwrap();
        let check = |error: Error, has_key: bool, expected: &str| {
            let text = refused(&url, &error, has_key).to_string();
            assert!(text.contains(expected), "{text}");
        };
        check(Error::Http { status: 401, after: None }, true, "the key is not one");
        check(Error::Http { status: 401, after: None }, false, "TICKWIRE_API_KEY");
        check(Error::Http { status: 403, after: None }, true, "may not read");
        check(Error::Http { status: 404, after: None }, true, "older than this program");
        check(Error::Http { status: 429, after: None }, true, "try later");
        check(Error::Connect(io::ErrorKind::ConnectionRefused.into()), true, "tickwire serve");
    }

    #[test]
    fn a_key_is_one_word() {
        let arguments = |key: &str| TopArguments {
            url: DEFAULT_URL.parse().unwrap(),
            key: Some(key.into()),
            key_file: None,
            sort: Sort::Members,
            json: false,
            once: true,
            interval: Duration::from_secs(1),
        };
        assert_eq!(key(&arguments(" 0123456789abcdef\n")).unwrap().as_deref(), Some("0123456789abcdef"));
        assert_eq!(key(&arguments("  ")).unwrap(), None);
        assert!(matches!(key(&arguments("a b")), Err(Failure::Usage(_))));
        let file = TopArguments { key: None, key_file: Some("/nowhere/key".into()), ..arguments("") };
        assert!(key(&file).unwrap_err().to_string().contains("/nowhere/key"));
    }
}
