//! Tickwire beside other servers, and beside the floor: the same load for each, one server at a time.
//!
//! ```text
//! cargo bench --bench peers                                    all workloads, what is installed, a tick of 33 ms
//! cargo bench --bench peers -- --install                       fetch peers by package name, below $TMPDIR
//! cargo bench --bench peers -- --work A,C --only tickwire,redis --pairs 5 --table table.md --svg chart.svg
//!
//! this process ──starts──> server (core 0), fresh for each measurement
//!              ──starts──> generator (core 1) ──TCP, WebSocket──> server
//!              <──figures── generator             <── every delivery is checked
//! ```
//!
//! What is measured, how, and what can go wrong: docs/benchmarks.md. Linux only.

#![allow(clippy::print_stdout, reason = "a program that prints a table")]
#![cfg_attr(test, allow(dead_code, unused_imports, reason = "a bench has `test` set, and its tests left out"))]

mod chart;
mod child;
mod clock;
mod connection;
mod dialect;
mod floor;
mod generator;
mod histogram;
mod idle;
mod install;
mod launch;
mod ledger;
mod machine;
mod measure;
mod options;
mod place;
mod process;
mod record;
mod roster;
mod runner;
mod saturation;
mod schedule;
mod scratch;
mod summary;
mod table;
mod task;
mod websocket;
mod workload;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use self::machine::Machine;
use self::options::Options;
use self::summary::Summary;
use self::task::{Task, number};

fn main() -> ExitCode {
    if !cfg!(target_os = "linux") {
        println!("this bench reads /proc and pins processes to cores: it runs on Linux only");
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match &arguments[..] {
        [first, task @ ..] if first == child::GENERATE => generate(task),
        [first, port, millis, carrier, when] if first == child::FLOOR => serve_floor(port, millis, carrier, when),
        _ => compare(&arguments),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// This program as the load generator.
fn generate(arguments: &[String]) -> io::Result<bool> {
    let figures = measure::run(&Task::from_arguments(arguments)?)?;
    println!("{}", serde_json::Value::Object(figures));
    Ok(true)
}

/// This program as the floor.
fn serve_floor(port: &str, millis: &str, carrier: &str, when: &str) -> io::Result<bool> {
    let tick = Duration::from_millis(number(millis)?);
    floor::serve(number(port)?, tick, carrier == "ws", when == child::URGENT)?;
    Ok(true)
}

/// Measures, and tells; whether every delivery was as it had to be.
fn compare(arguments: &[String]) -> io::Result<bool> {
    let options = Options::from_arguments(arguments)?;
    if options.install {
        install::run()?;
    }
    let run = runner::run(&options)?;
    let summary = Summary::new(&run.records);
    let machine = Machine::here();
    let table = table::markdown(&summary, &machine, &run, &options);
    println!("{table}");
    if let Some(path) = &options.table {
        std::fs::write(path, &table)?;
    }
    if let Some(path) = &options.svg {
        std::fs::write(path, chart::svg(&summary, &machine))?;
    }
    Ok(run.records.iter().all(|record| record.error.is_none()) && run.inexact().is_empty())
}
