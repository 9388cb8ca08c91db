//! `tickwire config`: says what is wrong with a configuration, and what it comes to.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde_json::json;
use tickwire::auth::Source;

use super::config::show::{Secrets, default_file, reference};
use super::config::{Config, Problems};
use super::serve::ServeArguments;
use super::{Failure, run_on_one_thread};

/// What to do with a configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read all that a server would, certificates and keys too, and say what is wrong; exit status 2 where something is
    Check(Read),
    /// Print a file with every key, its default, and what it means
    Default,
    /// Print what a server would do, and who has said so: a flag, a variable, a line of the file, or nobody
    Show(Read),
    /// Print the reference in docs/configuration.md
    #[command(hide = true)]
    Reference,
}

/// Which configuration: as for `serve`.
#[derive(Debug, Args)]
struct Read {
    #[command(flatten)]
    serve: ServeArguments,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(crate) fn run(arguments: &ConfigArguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Check(arguments) => run_on_one_thread(check(arguments)),
        Command::Default => print(&default_file()),
        Command::Show(arguments) => show(arguments),
        Command::Reference => print(&reference()),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn show(arguments: &Read) -> Result<(), Failure> {
    let config = Config::load(&arguments.serve.sources()).map_err(|problems| Failure::Usage(problems.to_string()))?;
    match arguments.json {
        true => print(&format!("{}\n", config.to_json())),
        false => print(&config.to_toml(Secrets::Hidden, true)),
    }
}

async fn check(arguments: &Read) -> Result<(), Failure> {
    let (problems, warnings) = match Config::load(&arguments.serve.sources()) {
        Ok(config) => {
            let mut warnings = config.warnings();
            warnings.extend(unreachable_keys(&config).await);
            (check_files(&config), warnings)
        }
        Err(Problems(problems)) => (problems, Vec::new()),
    };
    if arguments.json {
        let shown = json!({ "ok": problems.is_empty(), "errors": problems, "warnings": warnings });
        print(&format!("{shown}\n"))?;
    } else {
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    }
    if !problems.is_empty() {
        return Err(Failure::Usage(Problems(problems).to_string()));
    }
    if arguments.json { Ok(()) } else { print("ok\n") }
}

/// What is wrong with the files that a configuration names.
fn check_files(config: &Config) -> Vec<String> {
    let mut problems = config.verifier().err().unwrap_or_default();
    let addresses: Vec<SocketAddr> = config.websocket.into_iter().chain(config.tcp).collect();
    if let Some(Err(error)) = config.certificate().map(|certificate| certificate.load(&addresses)) {
        problems.push(format!("[tls]: {error}"));
    }
    problems
}

/// Says where keys should be fetched and are not there: a server starts all the same.
async fn unreachable_keys(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for source in config.sources() {
        let place = match &source {
            Source::File(_) => continue,
            Source::Http { authority, path } => format!("http://{authority}{path}"),
            Source::Https { authority, path, .. } => format!("https://{authority}{path}"),
        };
        if source.fetch().await.is_none() {
            warnings.push(format!("auth.issuer: no key set can be fetched from {place} now"));
        }
    }
    warnings
}
