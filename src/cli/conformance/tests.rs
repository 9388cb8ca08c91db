//! Faults, played with the low-level client.
