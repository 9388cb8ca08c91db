//! The events of a link, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::Guard;
use super::event::LinkEvent;

/// What happens, in order. It ends when the link is closed, behind the event that says so.
///
/// It is a [`Stream`] too. What waits here is bounded
/// ([`LinkConfig::event_bytes`](super::LinkConfig::event_bytes)): beyond it nothing is read, and the server sees that
/// this application is slow. Who wants no events drops it: rooms still know their latest values and members.
pub struct Events(pub(super) Guard);

impl Events {
    /// What happens next; `None` behind the last event. Cancel safe: no event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<LinkEvent>> {
        let shared = &self.0.0.shared;
        if let Some(event) = shared.take() {
            return Poll::Ready(event);
        }
        shared.waker.register(cx.waker());
        // What came between the look and this wakes nobody.
        shared.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Stream for Events {
    type Item = LinkEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LinkEvent>> {
        self.poll(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.0.shared.stop_listening();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
