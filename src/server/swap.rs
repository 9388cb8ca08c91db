//! A value that is replaced while others use it: who has taken it keeps what was there.

use std::sync::Arc;

use tokio::sync::watch;

/// Taken once a connection, or once a token, and never per message.
#[derive(Debug)]
pub(super) struct Swap<T>(watch::Sender<Arc<T>>);

impl<T> Swap<T> {
    pub(super) fn new(value: impl Into<Arc<T>>) -> Self {
        Self(watch::Sender::new(value.into()))
    }

    /// What is there now.
    pub(super) fn load(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }

    /// From now on there is this.
    pub(super) fn store(&self, value: impl Into<Arc<T>>) {
        self.0.send_replace(value.into());
    }
}

impl<T: Default> Default for Swap<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
