/** Tokens: who gives them, and when a newer one is wanted (SPEC 3). */

/** A token, or a function that is asked for one. It may take its time; one that returns nothing means: no right to connect. */
export type Token = string | (() => string | null | undefined | Promise<string | null | undefined>);

/** Milliseconds until a newer token should be asked for; nothing where the token does not say when it expires. */
export const renewal = (token: string): number | undefined => {
  try {
    const claims = JSON.parse(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/")));
    const left = claims.exp * 1000 - Date.now();
    return left > 0 ? left - Math.min(30_000, left / 4) : undefined;
  } catch {
    // Whatever it is, it is not for us to read.
    return;
  }
};
