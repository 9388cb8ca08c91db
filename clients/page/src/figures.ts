/** The live figures: what arrived in the last two seconds, and what the client knows. */

import type { Client, Room } from "tickwire";

/** Milliseconds that rates are taken over. */
const WINDOW = 2_000;

const WHOLE = new Intl.NumberFormat("en");

interface Sum {
  at: number;
  bytes: number;
  data: number;
  messages: number;
  batches: number;
}

export class Figures {
  /** Bytes of all frames; of those with events and values; how many of these there were; batches with one. */
  bytes = 0;
  data = 0;
  messages = 0;
  batches = 0;
  #sums: Sum[] = [];

  /** What they are now: texts, by the ids of their elements. */
  texts(client: Client, room: Room): Record<string, string> {
    const { bytes, data, messages, batches } = this;
    const now = performance.now();
    this.#sums.push({ at: now, bytes, data, messages, batches });
    while (this.#sums.length > 2 && this.#sums[1]!.at < now - WINDOW) this.#sums.shift();
    const from = this.#sums[0]!;
    const seconds = Math.max(0.1, (now - from.at) / 1000);
    const count = messages - from.messages;
    const tick = Math.floor(room.tick());
    return {
      tick: Number.isFinite(tick) ? WHOLE.format(tick) : "–",
      period: room.period ? `every ${Math.round(room.period)} ms` : "",
      rtt: Number.isFinite(client.rtt) ? client.rtt.toFixed(1) : "–",
      // Values of a snapshot are told as well, and came in no batch.
      "per-message": count && data > from.data ? ((data - from.data) / count).toFixed(1) : "–",
      "per-batch": batches > from.batches ? (count / (batches - from.batches)).toFixed(1) : "–",
      rate: ((bytes - from.bytes) / 1000 / seconds).toFixed(1),
      members: room.count ? WHOLE.format(room.count) : "–",
    };
  }
}
