//! One line on a terminal that says how far a command is; nothing where there is no terminal.

use std::io::{self, IsTerminal, Write};

/// The line. It is ended when this is dropped, so that what follows begins a new one.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    shown: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: false }
    }

    /// Shows this instead of what was shown before.
    pub(super) fn show(&mut self, line: impl FnOnce() -> String) {
        if self.terminal {
            // Back to the front, and erase: ECMA-48. A terminal that is gone needs no progress.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line());
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = writeln!(io::stderr());
        }
    }
}
