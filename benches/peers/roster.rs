//! Who is measured: Tickwire in its modes, each beside the floor of its tick, and the peers beside a floor at tick 0.
//!
//! ```text
//! tickwire-tcp-33         floor-tcp-33         carrier, tick in ms
//! tickwire-ws-33-latest   floor-ws-33          values of one key for each sender
//! tickwire-ws-33-urgent   floor-ws-33-urgent   one event in a hundred does not wait for the tick
//! redis, nats-tcp, ...    floor-tcp-0          peers forward at once
//! ```

use super::options::Options;

/// A server in one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// What the generator speaks with it.
    pub(crate) dialect: String,
    pub(crate) kind: Kind,
}

/// What to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With `urgent`, one message in a hundred has its room flushed at once.
    Floor {
        ws: bool,
        tick: u64,
        urgent: bool,
    },
    Tickwire {
        ws: bool,
        tick: u64,
    },
    Mosquitto {
        ws: bool,
    },
    Nats {
        ws: bool,
    },
    Redis,
    UWebSockets,
    NodeWs,
    SocketIo,
}

/// Those who are measured in turns with one floor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) floor: Subject,
    pub(crate) subjects: Vec<Subject>,
}

/// The groups for a workload, as far as they are asked for.
pub(crate) fn groups(options: &Options, work: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    for tick in &options.ticks {
        for ws in [false, true] {
            for mode in MODES {
                let subject = Subject::tickwire(ws, *tick, mode);
                let name = subject.name.clone();
                groups.push(Group { name, floor: Subject::floor(ws, *tick, mode), subjects: vec![subject] });
            }
        }
    }
    for ws in [false, true] {
        let name = format!("peers-{}", carrier(ws));
        groups.push(Group { name, floor: Subject::floor(ws, 0, ""), subjects: peers(ws) });
    }
    for group in &mut groups {
        group.subjects.retain(|subject| subject.is_wanted(options, work));
    }
    groups.retain(|group| !group.subjects.is_empty());
    groups
}

impl Subject {
    /// The floor for a mode of ours. It differs for urgent messages alone.
    fn floor(ws: bool, tick: u64, mode: &str) -> Self {
        let (carrier, urgent) = (carrier(ws), mode == URGENT);
        let mode = if urgent { URGENT } else { "" };
        let (name, dialect) = (format!("floor-{carrier}-{tick}{mode}"), format!("floor{mode}-{carrier}"));
        Self { name, dialect, kind: Kind::Floor { ws, tick, urgent } }
    }

    fn tickwire(ws: bool, tick: u64, mode: &str) -> Self {
        let carrier = carrier(ws);
        let (name, dialect) = (format!("tickwire-{carrier}-{tick}{mode}"), format!("tickwire{mode}-{carrier}"));
        Self { name, dialect, kind: Kind::Tickwire { ws, tick } }
    }

    fn peer(name: &str, dialect: &str, kind: Kind) -> Self {
        Self { name: name.into(), dialect: dialect.into(), kind }
    }

    /// Whether it is Tickwire in one of its modes.
    pub(crate) const fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Tickwire { .. })
    }

    /// Its tick in milliseconds, where it has one.
    pub(crate) const fn tick(&self) -> Option<u64> {
        match self.kind {
            Kind::Floor { tick, .. } | Kind::Tickwire { tick, .. } => Some(tick),
            _ => None,
        }
    }

    fn is_wanted(&self, options: &Options, work: &str) -> bool {
        if options.only.contains(&self.name) {
            return true;
        }
        let begins = |only: &String| self.name.strip_prefix(only.as_str()).is_some_and(|rest| rest.starts_with('-'));
        (options.only.is_empty() || options.only.iter().any(begins)) && self.is_usual(work)
    }

    /// Whether it is measured in this workload without being named.
    fn is_usual(&self, work: &str) -> bool {
        if work == "V" {
            return true;
        }
        let latest = self.name.ends_with("-latest");
        let asked_for = self.name.ends_with("-values") || self.name.ends_with(URGENT);
        // A million deliveries a second: those that write each of them queue without end.
        let too_much = matches!(self.kind, Kind::Mosquitto { .. } | Kind::NodeWs | Kind::SocketIo);
        !asked_for && if work == "A100" { !too_much } else { !latest }
    }
}

fn peers(ws: bool) -> Vec<Subject> {
    if ws {
        vec![
            Subject::peer("uwebsockets", "hub", Kind::UWebSockets),
            Subject::peer("nats-ws", "nats-ws", Kind::Nats { ws }),
            Subject::peer("mosquitto-ws", "mqtt-ws", Kind::Mosquitto { ws }),
            Subject::peer("node-ws", "hub", Kind::NodeWs),
            Subject::peer("socket.io", "socketio", Kind::SocketIo),
        ]
    } else {
        vec![
            Subject::peer("redis", "redis", Kind::Redis),
            Subject::peer("nats-tcp", "nats-tcp", Kind::Nats { ws }),
            Subject::peer("mosquitto-tcp", "mqtt-tcp", Kind::Mosquitto { ws }),
        ]
    }
}

const fn carrier(ws: bool) -> &'static str {
    if ws { "ws" } else { "tcp" }
}

/// Events, events of which some are urgent, values that do not replace each other, values of which the latest counts.
const MODES: [&str; 4] = ["", URGENT, "-values", "-latest"];
const URGENT: &str = "-urgent";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &str, work: &str) -> Vec<String> {
        let arguments = ["--only".into(), only.into(), "--ticks".into(), "16,33".into()];
        let options = Options::from_arguments(&arguments).unwrap();
        let groups = groups(&options, work);
        groups.into_iter().flat_map(|group| group.subjects).map(|subject| subject.name).collect()
    }

    #[test]
    fn everything_is_checked_and_the_usual_is_measured() {
        assert_eq!(names("", "V").len(), 16 + 8);
        assert_eq!(names("", "A").len(), 4 + 8);
        assert_eq!(names("", "A100").len(), 8 + 4);
    }

    #[test]
    fn names_choose_exactly_or_by_their_beginning() {
        assert_eq!(names("tickwire-tcp,redis", "A"), ["tickwire-tcp-16", "tickwire-tcp-33", "redis"]);
        assert_eq!(names("tickwire-ws-33-latest", "A"), ["tickwire-ws-33-latest"]);
        assert_eq!(names("redis,nats", "B"), ["redis", "nats-tcp", "nats-ws"]);
        assert!(names("tick", "A").is_empty());
    }

    #[test]
    fn each_is_beside_the_floor_of_its_tick() {
        let options = Options::from_arguments(&[]).unwrap();
        for group in groups(&options, "V") {
            for subject in &group.subjects {
                assert_eq!(subject.tick().unwrap_or(0), group.floor.tick().unwrap());
            }
        }
    }
}
