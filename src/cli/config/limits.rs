//! The `[limits]` of a file: every field of [`Limits`] by its name.

use super::Config;
use super::key::{Key, key};

macro_rules! limits {
    ($($kind:ident $name:ident $takes:ident $doc:literal;)+) => {
        /// Every limit, in the order of [`Limits`].
        pub(in crate::cli) const LIMITS: &[Key<Config>] = &[$(Key {
            name: stringify!($name),
            ..key!(Config: $kind "" limits.$name, $takes, $doc)
        }),+];
    };
}

limits! {
    Bytes max_frame NextStart "Payload of a frame, either way; at most 65535. What a client must hold at once.";
    Bytes max_hello_frame NewConnections "Payload of a frame before hello was accepted. It must hold a token with 96 bytes around it.";
    Bytes max_message NextStart "Payload of a message; at least 37 bytes below max_frame.";
    Bytes max_token NewConnections "Bytes of a token; at least 96 below max_hello_frame.";
    Count max_rooms NewConnections "Rooms a session may be in.";
    Bytes max_join_data NewConnections "Data with a join, and a logic's answer to it.";
    Bytes max_presence_data NewConnections "Presence data of a member, which everybody in the room is sent.";
    Count max_members AtOnce "Members of a room.";
    Count max_shard_rooms AtOnce "Rooms on a shard. An empty one takes about 900 bytes.";
    Count max_room_values AtOnce "Values of a room.";
    Count max_member_values AtOnce "Values of one member, so that nobody takes all of the room's.";
    Bytes max_value_bytes AtOnce "Bytes of all values of a room, with 64 counted for each beside its payload.";
    Bytes max_batch NextStart "Bytes a room gathers for one flush; three quarters of outbox_bytes must be 16 KiB above.";
    Bytes deflate_threshold AtOnce "Bytes of records from which a frame is compressed for those who can read that.";
    Bytes kept_bytes AtOnce "Bytes that all rooms together keep, history and values; the oldest history goes first.";
    Count max_directs AtOnce "Directs a room gathers for one flush.";
    Small max_early_flushes AtOnce "Early flushes of a room in a tick, for urgent messages.";
    Bytes outbox_bytes NextStart "Bytes queued for a connection, and for batches also what was sent and is not yet consumed.";
    Count outbox_frames NextStart "Frames queued for a connection; at least 16.";
    Bytes low_water NextStart "What a receiver may owe before it gets no more values; at least 1 KiB.";
    Bytes ping_bytes NewConnections "Bytes sent after which a receiver is asked how much it has consumed.";
    Count connection_chunks NextStart "Reads of one connection that wait for the shards; beyond, its socket is not read.";
    Time read_gathering NextStart "How long messages for ticks may gather in their sockets; 0 reads at once.";
    Bytes socket_send_buffer NewConnections "Bytes that the kernel may hold of a connection's output; 0 leaves it to the kernel.";
    Bytes socket_receive_buffer NewConnections "Bytes that the kernel may hold of a connection's input; 0 leaves it to the kernel.";
    Bytes socket_not_sent NewConnections "Bytes not yet sent above which nothing more is given to the kernel; 0 leaves it to the kernel.";
    Small refusals_burst NewConnections "Refusals of a session at once.";
    Small refusals_per_sec NewConnections "Refusals of a session a second, later.";
    Small joins_burst NewConnections "Joins of a session at once.";
    Small joins_per_sec NewConnections "Joins of a session a second, later.";
    Small pings_burst NewConnections "Pings of a session at once.";
    Small pings_per_sec NewConnections "Pings of a session a second, later.";
    Small messages_burst NewConnections "Messages of a session at once, where messages_per_sec is not 0.";
    Small messages_per_sec NewConnections "Messages of a session a second, later; 0 is no limit.";
    Bytes bytes_burst NewConnections "Bytes of data frames of a session at once, where bytes_per_sec is not 0; at least max_frame.";
    Bytes bytes_per_sec NewConnections "Bytes of data frames of a session a second, later; 0 is no limit.";
    Bytes fanout_burst AtOnce "Bytes that one session may cause on a shard at once: each message counts once for each receiver.";
    Bytes fanout_per_sec AtOnce "Bytes that one session may cause on a shard a second, later; 0 is no limit.";
    Small rooms_burst AtOnce "Rooms made on a shard at once.";
    Small rooms_per_sec AtOnce "Rooms made on a shard a second, later.";
    Beyond over_messages NewConnections "What happens beyond the rates of messages and their bytes.";
    Beyond over_joins NewConnections "What happens beyond the rate of joins.";
    Beyond over_pings NewConnections "What happens beyond the rate of pings: close or delay, since a ping must be answered.";
    Beyond over_refusals NewConnections "What happens beyond the rate of refusals: close or delay, since what is refused is dropped already.";
    Beyond over_fanout AtOnce "What happens beyond what a session may cause.";
    Beyond over_rooms AtOnce "What happens beyond the rate of new rooms.";
    Time hello_timeout NewConnections "From the connection to an accepted hello.";
    Time handshake_timeout NewConnections "From the connection to the end of a TLS handshake; hello_timeout begins after it.";
    Time ping_interval NewConnections "Silence after which the server pings; keep it below the idle timeout of your proxies.";
    Time busy_ping_interval NewConnections "Between pings while the server sends.";
    Time pong_timeout NewConnections "Until a ping must be answered.";
    Time idle_timeout NewConnections "How long a session may be in no room.";
    Time grace NextStart "How long a session whose connection broke waits for its client; 0 resumes nothing.";
    Time token_grace NewConnections "How long a session goes on after its token has expired.";
    Count max_away NextStart "Sessions that wait for their clients at once, beside the connections.";
    Count max_unconfirmed NewConnections "Directs kept for each session until its client has confirmed them.";
    Time number_quarantine AtOnce "Before a member's number is given to another.";
    Count max_connections NextStart "Connections. Each needs a file descriptor.";
    Count max_greeting NextStart "Connections without an accepted hello.";
    Count max_handshakes NextStart "TLS handshakes at once; others wait.";
    Count address_handshakes NextStart "TLS handshakes of one address at once; its others wait.";
    Bytes max_http_header NewConnections "Header bytes of an HTTP request.";
    Time proxy_timeout NewConnections "Until a listed proxy's PROXY header is there.";
    Count address_connections AtOnce "Connections of one address, or of the first 64 bits of an IPv6 one.";
    Count address_greetings AtOnce "Connections of one address without an accepted hello.";
    Small address_connects_burst AtOnce "New connections of one address at once.";
    Small address_connects_per_sec AtOnce "New connections of one address a second, later.";
    Small address_failures_burst AtOnce "Logins of one address that may fail at once.";
    Small address_failures_per_sec AtOnce "Logins of one address that may fail a second, later.";
    Count subject_connections AtOnce "Connections of one subject of tokens; 0 is no limit.";
    Small subject_connects_burst AtOnce "Logins of one subject at once, where subject_connects_per_sec is not 0.";
    Small subject_connects_per_sec AtOnce "Logins of one subject a second, later; 0 is no limit.";
    Count max_addresses AtOnce "Addresses that are remembered; those with connections always are.";
    Bytes max_memory NextStart "Memory of the whole process; 0 takes what its control group says. Linux only.";
    Small memory_watermark NextStart "Percent of that memory above which new connections are refused; 100 refuses nobody.";
    Time discard_timeout NewConnections "Reading and discarding after a close.";
    Bytes discard_bytes NewConnections "Bytes discarded after a close.";
    Time drain_timeout AtOnce "From the notice of going away to the end.";
    Time drain_restart AtOnce "From that end until the next process takes connections; clients come back after it.";
}

#[cfg(test)]
mod tests {
    use tickwire::limits::Limits;
    use tickwire::server::Reload;

    use super::super::key::Takes;
    use super::*;

    #[test]
    fn every_limit_can_be_set() {
        // The derived output has a line for each field.
        let shown = format!("{:#?}", Limits::default());
        let field = |line: &'_ str| Some(line.strip_prefix("    ")?.split_once(": ")?.0.to_owned());
        let fields: Vec<String> = shown.lines().filter_map(field).collect();
        let named: Vec<&str> = LIMITS.iter().map(|key| key.name).collect();
        assert_eq!(named, fields);
    }

    #[test]
    fn what_waits_for_the_next_start_is_what_the_server_says() {
        let waiting: Vec<&str> =
            LIMITS.iter().filter(|key| key.takes == Takes::NextStart).map(|key| key.name).collect();
        assert_eq!(waiting, Reload::FIXED);
    }
}
