//! Files that change while a server runs.
//!
//! ```text
//! every 2 s: as they were?          nothing
//!            changed since?         wait: somebody may be writing
//!            changed, and settled?  read, check, swap; where that fails, wait for another change
//! ```

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::sync::watch::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use super::pair::Source;
use super::{Tls, TlsError};

/// Between two looks. 2 s: a certificate is changed days before it must be, and looking costs two calls.
const LOOK: Duration = Duration::from_secs(2);

/// Takes what changes, until the server stops.
pub(in crate::server) async fn watch(tls: Tls, mut stopping: Receiver<bool>) {
    let Some(mut files) = Files::of(tls) else { return };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = looks.tick() => {}
        }
        // Files may be far away.
        let looked = tokio::task::spawn_blocking(move || {
            // What failed was logged, and is tried again when something changes.
            let _ = files.look();
            files
        });
        match looked.await {
            Ok(same) => files = same,
            Err(_) => return,
        }
    }
}

/// The files of a pair, and when they were what.
struct Files {
    tls: Tls,
    read: Stamp,
    seen: Stamp,
}

/// By what a change is seen, of the certificate's file and the key's. A link that points elsewhere is a
/// change too.
pub(super) type Stamp = [Option<(SystemTime, u64)>; 2];

impl Files {
    /// `None` where there are no files.
    fn of(tls: Tls) -> Option<Self> {
        let read = tls.shared.stamp?;
        Some(Self { tls, read, seen: read })
    }

    /// Looks once: what came of a reload, where there was one.
    fn look(&mut self) -> Option<Result<(), TlsError>> {
        let now = stamp(&self.tls.shared.source)?;
        let settled = std::mem::replace(&mut self.seen, now) == now;
        if !settled || now == self.read {
            return None;
        }
        self.read = now;
        Some(self.tls.reload())
    }
}

/// The stamp of a source that is files.
pub(super) fn stamp(source: &Source) -> Option<Stamp> {
    let Source::Files { certificate, key } = source else { return None };
    Some([of_file(certificate), of_file(key)])
}

fn of_file(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

#[cfg(test)]
mod tests {
    use super::super::pair;
    use super::*;

    #[test]
    fn files_are_read_when_they_have_changed_and_settled() {
        let directory = std::env::temp_dir().join(format!("tickwire-watch-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (certificate, key) = (directory.join("chain.pem"), directory.join("key.pem"));
        let write = |comment: &str| {
            let (cert, secret) = pair::self_signed_pem();
            std::fs::write(&certificate, format!("{comment}\n{cert}")).unwrap();
            std::fs::write(&key, format!("{comment}\n{secret}")).unwrap();
        };
        write("one");
        let tls = Tls::from_files(&certificate, &key).unwrap();
        let first = tls.fingerprint();
        let mut files = Files::of(tls.clone()).unwrap();
        assert!(files.look().is_none() && files.look().is_none(), "as they were");
        // Other lengths, since a clock may be coarse.
        write("another");
        assert!(files.look().is_none(), "somebody may be writing");
        assert!(matches!(files.look(), Some(Ok(()))));
        let second = tls.fingerprint();
        assert_ne!(first, second);
        assert!(files.look().is_none(), "once");
        std::fs::write(&key, "nothing").unwrap();
        assert!(files.look().is_none());
        assert!(matches!(files.look(), Some(Err(TlsError::NoKey(_)))));
        assert!(files.look().is_none(), "it is said once");
        assert_eq!(tls.fingerprint(), second);
        std::fs::remove_file(&key).unwrap();
        assert!(files.look().is_none());
        assert!(matches!(files.look(), Some(Err(TlsError::Read(..)))));
        write("the third");
        assert!(files.look().is_none());
        assert!(matches!(files.look(), Some(Ok(()))));
        assert_ne!(tls.fingerprint(), second);
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(Files::of(Tls::self_signed(["localhost"]).unwrap()).is_none());
    }
}
