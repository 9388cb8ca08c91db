/** Tokens: who gives them (SPEC 3). */

/** A token, or a function that is asked for one. It may take its time; one that returns nothing means: no right to connect. */
export type Token = string | (() => string | null | undefined | Promise<string | null | undefined>);
