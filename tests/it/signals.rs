//! `tickwire serve` as a process: what SIGHUP does to it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a line may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a file of its own; both are gone with this.
struct Serving {
    child: Child,
    file: PathBuf,
    lines: Receiver<String>,
}

impl Serving {
    fn start(text: &str) -> Self {
        let file = std::env::temp_dir().join(format!("tickwire-signals-{}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
        let command = command.args(["serve", "--no-admin", "--config"]).arg(&file).env("TICKWIRE_LOG", "tickwire=info");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in out {
            let sender = sender.clone();
            std::thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Self { child, file, lines }
    }

    fn signal(&self, name: &str) {
        // A shell has it built in.
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for a line that contains this, and gives all up to it.
    fn told(&self, expected: &str) -> String {
        let mut all = String::new();
        while !all.lines().last().is_some_and(|line| line.contains(expected)) {
            let line = self.lines.recv_timeout(PATIENCE);
            all += &line.unwrap_or_else(|_| panic!("waited in vain for {expected:?} after {all}"));
            all.push('\n');
        }
        all
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
        let _gone = std::fs::remove_file(&self.file);
    }
}

#[test]
fn a_server_reads_its_configuration_again_and_lives_through_a_wrong_one() {
    let top = "listen = '127.0.0.1:0'\ntcp = false\nshards = 1\n";
    let mut serving = Serving::start(&format!("{top}[limits]\nmax_rooms = 7\n"));
    serving.told("Ctrl-C");
    std::fs::write(&serving.file, format!("{top}[limits]\nmax_rooms = 'many'\n")).unwrap();
    serving.signal("HUP");
    let told = serving.told("max_rooms");
    assert!(
        told.contains("ERROR") && told.contains("not changed") && told.contains("'many' is not a number"),
        "{told}"
    );
    std::fs::write(&serving.file, format!("{top}[limits]\nmax_rooms = 9\nmax_connections = 5\n")).unwrap();
    // Two at once are one, or two of which the second finds nothing new.
    serving.signal("HUP");
    serving.signal("HUP");
    let told = serving.told("limits.max_rooms: 7 -> 9 (for new connections)");
    assert!(told.contains("limits.max_connections: 10000 -> 5 (at the next start)"), "{told}");
    serving.signal("TERM");
    serving.told("stopping");
    assert!(serving.child.wait().unwrap().success());
}
