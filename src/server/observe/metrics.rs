//! What is on the page of metrics, by its names: `docs/http.md` explains them.
//!
//! No label has values that peers choose: transports, classes, reasons of the protocol, steps of the
//! ladder, and shards.

use super::scrape::Scrape;
use super::tally::{ByReason, ByTransport};
use super::text::{Family, Page};
use crate::wire::Reason;

/// The page.
pub(super) fn page(scrape: &Scrape) -> String {
    let mut page = Page::default();
    server(&mut page, scrape);
    connections(&mut page, scrape);
    messages(&mut page, scrape);
    receivers(&mut page, scrape);
    ticks(&mut page, scrape);
    shards(&mut page, scrape);
    page.finish()
}

fn server(page: &mut Page, scrape: &Scrape) {
    page.gauge("tickwire_build_info", "1, with the version as a label.").of("version", env!("CARGO_PKG_VERSION"), 1);
    page.gauge("tickwire_uptime_seconds", "Seconds since the server started.").is(scrape.uptime.as_secs_f64());
    page.gauge("tickwire_ready", "1 where new clients should come here, 0 while the server goes away.")
        .is(u8::from(scrape.ready));
}

fn connections(page: &mut Page, scrape: &Scrape) {
    let tally = &scrape.tally;
    page.gauge("tickwire_connections", "Connections that are open.").is(scrape.connections);
    page.gauge("tickwire_connections_max", "Connections that there may be.").is(scrape.max_connections);
    page.gauge("tickwire_sessions", "Sessions: connections, and those that wait for their clients.")
        .is(scrape.sessions);
    page.gauge("tickwire_event_streams", "Rooms watched over HTTP; each is a connection too.").is(scrape.watchers);
    by_transport(page.counter("tickwire_connections_total", "Connections that came."), tally.came);
    by_transport(page.counter("tickwire_handshakes_total", "Hellos that were accepted."), tally.greeted);
    let turned_away = "Connections and requests that were turned away, and what was beyond its rate, by cause.";
    let mut turned_away = page.counter("tickwire_turned_away_total", turned_away);
    for (cause, count) in &scrape.turned_away {
        turned_away.of("cause", cause, *count);
    }
    let closed = "Connections that ended, by reason; gone is without a word.";
    let mut closed = page.counter("tickwire_connections_closed_total", closed);
    by_reason(&mut closed, &tally.ended);
    closed.of("reason", "gone", tally.gone);
    let refused = "Commands and messages that were refused, by reason.";
    by_reason(&mut page.counter("tickwire_rejections_total", refused), &scrape.refused);
    let mut failures = page.counter("tickwire_auth_failures_total", "Connections and requests without the right.");
    for reason in [Reason::NOT_ALLOWED, Reason::TOKEN, Reason::TOKEN_EXPIRED] {
        let of = |counts: &ByReason| counts.iter().find(|(found, _)| *found == reason).map_or(0, |(_, count)| count);
        failures.of("reason", label(reason), of(&tally.ended) + of(&scrape.refused));
    }
    page.counter("tickwire_api_key_failures_total", "Requests of operators with a wrong key.").is(scrape.key_failures);
}

fn messages(page: &mut Page, scrape: &Scrape) {
    let (flow, volume) = (scrape.tally.flow, &scrape.volume);
    page.counter("tickwire_bytes_received_total", "Bytes that connections have read.").is(flow.bytes_in);
    page.counter("tickwire_bytes_sent_total", "Bytes that connections have written.").is(flow.bytes_out);
    page.counter("tickwire_frames_received_total", "Frames that clients sent.").is(flow.frames_in);
    page.counter("tickwire_frames_sent_total", "Frames that clients were sent.").is(flow.frames_out);
    page.counter("tickwire_messages_total", "Messages that rooms sent, each once however many got it.")
        .of("class", "event", volume.events)
        .of("class", "value", volume.values)
        .of("class", "direct", volume.directs);
    page.counter("tickwire_deliveries_total", "Messages that rooms sent, by receiver.")
        .of("class", "event", volume.event_deliveries)
        .of("class", "value", volume.value_deliveries)
        .of("class", "direct", volume.direct_deliveries);
    page.counter("tickwire_values_conflated_total", "Writes of values that a later one of the tick replaced.")
        .is(volume.conflated);
    let writes = volume.values + volume.conflated;
    page.gauge("tickwire_conflation_ratio", "Share of all writes of values that were replaced, since the start.")
        .is(ratio(volume.conflated, writes, 0.0));
    page.counter("tickwire_deflate_input_bytes_total", "Bytes of batches before they were compressed.")
        .is(volume.deflate_in);
    page.counter("tickwire_deflate_output_bytes_total", "Bytes of the same batches after.").is(volume.deflate_out);
    page.gauge("tickwire_compression_ratio", "Bytes after compression by bytes before, since the start.").is(ratio(
        volume.deflate_out,
        volume.deflate_in,
        1.0,
    ));
    page.counter("tickwire_joins_total", "Memberships of rooms that began.").is(volume.joins);
    page.counter("tickwire_batches_total", "Batches that rooms sent.").is(volume.batches);
    page.counter("tickwire_batch_frames_total", "Frames of those, each made once.").is(volume.frames);
}

