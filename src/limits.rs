//! Every bound that a peer can meet, its default, and the reason for it (PROTOCOL 13).

use core::time::Duration;

use crate::deflate::Deflater;
use crate::wire::Record;

/// The bounds of a server. Start from [`Limits::default`] and change what you must.
///
/// Byte counts are bytes on the wire unless a field says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Payload of a frame, either way. 16 KiB: a frame is what a client must hold at once, and
    /// devices and browsers like small ones. At most 65,535.
    pub max_frame: usize,
    /// Payload of a frame before hello was accepted. 4 KiB: room for a token with a few grants,
    /// little enough for a thousand strangers at once.
    pub max_hello_frame: usize,
    /// Payload of a message. 15 KiB: with head and record around it, it still fits a frame.
    pub max_message: usize,
    /// Bytes of a token in a hello. 4000: what fits the first frame with everything else. At least 96 below
    /// `max_hello_frame`.
    pub max_token: usize,
    /// Rooms a session may be in. 128: what players and dashboards need, and the bound on one
    /// session's share of every map.
    pub max_rooms: usize,
    /// Data with a join, and a logic's answer. 1 KiB: a ticket or a name, not a state.
    pub max_join_data: usize,
    /// Presence data of a member. 256 bytes: it is sent to everyone, and kept.
    pub max_presence_data: usize,
    /// Members of a room. 65,536: beyond that one flush on one shard takes too long.
    pub max_members: usize,
    /// Rooms on a shard. 100,000: about 90 MB when all are empty (docs/memory.md).
    pub max_shard_rooms: usize,
    /// Values of a room. 4,096: a snapshot of them stays below a few hundred kilobytes.
    pub max_room_values: usize,
    /// Values of one member. 256: one member cannot take all of the room's.
    pub max_member_values: usize,
    /// Bytes of all values of a room, [`Limits::VALUE_OVERHEAD`] counted for each beside its payload. 1 MiB.
    pub max_value_bytes: usize,
    /// Bytes a room gathers for one flush, presence of newcomers included. 128 KiB: half of the outbox, so that one batch alone
    /// never closes a receiver who has read everything before it.
    pub max_batch: usize,
    /// Bytes of records from which a frame is compressed for those who can read that. 128: below, a
    /// deflate stream saves less than it costs.
    pub deflate_threshold: usize,
    /// Bytes that all rooms together keep: history and values. 256 MiB: a thousand busy rooms with a
    /// minute of the past each. Shards share it evenly; the oldest history goes first.
    pub kept_bytes: usize,
    /// Directs a room gathers for one flush. 256: each becomes a frame, and all may be for one member.
    pub max_directs: usize,
    /// Early flushes of a room in a tick. 4: urgent messages must not undo batching.
    pub max_early_flushes: u32,
    /// Bytes queued for a connection, and for batches also what was sent and is not yet consumed.
    /// 256 KiB: seconds of a busy room, and with ten thousand stalled connections below 3 GB. A
    /// quarter is kept for answers and directs.
    pub outbox_bytes: usize,
    /// Frames queued for a connection. 4,096: the cost of a queued frame beside its bytes.
    pub outbox_frames: usize,
    /// What a receiver may owe before it is behind and gets no more values. 64 KiB: what a client on
    /// a quick line has consumed before the next tick, and a second of a game on a slow one.
    pub low_water: usize,
    /// Bytes sent after which a receiver is asked how much it has consumed, where no question is
    /// open. 64 KiB: as `low_water`, since less owed does not count; each answer costs as much as a
    /// message.
    pub ping_bytes: usize,
    /// Chunks of one connection that wait in the shards' mailboxes, each what one turn of it read:
    /// at most eight reads, or about 256 messages. 4: beyond, its socket is not read, and TCP slows
    /// the sender down. A mailbox has room for all connections' chunks.
    pub connection_chunks: usize,
    /// How long what clients send may gather in their sockets where much of it comes, all for ticks: then several
    /// reads share a wake-up, and no message is late for its batch. 2 ms: as long may a clock's question wait. 0
    /// reads at once.
    pub read_gathering: Duration,
    /// Bytes that the kernel may hold for a connection's output; 0 leaves it to the kernel. 128 KiB:
    /// what is in the kernel is late already, and cannot be replaced by something newer. (Linux
    /// takes twice as much memory for it.)
    pub socket_send_buffer: usize,
    /// Bytes that the kernel may hold of a connection's input; 0 leaves it to the kernel. 64 KiB: a
    /// client that floods waits in its own memory.
    pub socket_receive_buffer: usize,
    /// Bytes not yet sent above which the kernel says that a socket cannot be written to; 0 leaves it
    /// to the kernel. 16 KiB: what waits here can still be left out or replaced, what waits there
    /// cannot, and a slow peer's values are older by the time it takes.
    pub socket_not_sent: usize,
    /// Refusals at once. 64: a client that sends data behind a join that is refused gets that many.
    pub refusals_burst: u32,
    /// Refusals a second, later.
    pub refusals_per_sec: u32,
    /// Joins at once. 256: a client that comes back to all its rooms, twice.
    pub joins_burst: u32,
    /// Joins a second, later. 16: each takes a member's number, which then rests for a while.
    pub joins_per_sec: u32,
    /// Pings at once. 32.
    pub pings_burst: u32,
    /// Pings a second, later. 8: a clock needs one.
    pub pings_per_sec: u32,
    /// Messages of a session at once, where they have a rate. 1,000.
    pub messages_burst: u32,
    /// Messages of a session a second, later. 0, which is no limit: what a session may send is bounded by
    /// what its rooms take.
    pub messages_per_sec: u32,
    /// Bytes of data frames of a session at once, where they have a rate. 1 MiB; at least `max_frame`.
    pub bytes_burst: usize,
    /// Bytes of data frames of a session a second, later. 0, which is no limit.
    pub bytes_per_sec: usize,
    /// Bytes that one session may cause on one shard at once: each message counts, with its record, once for
    /// each receiver. 256 MiB: two seconds of the rate.
    pub fanout_burst: usize,
    /// Bytes that one session may cause on one shard a second, later; 0 is no limit. 128 MiB: a gigabit
    /// line full, by one sender.
    pub fanout_per_sec: usize,
    /// Rooms made on a shard at once. 100,000: after a restart all of them come back.
    pub rooms_burst: u32,
    /// Rooms made on a shard a second, later. 1,000: each is kept for a while when it is empty.
    pub rooms_per_sec: u32,
    /// Beyond the rates of messages and their bytes. Drop.
    pub over_messages: Over,
    /// Beyond the rate of joins. Drop.
    pub over_joins: Over,
    /// Beyond the rate of pings. Close; or delay, since a ping must be answered.
    pub over_pings: Over,
    /// Beyond the rate of refusals. Close; or delay, since what is refused is dropped already.
    pub over_refusals: Over,
    /// Beyond what a session may cause. Drop.
    pub over_fanout: Over,
    /// Beyond the rate in which rooms are made on a shard: what happens to the session that asks for one. Drop.
    pub over_rooms: Over,
    /// From the connection to an accepted hello. 5 s, the handshake included.
    pub hello_timeout: Duration,
    /// From the connection to the end of a TLS handshake; `hello_timeout` begins after it. 5 s: a few round trips
    /// on a bad line, and a turn among `max_handshakes`.
    pub handshake_timeout: Duration,
    /// Silence after which the server pings. 15 s: below the idle timeouts of common proxies.
    pub ping_interval: Duration,
    /// Between pings while the server sends. 1 s: consumption must be known while there is some.
    pub busy_ping_interval: Duration,
    /// Until a ping must be answered. 45 s: three silent intervals.
    pub pong_timeout: Duration,
    /// How long a session may be in no room. 300 s: it is of use to nobody.
    pub idle_timeout: Duration,
    /// How long a session whose connection broke waits for its client. 30 s: a tunnel, a restart of a
    /// browser, another network. 0 resumes nothing.
    pub grace: Duration,
    /// How long a session goes on after its token has expired. 10 s: a client renews it meanwhile
    /// (PROTOCOL 6.14).
    pub token_grace: Duration,
    /// Sessions that wait for their clients at once, beside the connections. 2,500: a quarter of those.
    pub max_away: usize,
    /// Directs kept for each session until its client has confirmed them. 64, and a quarter of
    /// `outbox_bytes`: what a reconnect leaves open.
    pub max_unconfirmed: usize,
    /// Before a member's number is given to another. 30 s: the grace of a session.
    pub number_quarantine: Duration,
    /// Connections. 10,000: what common limits on file descriptors allow with room to spare.
    pub max_connections: usize,
    /// Connections without an accepted hello. 1,000: what a storm of reconnects needs at once.
    pub max_greeting: usize,
    /// TLS handshakes at once, others wait. 256: a storm of reconnects keeps all cores busy with fewer, and each
    /// holds a key exchange and its messages.
    pub max_handshakes: usize,
    /// TLS handshakes of one address at once, of the first 64 bits of an IPv6 one; its others wait. 32: an eighth
    /// of all, so that who is slow on purpose keeps others waiting from eight networks at least.
    pub address_handshakes: usize,
    /// Header bytes of an HTTP request. 8 KiB: proxies and cookies included.
    pub max_http_header: usize,
    /// Until a listed proxy's PROXY header is there. 1 s: it is the first thing that a proxy sends.
    pub proxy_timeout: Duration,
    /// Connections of one address, of the first 64 bits of an IPv6 one. 1,000: an office or a campus
    /// behind one, a tenth of all.
    pub address_connections: usize,
    /// Connections of one address without an accepted hello. 250: a quarter of all, so that one alone
    /// keeps nobody out.
    pub address_greetings: usize,
    /// Connections of one address at once. 500: half of such an office comes back.
    pub address_connects_burst: u32,
    /// Connections of one address a second, later. 50.
    pub address_connects_per_sec: u32,
    /// Logins of one address that fail at once. 20: a clock that is wrong, in a few tabs.
    pub address_failures_burst: u32,
    /// Logins of one address that may fail a second, later. 1: a guess a second finds no token.
    pub address_failures_per_sec: u32,
    /// Connections of one subject (PROTOCOL 15.1); 0, which is no limit: how many devices share a token is the
    /// operator's to know. A client that comes back while its old connection counts needs a place more. What an
    /// application hands over is not counted, but for what it attaches as HTTP.
    pub subject_connections: usize,
    /// Connections of one subject at once, where they have a rate. 20: a few tabs that come back, twice.
    pub subject_connects_burst: u32,
    /// Connections of one subject a second, later. 0, which is no limit.
    pub subject_connects_per_sec: u32,
    /// Addresses that are remembered, and where subjects have limits as many of those. 65,536: about 10 MB. Those with connections are never forgotten.
    pub max_addresses: usize,
    /// Bytes of memory for the whole process; 0 takes what its control group says. Linux only.
    pub max_memory: usize,
    /// Percent of that memory above which new connections are refused; 100 refuses nobody. 80: what
    /// is connected then can still grow.
    pub memory_watermark: u32,
    /// Reading and discarding after a close. 2 s.
    pub discard_timeout: Duration,
    /// Bytes discarded after a close. 64 KiB.
    pub discard_bytes: usize,
    /// From the notice of going away to the end. 2 s: what is queued leaves on a good line within
    /// milliseconds, and on a bad one has as long. Clients that have taken it leave at once.
    pub drain_timeout: Duration,
    /// From that end until the server is back: no client is told to return before. 1 s: half of it for
    /// those who stayed to be closed, half for the next process to start. 0 where another server takes the
    /// clients.
    pub drain_restart: Duration,
}

