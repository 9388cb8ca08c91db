/**
 * Renews a token before it expires, without a new connection (SPEC 3).
 *
 * ```text
 *  token told ──── three quarters, or all but 30 s ────> ask the callback ──TOKEN──> DONE: from the beginning
 *                                                             ^  refused or failed: backoff  │
 *                                                             └──────────────────────────────┘
 * ```
 */

import { backoff } from "./backoff.js";
import type { BaseClient } from "./base-client.js";
import { TickwireError } from "./error.js";
import { after } from "./session.js";
import { counted, utf8 } from "./wire.js";

/** The capability (PROTOCOL 10.3). */
const TOKEN = 16;

/** A token is renewed this long before it expires at the latest, in milliseconds. */
const EARLY = 30_000;

/** Milliseconds until a newer token should be asked for; nothing where the token does not say when it expires. */
export const renewal = (token: string): number | undefined => {
  try {
    const claims = JSON.parse(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/")));
    const left = claims.exp * 1000 - Date.now();
    return left > 0 ? left - Math.min(EARLY, left / 4) : undefined;
  } catch {
    // Whatever it is, it is not for us to read.
    return;
  }
};

/** For a client whose token is a callback: `new Client(url, { token, renew })`. */
export const renew = (client: BaseClient): void => {
  const session = client._session!;
  const { token } = client._options;
  const ms = renewal(client._token);
  if (typeof token !== "function" || ms === undefined || !(session._capabilities & TOKEN)) return;
  const over = () => session !== client._session || session._away;
  let tries = 0;
  const failed = (reason: number, cause?: unknown) => {
    session._renewal = after(backoff(tries++), ask);
    client._fail(new TickwireError("token", reason, undefined, cause));
  };
  const ask = async () => {
    let newer: string | null | undefined;
    try {
      newer = await token();
    } catch (cause) {
      if (!over()) failed(0, cause);
      return;
    }
    if (over()) return;
    if (!newer) return client._stop(241, "", 200);
    session._request(14, counted(utf8(newer)), (reason) => {
      if (over()) return;
      if (reason) return failed(reason);
      client._token = newer!;
      renew(client);
    });
  };
  session._renewal = after(ms, ask);
};
