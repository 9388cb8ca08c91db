/**
 * The server's clock, as far as this side can know it (SPEC 7, PROTOCOL 9).
 *
 * ```text
 *  t0 ──ping──> received     offset = ((received - t0) + (sent - t3)) / 2
 *  t3 <─answer─ sent         the sample with the shortest way of the last eight counts
 * ```
 */

/** All times are milliseconds, as real numbers; those of this side are of `now()`. */
export interface Clock {
  /** The number that names the server's clock. */
  id: number;
  /** The last samples: round trip and offset. */
  _samples: [rtt: number, _offset: number][];
  /** Server time minus own time, by the best sample. */
  _offset: number;
  /** The highest server time that was told on this connection. */
  _told: number;
}

/** How many samples are compared. */
const SAMPLES = 8;

export const now = (): number => performance.now();

/** A clock of which only the time in a WELCOME is known: it came some time ago, nobody knows how long. */
export const clock = (id: number, time: number, old?: Clock): Clock =>
  // The same clock goes on over connections, but each may be told an earlier time than the last.
  old?.id === id ? { ...old, _told: 0 } : { id, _samples: [], _offset: time - now(), _told: 0 };

/** Takes a sample. Returns its round trip. */
export const sample = (clock: Clock, id: number, t0: number, received: number, sent: number): number => {
  const t3 = now();
  if (id !== clock.id) {
    clock.id = id;
    clock._samples = [];
  }
  const rtt = Math.max(0, t3 - t0 - (sent - received));
  clock._samples.push([rtt, (received - t0 + sent - t3) / 2]);
  if (clock._samples.length > SAMPLES) clock._samples.shift();
  clock._offset = clock._samples.reduce((best, next) => (next[0] < best[0] ? next : best))[1];
  return rtt;
};

/** Server time now; never less than before. */
export const serverTime = (clock: Clock): number => (clock._told = Math.max(clock._told, now() + clock._offset));
