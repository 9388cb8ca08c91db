//! What one generator process has to do, as it travels on its command line.
//!
//! ```text
//! peers --generate dialect=tickwire-ws work=A port=40123 pid=4711 warm=2 seconds=5 gather=33
//! ```

use std::fmt::Display;
use std::io;
use std::str::FromStr;

use super::workload::Workload;

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    pub(crate) dialect: String,
    /// A name of [`Workload::named`], `I`, `satA`, `satB`, or a size.
    pub(crate) work: String,
    pub(crate) port: u16,
    /// The server's process.
    pub(crate) pid: u32,
    pub(crate) warm: f64,
    pub(crate) seconds: f64,
    /// Milliseconds for which senders gather, where the workload has them do so.
    pub(crate) gather: u64,
    /// Connections of `I`.
    pub(crate) connections: u32,
}

impl Task {
    /// As [`Self::from_arguments`] reads it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let pair = |name: &str, value: &dyn Display| format!("{name}={value}");
        vec![
            pair("dialect", &self.dialect),
            pair("work", &self.work),
            pair("port", &self.port),
            pair("pid", &self.pid),
            pair("warm", &self.warm),
            pair("seconds", &self.seconds),
            pair("gather", &self.gather),
            pair("connections", &self.connections),
        ]
    }

    /// Reads what [`Self::arguments`] writes.
    pub(crate) fn from_arguments(arguments: &[String]) -> io::Result<Self> {
        let find = |name: &str| {
            let found = arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| io::Error::other(format!("the generator needs {name}")))
        };
        Ok(Self {
            dialect: find("dialect")?.into(),
            work: find("work")?.into(),
            port: number(find("port")?)?,
            pid: number(find("pid")?)?,
            warm: number(find("warm")?)?,
            seconds: number(find("seconds")?)?,
            gather: number(find("gather")?)?,
            connections: number(find("connections")?)?,
        })
    }

    /// The load: a named one, or a [`Size`].
    pub(crate) fn workload(&self) -> io::Result<Workload> {
        let name = self.work.strip_prefix("sat").unwrap_or(&self.work);
        let sized = || Size::from_name(name).map(|size| Workload::rooms(size.rooms, size.members, size.rate, 32));
        Workload::named(name).or_else(sized).ok_or_else(|| io::Error::other(format!("no workload {name}")))
    }
}

/// Rooms in which each member sends to all, at a size that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    pub(crate) rooms: u32,
    pub(crate) members: u32,
    pub(crate) rate: f64,
}

impl Size {
    /// Its name as a workload: `100x10@20`.
    pub(crate) fn name(&self) -> String {
        format!("{}x{}@{}", self.rooms, self.members, self.rate)
    }

    fn from_name(name: &str) -> Option<Self> {
        let (rooms, rest) = name.split_once('x')?;
        let (members, rate) = rest.split_once('@')?;
        let size = Self { rooms: rooms.parse().ok()?, members: members.parse().ok()?, rate: rate.parse().ok()? };
        size.is_valid().then_some(size)
    }

    /// At least two to a room, at most 10,000 connections, and a finite rate.
    pub(crate) fn is_valid(&self) -> bool {
        let connections = self.rooms.saturating_mul(self.members);
        self.rooms > 0 && self.members > 1 && connections <= 10_000 && self.rate > 0.0 && self.rate <= 1e6
    }
}

/// Reads a number.
pub(crate) fn number<T: FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| io::Error::other(format!("{text} is not a number that fits here")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_survives_its_command_line() {
        let task = Task {
            dialect: "tickwire-ws".into(),
            work: "10x100@0.5".into(),
            port: 65_535,
            pid: 7,
            warm: 0.25,
            seconds: 5.0,
            gather: 33,
            connections: 5000,
        };
        assert_eq!(Task::from_arguments(&task.arguments()).unwrap(), task);
        let work = task.workload().unwrap();
        assert_eq!((work.members.len(), work.total_rate()), (1000, 500.0));
        assert!(Task::from_arguments(&task.arguments()[1..]).is_err());
        assert!(Task { work: "satB".into(), ..task }.workload().is_ok());
    }

    #[test]
    fn sizes_have_bounds() {
        let size = |name| Size::from_name(name);
        assert!(size("1000x10@1").is_some() && size("1x10000@0.01").is_some());
        assert!(size("0x10@1").is_none() && size("10x1@1").is_none() && size("1000x11@1").is_none());
        assert!(size("99999x99999@1").is_none() && size("10x10@0").is_none() && size("10x10@NaN").is_none());
    }
}