/// What happens to whatever is beyond a rate. It is counted in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It is refused, and the peer is told.
    Drop,
    /// It is done all the same, and nothing more is read from the peer until it would have been allowed.
    Delay,
    /// The session is closed.
    Close,
}

impl Over {
    /// The longest delay. 10 s: a peer that is not read is not asked whether it lives either, and must not
    /// stay for long after it has gone.
    pub(crate) const LONGEST: Duration = Duration::from_secs(10);
}

impl Limits {
    /// What a kept value costs beside its payload: its key and its place in the map.
    pub const VALUE_OVERHEAD: usize = 64;

    /// Bytes of answers that may wait for a peer who does not read: the rates of refusals and pings
    /// keep an honest one far below.
    pub(crate) const UNREAD_ANSWERS: usize = 64 * 1024;

    /// Bytes that one read takes at most. 16 KiB: a few hundred messages, after which others have
    /// their turn.
    pub(crate) const READ: usize = 16 * 1024;

    /// What stands beside the token in a hello: capabilities, sizes, the token of the session to resume, heads of
    /// extensions, and a name of the client's software.
    pub(crate) const BESIDE_TOKEN: usize = 96;

    /// The most a head takes: room, position, tick.
    pub(crate) const HEAD: usize = 8 + 8 + 2;

