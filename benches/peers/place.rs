//! Where processes run: the server on one core and the generator on another, as far as this machine lets us.
//!
//! ```text
//! setpriv --pdeathsig KILL    dies with this process, however that ends
//! python3 -c, or nice -n -20  the server: priority, and a slice of 0.1 ms, so that it gets its core back at once
//! chrt -f 10                  the generator: it must be on time
//! taskset -c 0, -c 1          cores
//! ```

use std::process::{Command, Stdio};

/// What stands before the commands of servers and generators. Each of these replaces itself by what follows, so that
/// a process keeps its number.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) server: Vec<String>,
    pub(crate) generator: Vec<String>,
    /// What is not permitted or not there, in sentences.
    pub(crate) lacks: Vec<String>,
}

impl Place {
    /// Finds out what works here.
    pub(crate) fn find() -> Self {
        let mut place = Self::default();
        let setpriv = ["setpriv", "--pdeathsig", "KILL"];
        if works(&setpriv) {
            place.both(&setpriv, &setpriv);
        }
        let (slice, nice) = (["python3", "-c", SLICE], ["nice", "-n", "-20"]);
        if works(&slice) {
            place.both(&slice, &[]);
        } else if quiet(&nice) {
            place.both(&nice, &[]);
            place.lack("another program may hold the server's core for some milliseconds");
        } else {
            place.lack("the server has no priority over other programs");
        }
        let chrt = ["chrt", "-f", "10"];
        if works(&chrt) {
            place.both(&[], &chrt)
        } else {
            place.lack("the generator is not scheduled first")
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pin = |core| ["taskset", "-c", core];
        if cores > 1 && works(&pin("0")) && works(&pin("1")) {
            place.both(&pin("0"), &pin("1"));
        } else {
            place.lack("server and generator are not pinned to cores of their own");
        }
        place
    }

    fn both(&mut self, server: &[&str], generator: &[&str]) {
        self.server.extend(server.iter().map(ToString::to_string));
        self.generator.extend(generator.iter().map(ToString::to_string));
    }

    fn lack(&mut self, what: &str) {
        self.lacks.push(what.into());
    }
}

/// Gives itself nice -20 and a slice of 100,000 ns with `sched_setattr`, for which no program of every system has an
/// option, and becomes what follows. With the usual slice a stray job holds the core for a tick of the kernel, 4 ms.
const SLICE: &str = "
import ctypes, os, struct, sys
number = {'x86_64': 314, 'aarch64': 274}[os.uname().machine]
attributes = ctypes.create_string_buffer(struct.pack('=IIQiIQQQ', 48, 0, 0, -20, 0, 100000, 0, 0), 48)
if ctypes.CDLL(None).syscall(number, 0, attributes, 0): sys.exit(1)
os.execvp(sys.argv[1], sys.argv[1:])
";

/// Whether a command can stand before another.
fn works(prefix: &[&str]) -> bool {
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The same for one that goes on, with a complaint, where it may not.
fn quiet(prefix: &[&str]) -> bool {
    let output = Command::new(prefix[0]).args(&prefix[1..]).arg("true").output();
    output.is_ok_and(|output| output.status.success() && output.stderr.is_empty())
}
