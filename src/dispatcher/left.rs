//! LEFT: the last frame of a room for a session (PROTOCOL 6.6, 11.4).

use std::sync::Arc;

use bytes::Bytes;

use crate::room::encode;
use crate::wire::control::{Command as Tell, Left};
use crate::wire::{Control, Extensions, Handle, Reason, RequestId};

/// The frame; while it waits, the room's id stays taken by its lease.
pub(super) fn left(request: RequestId, handle: Handle, reason: Reason, lease: Arc<()>) -> Bytes {
    let left = Left { handle, reason, extensions: Extensions::NONE };
    let frame = encode(Control::new(request, Tell::Left(left)));
    Bytes::from_owner(Leased { frame, _lease: lease })
}

/// A frame that keeps its room's id taken while it is on its way.
struct Leased {
    frame: Bytes,
    _lease: Arc<()>,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}
