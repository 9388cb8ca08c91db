//! Folders for what must not be in the repository: one of a run, and one for peers that stay.
//!
//! ```text
//! $TMPDIR/tickwire-peers         node/node_modules, venv: what --install fetched
//! $TMPDIR/tickwire-peers-4711    configurations, logs, output of this run; removed at its end
//! ```

use std::io;
use std::path::{Path, PathBuf};

/// The folder of a run.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tickwire-peers-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where installed peers are.
pub(crate) fn installed() -> PathBuf {
    std::env::temp_dir().join("tickwire-peers")
}
