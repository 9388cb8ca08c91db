//! The command line of Tickwire. `tickwire --help` says what it can do.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