    /// What of [`outbox_bytes`](Self::outbox_bytes) batches may take; the rest is for answers and directs.
    pub(crate) const fn outbox_batches(&self) -> usize {
        self.outbox_bytes / 4 * 3
    }

    /// The most memory of the process that one connection takes that reads nothing, in bytes.
    ///
    /// | part | default |
    /// |---|---|
    /// | what is queued for it, as if nobody shared it: `outbox_bytes` | 256 KiB |
    /// | the buffers it is in, which are up to an eighth larger | 32 KiB |
    /// | the frame that has begun to leave, or those that share its buffer, which stay whole until they have: `max_frame` and its header, or 16 KiB | 16 KiB |
    /// | directs it has not confirmed: a quarter of `outbox_bytes` | 64 KiB |
    /// | answers that it has not read | 64 KiB |
    /// | the frame it is sending, and a read: `max_frame` and 16 KiB | 32 KiB |
    /// | places of queued frames, in the outbox and at the socket: 64 bytes for each of `outbox_frames` | 256 KiB |
    ///
    /// Its task and the allocator's rounding come to a few KiB more. Snapshots on their way belong to
    /// the room, at most 16 of [`max_value_bytes`](Self::max_value_bytes) each; messages that wait
    /// for a shard are its input, at most [`connection_chunks`](Self::connection_chunks).
    #[must_use]
    pub const fn connection_bound(&self) -> usize {
        let frame = self.max_frame + crate::wire::Header::LEN;
        let shared = crate::room::Buffers::LARGEST;
        let queued = self.outbox_bytes + self.outbox_bytes / 8 + if frame > shared { frame } else { shared };
        let input = frame + Self::READ;
        let places = 2 * self.outbox_frames.next_power_of_two() * size_of::<bytes::Bytes>();
        queued + self.outbox_bytes / 4 + Self::UNREAD_ANSWERS + input + places
    }

