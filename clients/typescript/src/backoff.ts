/** What a reason makes a client do, and when (SPEC 2, PROTOCOL 14). */

import { cursor, text, varint, type Extensions } from "./wire.js";

/** No wait is longer than this, in milliseconds. */
const LONGEST = 20_000;

/** The shortest wait, and what the first one is drawn from, in milliseconds. */
const SHORTEST = 500;

/** Milliseconds before attempt `n` in a row, from 0. */
export const backoff = (n: number): number => Math.min(LONGEST, SHORTEST + Math.random() * Math.min(LONGEST, SHORTEST * 2 ** n));

/** Milliseconds until the next attempt, or nothing where there must be none. */
export const wait = (reason: number, n: number, told: Extensions): number | undefined => {
  // 900 to 999 are an application's: 30 of the first kind, 30 of the second, 40 of the third.
  const range = reason >= 900 && reason < 1000 ? Math.min(2, Math.floor((reason - 900) / 30)) : Math.floor(reason / 100);
  if (range === 2) return;
  if (range !== 1) return backoff(n);
  return told[4] ? varint(cursor(told[4])) : 10_000 + Math.random() * 10_000;
};

/** Whether a URL is one of TLS. */
const TLS = /^(ws|http)s/i;

/** The address that was told: a whole URL, or a host to put into `url`, whose port stays where none is told. None that gives up TLS. */
export const address = (told: Extensions, url: string): string => {
  const host = text(told[6]);
  // Setting the host of a URL to one without a port leaves the port.
  const whole = () => Object.assign(new URL(url, globalThis.location as unknown as URL), { host }).href;
  const to = host.includes("://") ? host : host && whole();
  return TLS.test(url) > TLS.test(to) ? "" : to;
};
