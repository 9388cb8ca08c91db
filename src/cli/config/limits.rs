//! The `[limits]` of a file: every field of [`Limits`] by its name.

use std::time::Duration;

use tickwire::limits::{Limits, Over};

use super::section::{Section, Value};

/// Where a value of the file goes.
enum Field {
    /// Bytes, or a count.
    Size(fn(&mut Limits) -> &mut usize),
    /// A count that is small.
    Count(fn(&mut Limits) -> &mut u32),
    Time(fn(&mut Limits) -> &mut Duration),
    Over(fn(&mut Limits) -> &mut Over),
}

/// Puts what the section says into `limits`.
pub(super) fn read(section: &Section<'_>, limits: &mut Limits) -> Result<(), String> {
    let names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    section.check_keys(&names)?;
    for (name, field) in FIELDS {
        match field {
            Field::Size(place) => set(section.get(name, Value::size)?, place(limits)),
            Field::Count(place) => set(section.get(name, read_count)?, place(limits)),
            Field::Time(place) => set(section.get(name, Value::duration)?, place(limits)),
            Field::Over(place) => set(section.get(name, read_over)?, place(limits)),
        }
    }
    Ok(())
}

fn set<T>(value: Option<T>, place: &mut T) {
    if let Some(value) = value {
        *place = value;
    }
}

fn read_count(value: Value<'_>) -> Result<u32, String> {
    value.size().and_then(|count| u32::try_from(count).map_err(|_| format!("this is at most {}", u32::MAX)))
}

fn read_over(value: Value<'_>) -> Result<Over, String> {
    match value.text()? {
        "drop" => Ok(Over::Drop),
        "delay" => Ok(Over::Delay),
        "close" => Ok(Over::Close),
        _ => Err("write \"drop\", \"delay\" or \"close\"".into()),
    }
}

macro_rules! fields {
    ($($kind:ident: $($name:ident)+;)+) => {
        &[$($((stringify!($name), Field::$kind(|limits| &mut limits.$name)),)+)+]
    };
}

const FIELDS: &[(&str, Field)] = fields! {
    Size: max_frame max_hello_frame max_message max_token max_rooms max_join_data max_presence_data max_members
        max_shard_rooms max_room_values max_member_values max_value_bytes max_batch max_directs outbox_bytes outbox_frames
        low_water ping_bytes kept_bytes deflate_threshold max_away max_unconfirmed socket_receive_buffer socket_not_sent
        connection_chunks socket_send_buffer max_connections max_greeting max_handshakes address_handshakes max_http_header discard_bytes
        address_connections address_greetings max_addresses max_memory bytes_burst bytes_per_sec fanout_burst fanout_per_sec
        subject_connections;
    Count: max_early_flushes refusals_burst refusals_per_sec joins_burst joins_per_sec pings_burst pings_per_sec
        address_connects_burst address_connects_per_sec address_failures_burst address_failures_per_sec memory_watermark
        subject_connects_burst subject_connects_per_sec
        messages_burst messages_per_sec rooms_burst rooms_per_sec;
    Time: hello_timeout handshake_timeout ping_interval busy_ping_interval pong_timeout idle_timeout grace token_grace number_quarantine
        discard_timeout drain_timeout drain_restart proxy_timeout;
    Over: over_messages over_joins over_pings over_refusals over_fanout over_rooms;
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_can_be_set() {
        // The derived output has a line for each field.
        let shown = format!("{:#?}", Limits::default());
        let fields: Vec<&str> = shown
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.split_once(": "))
            .map(|(name, _)| name)
            .collect();
        assert!(fields.len() > 20);
        for field in &fields {
            assert!(FIELDS.iter().any(|(name, _)| name == field), "{field} is missing here");
        }
        assert_eq!(fields.len(), FIELDS.len());
    }
}
