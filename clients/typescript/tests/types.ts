// What must compile, and what must not: read by the compiler alone.

import WebSocket from "ws";

import { Client, json, text, type Codec, type Room } from "../src/index.js";
import { interpolator } from "../src/interpolate.js";
import { useEvent, useLatest } from "../src/react.js";

/** Both kinds of sockets fit. */
new Client("", { WebSocket });
new Client("", { WebSocket: globalThis.WebSocket });

interface Shot {
  x: number;
}

/** Rooms are typed by their codecs, or as the application says. */
const typed = new Client("").room("r", { event: json<Shot>(), value: text });
typed.on("event", (shot) => shot.x.toFixed());
typed.on("value", (_key, value) => value?.length);
typed.publish({ x: 1 });
typed.set(1, "x");
// @ts-expect-error: an event is a shot
typed.publish("x");
// @ts-expect-error: a value is a text
typed.set(1, 2);
// @ts-expect-error: there is no such event
typed.on("evnt", () => {});

const bytes: Room = new Client("").room("r");
bytes.publish(new Uint8Array());
bytes.on("state", ({ to }) => {
  // @ts-expect-error: there is no such state
  if (to === "here") return;
});

const codec: Codec<number> = { encode: (n) => Uint8Array.of(n), decode: (b) => b[0]! };
const numbers: Room<number, number> = new Client("").room("r", { event: codec, value: codec });
interpolator<number>({ delay: 1 }).push(1, numbers.latest(1) ?? 0);

export function Hooks() {
  const value: string | undefined = useLatest(typed, 1);
  useEvent(typed, (shot: Shot, member: number) => member + shot.x);
  return value;
}
