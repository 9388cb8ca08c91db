//! What a test can ask of the rooms: four bytes each, so that anything is a list of them.

/// One step. Sessions, rooms and handles are places in small tables. `Written`: the last tick is written, and that took so
/// long; `CaughtUp`: what came meanwhile is handled.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Join { session: u8, room: u8, handle: u8, mode: u8, since: u8, data: u8 },
    Leave { session: u8, handle: u8 },
    Event { session: u8, handle: u8, urgent: bool, len: u8 },
    Value { session: u8, handle: u8, urgent: bool, key: u8, len: u8 },
    Direct { session: u8, handle: u8, urgent: bool, to: u8, len: u8 },
    Presence { session: u8, handle: u8, data: u8 },
    End { session: u8 },
    Wait { millis: u64 },
    Written { millis: u64 },
    CaughtUp,
    Drained,
}

/// How many sessions run at a time.
pub const SESSIONS: u8 = 5;

/// How many handles a session uses.
pub const HANDLES: u8 = 3;

impl Op {
    /// Every four bytes are an operation.
    pub fn read([what, who, first, second]: [u8; 4]) -> Self {
        let (session, handle) = (who % SESSIONS, who / SESSIONS % HANDLES);
        let urgent = what >= 0xa0;
        match what % 16 {
            0..=2 => Self::Join {
                session,
                handle,
                room: first % 4,
                mode: 1 + (first / 4) % 7,
                since: second % 4,
                data: second / 4,
            },
            3 => Self::Leave { session, handle },
            4..=6 => Self::Event { session, handle, urgent, len: first % 60 },
            7..=9 => Self::Value { session, handle, urgent, key: first % 8, len: (second % 60).saturating_sub(20) },
            10 => Self::Direct { session, handle, urgent, to: first % 6, len: second % 40 },
            11 => Self::Presence { session, handle, data: first % 30 },
            12 if first < 80 => Self::End { session },
            13 if first < 100 => Self::Written { millis: u64::from(second % 128) },
            13 if first < 200 => Self::CaughtUp,
            12 | 13 => Self::Drained,
            // Mostly less than a tick, sometimes a stall.
            _ => Self::Wait { millis: if second < 8 { 1000 } else { u64::from(first % 64) } },
        }
    }
}
