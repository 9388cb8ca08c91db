//! What was asked for on the command line.

use std::io;
use std::path::PathBuf;

use super::task::{Size, number};

/// What to measure, and where to put it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// Names of workloads, in the order in which they run.
    pub(crate) works: Vec<String>,
    /// Names of servers, or what they begin with; empty for the usual ones.
    pub(crate) only: Vec<String>,
    /// Ticks of Tickwire and the floor, in milliseconds.
    pub(crate) ticks: Vec<u64>,
    pub(crate) pairs: u32,
    pub(crate) seconds: f64,
    pub(crate) warm: f64,
    /// Connections of the idle workload.
    pub(crate) connections: u32,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) table: Option<PathBuf>,
    /// The `tickwire` program.
    pub(crate) server: Option<PathBuf>,
    pub(crate) install: bool,
    /// As it was written, for the table.
    pub(crate) command: String,
}

impl Options {
    pub(crate) fn from_arguments(arguments: &[String]) -> io::Result<Self> {
        let mut options = Self {
            works: WORKS.map(String::from).to_vec(),
            only: Vec::new(),
            ticks: vec![33],
            pairs: 5,
            seconds: 5.0,
            warm: 2.0,
            connections: 5000,
            json: None,
            svg: None,
            table: None,
            server: None,
            install: false,
            command: String::new(),
        };
        let (mut rooms, mut members, mut rate) = (None, None, None);
        let mut rest = arguments.iter().filter(|argument| *argument != "--bench");
        let mut shown = Vec::new();
        while let Some(name) = rest.next() {
            if name == "--install" {
                options.install = true;
                continue;
            }
            let value = rest.next().ok_or_else(|| io::Error::other(format!("{name} needs a value\n{USAGE}")))?;
            let list = || value.split(',').filter(|item| !item.is_empty()).map(String::from).collect();
            match name.as_str() {
                "--work" => options.works = list(),
                "--only" => options.only = list(),
                "--ticks" => options.ticks = value.split(',').map(number).collect::<io::Result<_>>()?,
                "--pairs" => options.pairs = number::<u32>(value)?.clamp(1, 100),
                "--seconds" => options.seconds = number::<f64>(value)?.clamp(0.5, 60.0),
                "--warm" => options.warm = number::<f64>(value)?.clamp(0.0, 60.0),
                "--connections" => options.connections = number::<u32>(value)?.clamp(10, 10_000),
                "--rooms" => rooms = Some(number(value)?),
                "--members" => members = Some(number(value)?),
                "--rate" => rate = Some(number(value)?),
                "--json" => options.json = Some(value.into()),
                "--svg" => options.svg = Some(value.into()),
                "--table" => options.table = Some(value.into()),
                "--server" => options.server = Some(value.into()),
                _ => return Err(io::Error::other(format!("unknown: {name}\n{USAGE}"))),
            }
            // Where files are is nobody else's matter.
            if !["--json", "--svg", "--table", "--server"].contains(&name.as_str()) {
                shown.extend([name.as_str(), value.as_str()]);
            }
        }
        options.command = ["cargo bench --bench peers", if shown.is_empty() { "" } else { " -- " }].concat();
        options.command += &shown.join(" ");
        if rooms.is_some() || members.is_some() || rate.is_some() {
            options.take_size(rooms.unwrap_or(1), members.unwrap_or(10), rate.unwrap_or(20.0))?;
        }
        options.check()
    }

    /// A size in place of the workloads, for the floor and Tickwire unless others are asked for.
    fn take_size(&mut self, rooms: u32, members: u32, rate: f64) -> io::Result<()> {
        let size = Size { rooms, members, rate };
        if !size.is_valid() {
            return Err(io::Error::other("rooms of at least 2 members, together at most 10000, and a rate above 0"));
        }
        self.works = vec![size.name()];
        if self.only.is_empty() {
            self.only = vec!["tickwire".into()];
        }
        Ok(())
    }

    fn check(mut self) -> io::Result<Self> {
        if self.ticks.is_empty() || self.ticks.iter().any(|tick| *tick > 1000) {
            return Err(io::Error::other("ticks are from 0 to 1000 ms"));
        }
        let unknown = self.works.iter().find(|work| !WORKS.contains(&work.as_str()) && !work.contains('@'));
        if let Some(work) = unknown {
            return Err(io::Error::other(format!("no workload {work}; there are {}", WORKS.join(","))));
        }
        // Figures of a server count once it was exact.
        self.works.sort_by_key(|work| work != "V");
        Ok(self)
    }
}

/// All workloads.
const WORKS: [&str; 9] = ["V", "A", "B", "C", "D", "A100", "I", "satA", "satB"];

const USAGE: &str =
    "cargo bench --bench peers -- [--work V,A,B,C,D,A100,I,satA,satB] [--only NAME,...] [--ticks 16,33,50]
    [--pairs 5] [--seconds 5] [--warm 2] [--connections 5000] [--rooms N --members M --rate HZ]
    [--json FILE] [--svg FILE] [--table FILE] [--server PATH] [--install]";

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> io::Result<Options> {
        let arguments: Vec<String> = text.split_whitespace().map(String::from).collect();
        Options::from_arguments(&arguments)
    }

    #[test]
    fn without_arguments_everything_is_measured() {
        let all = options("--bench").unwrap();
        assert_eq!((all.works.len(), all.ticks, all.pairs), (9, vec![33], 5));
        assert_eq!(all.command, "cargo bench --bench peers");
    }

    #[test]
    fn the_exactness_comes_first_and_paths_are_not_shown() {
        let some = options("--work C,V,A --json /x/y --ticks 0,50 --pairs 2").unwrap();
        assert_eq!(some.works, ["V", "C", "A"]);
        assert_eq!(some.command, "cargo bench --bench peers -- --work C,V,A --ticks 0,50 --pairs 2");
    }

    #[test]
    fn a_size_takes_the_place_of_the_workloads() {
        let size = options("--rooms 1000 --members 10 --rate 5").unwrap();
        assert_eq!((size.works, size.only), (vec!["1000x10@5".into()], vec!["tickwire".into()]));
        assert!(options("--rooms 1000 --members 100").is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["--work E", "--ticks 2000", "--ticks x", "--pairs", "--quick yes"] {
            assert!(options(text).is_err(), "{text}");
        }
    }
}
