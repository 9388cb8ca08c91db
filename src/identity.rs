//! Who a peer is, as somebody has proved it outside the core (PROTOCOL 15.1).

use std::sync::Arc;

use bytes::Bytes;

use crate::grants::Grants;

/// Who a peer is, and what that allows. Shared by its session and its memberships.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name; empty where it is anonymous. At most [`Identity::MAX_NAME`] bytes.
    pub subject: Bytes,
    /// What is shown of it, which it cannot change; empty where it shows what it likes.
    pub info: Bytes,
    /// Names the token, so that it can be revoked alone; empty where it has no name. At most
    /// [`Identity::MAX_NAME`] bytes.
    pub token: Bytes,
    /// What it may do in rooms.
    pub grants: Arc<Grants>,
}

impl Identity {
    /// Bytes of a subject, and of a token's name. 256: both are kept for every session.
    pub const MAX_NAME: usize = 256;
}
