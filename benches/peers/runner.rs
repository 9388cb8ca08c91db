//! The order of measurements: a fresh server for each, in turns with the floor.
//!
//! ```text
//! V        everybody once; who is not exact is not measured
//! A        floor, ours | ours, floor | floor, ours ...     by pair, so that a drift of the machine hits both
//!          floor, peer, peer ... | ... peer, peer, floor
//! ```

use std::io::{self, Write};

use super::child::{self, Server};
use super::launch::{self, Launch};
use super::machine;
use super::options::Options;
use super::place::Place;
use super::record::Record;
use super::roster::{Group, Subject, groups};
use super::scratch::Scratch;
use super::task::Task;

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) records: Vec<Record>,
    /// Servers that were not measured, and why.
    pub(crate) skipped: Vec<(String, String)>,
    /// What this machine does not permit.
    pub(crate) lacks: Vec<String>,
}

impl Run {
    /// Servers that were looked at byte by byte, and were not exact.
    pub(crate) fn inexact(&self) -> Vec<&str> {
        let wrong = self.records.iter().filter(|record| record.work.starts_with('V') && !record.is_exact());
        wrong.map(|record| record.server.as_str()).collect()
    }

    fn skip(&mut self, server: &str, why: String) {
        if self.skipped.iter().all(|(name, _)| name != server) {
            eprintln!("skipped {server}: {why}");
            self.skipped.push((server.into(), why));
        }
    }
}

/// Measures everything that was asked for.
pub(crate) fn run(options: &Options) -> io::Result<Run> {
    let mut bench = Bench { options, place: Place::find(), scratch: Scratch::new()?, run: Run::default() };
    // Servers and generators inherit it.
    let descriptors = rlimit::increase_nofile_limit(65_536)?;
    if descriptors < 12_500 {
        bench.place.lacks.push(format!("a process has at most {descriptors} descriptors"));
    }
    bench.run.lacks.clone_from(&bench.place.lacks);
    bench.run.lacks.iter().for_each(|lack| eprintln!("note: {lack}"));
    if let Some(path) = &options.json {
        std::fs::File::create(path)?;
    }
    for work in &options.works {
        let groups = bench.present(groups(options, work));
        if work == "V" {
            bench.verify(&groups)?;
            continue;
        }
        for pair in 1..=rounds(options, work) {
            for group in &groups {
                bench.round(group, work, pair)?;
            }
        }
    }
    if bench.run.records.is_empty() {
        return Err(io::Error::other("nobody is there to be measured: see --only and --install"));
    }
    Ok(bench.run)
}

/// Idle memory hardly differs from run to run, and a search takes a minute: a fifth is enough of these.
fn rounds(options: &Options, work: &str) -> u32 {
    if work == "I" || work.starts_with("sat") { options.pairs.div_ceil(5) } else { options.pairs }
}

struct Bench<'a> {
    options: &'a Options,
    place: Place,
    scratch: Scratch,
    run: Run,
}

impl Bench<'_> {
    /// The groups without servers that are not here or were not exact.
    fn present(&mut self, mut groups: Vec<Group>) -> Vec<Group> {
        for group in &mut groups {
            group.subjects.retain(|subject| {
                if let Some(lack) = launch::lack(subject, self.options) {
                    self.run.skip(&subject.name, lack);
                } else if self.run.inexact().contains(&subject.name.as_str()) {
                    self.run.skip(&subject.name, "it was not exact".into());
                } else {
                    return true;
                }
                false
            });
        }
        groups.retain(|group| !group.subjects.is_empty());
        groups
    }

    /// Looks at every byte of everybody, the floors once each.
    fn verify(&mut self, groups: &[Group]) -> io::Result<()> {
        let mut verified = Vec::new();
        for group in groups {
            for subject in std::iter::once(&group.floor).chain(&group.subjects) {
                if verified.contains(&&subject.name) {
                    continue;
                }
                for work in ["VA", "VB", "VD", "VG"] {
                    self.measure(subject, work, &group.name, 1)?;
                }
                verified.push(&subject.name);
            }
        }
        Ok(())
    }

    fn round(&mut self, group: &Group, work: &str, pair: u32) -> io::Result<()> {
        let mut order: Vec<&Subject> = std::iter::once(&group.floor).chain(&group.subjects).collect();
        if pair.is_multiple_of(2) {
            order.reverse();
        }
        order.into_iter().try_for_each(|subject| self.measure(subject, work, &group.name, pair))
    }

    /// One measurement; what goes wrong in it is its result.
    fn measure(&mut self, subject: &Subject, work: &str, group: &str, pair: u32) -> io::Result<()> {
        let (figures, error) = match self.figures(subject, work) {
            Ok(figures) => (figures, None),
            Err(error) => (Default::default(), Some(error.to_string())),
        };
        let (server, work, group) = (subject.name.clone(), work.to_owned(), group.to_owned());
        let record = Record { server, work, group, pair, figures, error, at: machine::now() };
        eprintln!("{}", record.brief());
        if let Some(path) = &self.options.json {
            let mut file = std::fs::File::options().append(true).open(path)?;
            writeln!(file, "{}", record.json())?;
        }
        self.run.records.push(record);
        Ok(())
    }

    fn figures(&self, subject: &Subject, work: &str) -> io::Result<super::measure::Figures> {
        let launch = Launch::new(subject, work, self.options, &self.scratch)?;
        let server = Server::start(&launch, &self.place, self.scratch.path())?;
        let slow = work.starts_with('V');
        let task = Task {
            dialect: subject.dialect.clone(),
            work: work.into(),
            port: launch.port,
            pid: server.pid(),
            warm: if slow { 0.2 } else { self.options.warm },
            seconds: if slow { 2.0 } else { self.options.seconds },
            // Those who have no tick, or one of 0, are offered the same chunks.
            gather: subject.tick().filter(|tick| *tick > 0).unwrap_or(33),
            connections: self.options.connections,
        };
        child::generate(&task, &self.place, self.scratch.path())
    }
}