    /// The most memory of the kernel that one connection takes, in bytes: both buffers, for which
    /// Linux takes twice what was asked for. 384 KiB with the defaults; unknown (0) where one of them
    /// is left to the kernel.
    #[must_use]
    pub const fn connection_kernel_bound(&self) -> usize {
        if self.socket_send_buffer == 0 || self.socket_receive_buffer == 0 {
            return 0;
        }
        2 * (self.socket_send_buffer + self.socket_receive_buffer)
    }

    /// What is wrong with these numbers taken together, in a sentence.
    ///
    /// # Errors
    /// The sentence.
    pub const fn check(&self) -> Result<(), &'static str> {
        if self.max_frame > 65_535 {
            return Err("max_frame is at most 65535: the header has 16 bits for it");
        }
        if self.max_message.saturating_add(Self::HEAD + Record::MAX_OVERHEAD) > self.max_frame {
            return Err("max_frame must be at least 37 bytes above max_message: a head and a record stand around it");
        }
        if self.max_hello_frame > self.max_frame {
            return Err("max_hello_frame must not be above max_frame");
        }
        if self.max_token.saturating_add(Self::BESIDE_TOKEN) > self.max_hello_frame {
            return Err(
                "max_hello_frame must be at least 96 bytes above max_token: else the longest token fits no hello",
            );
        }
        if self.max_presence_data.saturating_add(512) > self.max_message {
            return Err("max_message must be at least 512 bytes above max_presence_data");
        }
        if self.max_batch.saturating_add(16_384) > self.outbox_batches() {
            return Err("three quarters of outbox_bytes must be 16 KiB above max_batch: else one batch is too much");
        }
        if self.low_water < 1024 || self.low_water > self.outbox_batches() || self.ping_bytes == 0 {
            return Err("low_water is at least 1 KiB and at most three quarters of outbox_bytes, ping_bytes not 0");
        }
        if self.max_batch < self.max_message + self.max_presence_data + 1024 {
            return Err("max_batch must be at least 1 KiB above max_message: else the largest message never fits");
        }
        let times = [self.hello_timeout, self.ping_interval, self.busy_ping_interval, self.pong_timeout];
        let mut index = 0;
        while index < times.len() {
            if times[index].is_zero() || self.idle_timeout.is_zero() {
                return Err(
                    "hello_timeout, ping_interval, busy_ping_interval, pong_timeout and idle_timeout must not be 0",
                );
            }
            index += 1;
        }
        if self.max_handshakes == 0 || self.address_handshakes == 0 || self.handshake_timeout.is_zero() {
            return Err("max_handshakes and address_handshakes must be at least 1, and handshake_timeout not 0");
        }
        if self.max_members == 0 || self.max_rooms == 0 {
            return Err("max_members and max_rooms must be at least 1");
        }
        if self.bytes_per_sec > 0 && self.bytes_burst < self.max_frame {
            return Err("bytes_burst must be at least max_frame: else the largest message never passes");
        }
        if matches!(self.over_pings, Over::Drop) || matches!(self.over_refusals, Over::Drop) {
            return Err(
                "over_pings and over_refusals are delay or close: a ping must be answered, and what is refused is dropped already",
            );
        }
        if self.connection_chunks == 0 || self.outbox_frames < 16 {
            return Err("connection_chunks must be at least 1, outbox_frames at least 16");
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: 16 * 1024,
            max_hello_frame: 4 * 1024,
            max_message: 15 * 1024,
            max_token: 4000,
            max_rooms: 128,
            max_join_data: 1024,
            max_presence_data: 256,
            max_members: 65_536,
            max_shard_rooms: 100_000,
            max_room_values: 4096,
            max_member_values: 256,
            max_value_bytes: 1024 * 1024,
            max_batch: 128 * 1024,
            deflate_threshold: Deflater::THRESHOLD,
            kept_bytes: 256 * 1024 * 1024,
            max_directs: 256,
            max_early_flushes: 4,
            outbox_bytes: 256 * 1024,
            outbox_frames: 4096,
            low_water: 64 * 1024,
            ping_bytes: 64 * 1024,
            connection_chunks: 4,
            read_gathering: Duration::from_millis(2),
            socket_send_buffer: 128 * 1024,
            socket_receive_buffer: 64 * 1024,
            socket_not_sent: 16 * 1024,
            refusals_burst: 64,
            refusals_per_sec: 16,
            joins_burst: 256,
            joins_per_sec: 16,
            pings_burst: 32,
            pings_per_sec: 8,
            messages_burst: 1000,
            messages_per_sec: 0,
            bytes_burst: 1024 * 1024,
            bytes_per_sec: 0,
            fanout_burst: 256 * 1024 * 1024,
            fanout_per_sec: 128 * 1024 * 1024,
            rooms_burst: 100_000,
            rooms_per_sec: 1000,
            over_messages: Over::Drop,
            over_joins: Over::Drop,
            over_pings: Over::Close,
            over_refusals: Over::Close,
            over_fanout: Over::Drop,
            over_rooms: Over::Drop,
            hello_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(15),
            busy_ping_interval: Duration::from_secs(1),
            pong_timeout: Duration::from_secs(45),
            idle_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(30),
            token_grace: Duration::from_secs(10),
            max_away: 2500,
            max_unconfirmed: 64,
            number_quarantine: Duration::from_secs(30),
            max_connections: 10_000,
            max_greeting: 1000,
            max_handshakes: 256,
            address_handshakes: 32,
            max_http_header: 8 * 1024,
            proxy_timeout: Duration::from_secs(1),
            address_connections: 1000,
            address_greetings: 250,
            address_connects_burst: 500,
            address_connects_per_sec: 50,
            address_failures_burst: 20,
            address_failures_per_sec: 1,
            subject_connections: 0,
            subject_connects_burst: 20,
            subject_connects_per_sec: 0,
            max_addresses: 65_536,
            max_memory: 0,
            memory_watermark: 80,
            discard_timeout: Duration::from_secs(2),
            discard_bytes: 64 * 1024,
            drain_timeout: Duration::from_secs(2),
            drain_restart: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_agree_with_each_other() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn what_a_connection_may_take_is_known() {
        let limits = Limits::default();
        let kib = 1024;
        let parts = [256 * kib, 32 * kib, 16 * kib + 4, 64 * kib, 64 * kib, 32 * kib + 4, 256 * kib];
        assert_eq!(limits.connection_bound(), parts.iter().sum::<usize>());
        assert_eq!(limits.connection_kernel_bound(), 384 * kib);
        let left_to_the_kernel = Limits { socket_send_buffer: 0, ..Limits::default() };
        assert_eq!(left_to_the_kernel.connection_kernel_bound(), 0);
    }

    #[test]
    fn limits_that_contradict_each_other_are_named() {
        let check = |change: fn(&mut Limits), named: &str| {
            let mut limits = Limits::default();
            change(&mut limits);
            assert!(limits.check().is_err_and(|sentence| sentence.contains(named)), "{named}");
        };
        check(|limits| limits.max_frame = 65_536, "max_frame");
        check(|limits| limits.max_message = limits.max_frame, "max_message");
        check(|limits| limits.max_token = 4001, "max_token");
        // Sums do not wrap around.
        check(|limits| limits.max_message = usize::MAX, "max_message");
        check(|limits| limits.max_token = usize::MAX, "max_token");
        check(|limits| limits.max_batch = usize::MAX, "max_batch");
        check(|limits| limits.max_batch = limits.max_message, "max_batch");
        check(|limits| limits.outbox_bytes = limits.max_batch, "outbox_bytes");
        check(|limits| limits.low_water = limits.outbox_bytes, "low_water");
        check(|limits| limits.ping_interval = Duration::ZERO, "ping_interval");
        check(|limits| limits.idle_timeout = Duration::ZERO, "idle_timeout");
        check(|limits| limits.max_members = 0, "max_members");
        check(|limits| (limits.bytes_per_sec, limits.bytes_burst) = (1, 1), "bytes_burst");
        check(|limits| limits.over_pings = Over::Drop, "over_pings");
    }
}