/// Who reads slowly (PROTOCOL 12.5), and who came back.
fn receivers(page: &mut Page, scrape: &Scrape) {
    let (counters, outboxes) = (&scrape.counters, &scrape.outboxes);
    page.counter("tickwire_slow_receivers_total", "Receivers, by what was done for them because they read slowly.")
        .of("step", "behind", counters.behind)
        .of("step", "caught_up_by_changes", counters.caught_up_by_changes)
        .of("step", "caught_up_by_snapshot", counters.caught_up_by_snapshot)
        .of("step", "skipped", counters.skipped)
        .of("step", "gaps", counters.gaps)
        .of("step", "closed_by_class", counters.closed_by_class)
        .of("step", "closed_by_answers", counters.closed_by_answers);
    page.counter("tickwire_history_replayed_total", "Batches sent again from history.").is(counters.replayed);
    page.counter("tickwire_history_evicted_total", "Batches let go of since the budget was used up.")
        .is(counters.evicted);
    page.counter("tickwire_logic_panics_total", "Panics in the application's own code.").is(counters.logic_panics);
    page.gauge("tickwire_outbox_bytes", "Bytes queued for all clients.").is(outboxes.bytes);
    page.gauge("tickwire_outbox_frames", "Frames queued for all clients.").is(outboxes.frames);
    page.gauge("tickwire_outbox_largest_bytes", "Bytes queued for the client with most.").is(outboxes.largest);
    let mut filled = page.gauge("tickwire_outbox_sessions", "Sessions, by how much of their outbox is used at most.");
    for (used, count) in ["0", "0.25", "0.5", "0.75", "1"].into_iter().zip(outboxes.filled) {
        filled.of("used", used, count);
    }
}

fn ticks(page: &mut Page, scrape: &Scrape) {
    let ticks = &scrape.ticks;
    // 16 us, what a timer is exact to, up to 4.2 s.
    const TIMES: (u32, u32) = (4, 22);
    page.histogram("tickwire_tick_lag_seconds", "How late flushes began after their tick.", &ticks.lag, TIMES, 1e6);
    let duration = "How long the flush of a tick took, the writes of its worker included.";
    page.histogram("tickwire_tick_duration_seconds", duration, &ticks.duration, TIMES, 1e6);
    let frames = "Frames that a tick of a shard made, each once however many got it.";
    page.histogram("tickwire_tick_frames", frames, &ticks.frames, (0, 12), 1.0);
}

fn shards(page: &mut Page, scrape: &Scrape) {
    let names = [
        ("tickwire_rooms", "Rooms, the empty ones included that linger."),
        ("tickwire_room_sessions", "Sessions that are in a room."),
        ("tickwire_kept_bytes", "Bytes of history and values."),
        ("tickwire_shard_mailbox", "Chunks of commands that wait for their shard."),
    ];
    for (column, (name, help)) in names.into_iter().enumerate() {
        let mut family = page.gauge(name, help);
        for (index, shard) in scrape.shards.iter().enumerate() {
            family.of("shard", index, [shard.rooms, shard.sessions, shard.kept_bytes, shard.mailbox][column]);
        }
    }
    page.gauge("tickwire_shards_silent", "Shards that did not answer this scrape in time: their figures are older.")
        .is(scrape.silent);
}

fn by_transport(mut family: Family<'_>, counts: ByTransport) {
    family.of("transport", "tcp", counts.tcp).of("transport", "websocket", counts.websocket);
}

/// All of them, also at zero: a counter that appears with its first count hides that.
fn by_reason(family: &mut Family<'_>, counts: &ByReason) {
    for (reason, count) in counts.iter() {
        family.of("reason", label(reason), count);
    }
}

fn label(reason: Reason) -> String {
    reason.name().to_ascii_lowercase()
}

/// `otherwise` where there is nothing yet.
fn ratio(part: u64, whole: u64, otherwise: f64) -> f64 {
    if whole == 0 { otherwise } else { part as f64 / whole as f64 }
}
