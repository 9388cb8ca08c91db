//! A naive model of the rooms, run beside the dispatcher: whatever is asked of both, every
//! receiver must be told the same.
//!
//! ```text
//! ops ──> Run ──> Dispatcher ──frames──> Recorder ──> Seen ──> Heard ─┐
//!          └────> Naive (vectors and sorted maps) ───────────> Heard ─┴─ equal
//! ```
//!
//! It shares no code with the dispatcher; frames are read with the library's decoders, which have
//! tests of their own. The fuzz crate includes this folder by its path, so it needs nothing else.

mod heard;
mod naive;
mod op;
mod recorder;
mod room;
mod run;
mod seen;

pub use heard::{Batch, Heard, Snapshot, hear};
pub use op::Op;
pub use recorder::Recorder;
pub use run::run;
pub use seen::{Seen, see};
