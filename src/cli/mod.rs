//! The command line: flags in, an exit status out.
//!
//! ```text
//! arguments ──clap──> Command ──> serve | sub | pub | record | replay | bench | bots | top | healthcheck | config | token | conformance
//!                        └──> Failure ──> message, exit status
//! ```

mod bench;
mod bots;
mod config;
mod configure;
mod conformance;
mod contents;
mod healthcheck;
#[cfg(unix)]
mod notify;
mod output;
mod progress;
mod pub_;
mod reach;
mod record;
mod reload;
mod replay;
mod serve;
mod sub;
mod token;
mod top;
mod trim;
mod units;

use std::fmt;
use std::future::Future;
use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tickwire::client::{Client, ClientConfig, Error, Url};

/// A realtime server for games and devices: rooms over a compact binary protocol, batched on a tick.
///
/// Without a command, it serves with working defaults.
#[derive(Debug, Parser)]
#[command(name = "tickwire", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server (the default)
    Serve(serve::ServeArguments),
    /// Print what happens in rooms
    Sub(sub::SubArguments),
    /// Publish to a room
    Pub(pub_::PubArguments),
    /// Write what a room sends to a file
    Record(record::RecordArguments),
    /// Publish a recording, or print what is in it
    Replay(replay::ReplayArguments),
    /// Ask a server whether it is ready: exit status 0 or 1
    Healthcheck(healthcheck::HealthcheckArguments),
    /// Show what a server does, and its rooms
    Top(top::TopArguments),
    /// Check, show and explain configurations
    Config(configure::ConfigArguments),
    /// Make, show and verify tokens
    Token(token::TokenArguments),
    /// Put load on a server, and check and measure every delivery
    Bench(bench::BenchArguments),
    /// Let dots wander through the arena of the first page
    Bots(bots::BotsArguments),
    /// Run a server that misbehaves on command, to prove clients against
    Conformance(conformance::ConformanceArguments),
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Sub(arguments) => sub::run(arguments),
        Command::Pub(arguments) => pub_::run(arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Config(arguments) => configure::run(&arguments),
        Command::Token(arguments) => token::run(arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Bots(arguments) => bots::run(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
    };
    match done {
        // Who reads our output has had enough: that is how pipes end.
        Ok(()) | Err(Failure::Output(io::ErrorKind::BrokenPipe)) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tickwire: {failure}");
            failure.exit_code()
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// What was asked for makes no sense: exit status 2, as for unknown flags.
    Usage(String),
    /// It made sense and did not work: exit status 1.
    Runtime(String),
    /// The output could not be written.
    Output(io::ErrorKind),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Runtime(_) | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Runtime(text) => f.write_str(text),
            Self::Output(kind) => write!(f, "the output cannot be written: {kind}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error.kind())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Runtime(output::error(&error))
    }
}

/// Connects, and says how to get a server where there is none.
async fn connect(config: &ClientConfig) -> Result<Client, Failure> {
    Client::connect(config).await.map_err(|error| no_connection(&config.url, &error))
}

/// What to do about a connection that could not be made.
fn no_connection(url: &Url, error: &Error) -> Failure {
    let hint = match error {
        Error::Connect(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            "\nNo server is listening there. Start one with: tickwire serve"
        }
        Error::Connect(cause) if cause.kind() == io::ErrorKind::InvalidData && url.is_secure() => {
            "\nWith --ca FILE or --fingerprint SHA-256 a certificate is trusted that no public authority signed."
        }
        Error::Http { status: 404, .. } => "\nThe path of a Tickwire server is /ws, or /ws/ and the name of a room.",
        Error::Http { status: 400, .. } => "\nThere may be another WebSocket server at that address.",
        _ => "",
    };
    Failure::Runtime(format!("{url}: {}{hint}", output::error(error)))
}

/// Runs a future on one thread, until it ends.
fn run_on_one_thread(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(format!("the runtime does not start: {error}")))?;
    runtime.block_on(future)
}

/// Runs a future on one thread, until it ends or Ctrl-C.
fn run_until_interrupted(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    run_on_one_thread(async {
        tokio::select! {
            done = future => done,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(|error| Failure::Runtime(format!("Ctrl-C cannot be caught: {error}")))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default() {
        assert!(Arguments::try_parse_from(["tickwire"]).unwrap().command.is_none());
        let with_flags = Arguments::try_parse_from(["tickwire", "--no-tcp"]).unwrap();
        assert!(with_flags.command.is_none());
        assert!(Arguments::try_parse_from(["tickwire", "--no-tcp", "sub", "demo"]).is_err());
        assert!(Arguments::try_parse_from(["tickwire", "sub"]).is_err(), "a room is needed");
    }
}
