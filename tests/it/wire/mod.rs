//! What the codec promises (PROTOCOL 3 to 9).

mod budget;
mod frames;
mod identity;
mod streams;
