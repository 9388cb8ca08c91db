//! Tests of the bench's parts: a bench of its own harness runs none.

#[path = "main.rs"]
mod peers;
