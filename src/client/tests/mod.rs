//! The client against a server that says exactly what a test wants.

mod accepted;
mod basics;
mod capabilities;
mod gather;
mod history;
mod link;
mod link_rooms;
mod link_session;
mod resume;
mod script;
mod time;
