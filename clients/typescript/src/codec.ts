/** How an application's messages become bytes. */

/** A way from messages to bytes and back. `decode` gets a view on what was received, which stays as it is; it may keep it. */
export interface Codec<T> {
  encode(message: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** Bytes as they are. */
export const raw: Codec<Uint8Array> = { encode: (bytes) => bytes, decode: (bytes) => bytes };

/** Text, as UTF-8. */
export const text: Codec<string> = {
  encode: (message) => new TextEncoder().encode(message),
  decode: (bytes) => new TextDecoder().decode(bytes),
};

/** Whatever JSON can say. What a stranger sends need not have the type that you expect: check it where that matters. */
export const json = <T>(): Codec<T> => ({
  encode: (message) => text.encode(JSON.stringify(message)),
  decode: (bytes) => JSON.parse(text.decode(bytes)) as T,
});
