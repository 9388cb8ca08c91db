/**
 * All that moves: what comes from the room goes into the arena, what is done here goes into the room. It works on a
 * thread of its own, where nothing waits for it but its canvases.
 *
 * ```text
 * steering ──> own dot ──each tick──> Room ──> server
 * server ──> Cable ──> Client ──> Room ──each batch──> Arena ──each frame──> Painter ──> canvas
 *              └── what arrives ──> Strip, Figures, Trials ──> news for the page
 * ```
 */

import { Client, type Room } from "tickwire";
import { queue } from "tickwire/queue";

import { Arena } from "./arena.js";
import { Cable } from "./cable.js";
import { Figures } from "./figures.js";
import type { Tone } from "./log.js";
import { decodeEvent, decodePlace, encodePlace, encodeShot, encodeText, PLACE, type Event, type Place } from "./message.js";
import { colourOf, nameOf } from "./names.js";
import type { Begin, News, Order } from "./order.js";
import { Painter } from "./painter.js";
import { Strip, type Kind } from "./strip.js";
import { DELAY } from "./track.js";
import { Trials } from "./trials.js";

/** Between two shots, in milliseconds. */
const RELOAD_MS = 160;

/** How often figures are told, in milliseconds: faster, nobody reads them. */
const LOOK_MS = 250;

/** Calls at the next frame. Not every browser tells its workers of frames: there it is at most so many milliseconds off. */
const next = globalThis.requestAnimationFrame ?? ((frame: () => void) => setTimeout(frame, 16));

/** What is shown while a trial runs. */
const TRYING = { slow: "reading nothing", cut: "cable cut", hidden: "paused" };

export class World {
  #tell: (news: News) => void;
  #url: string;
  #name: string;
  #token: string;
  #hidden = false;

  #arena = new Arena();
  #cable = new Cable();
  #painter: Painter;
  #strip: Strip;
  #figures = new Figures();
  /** What the page was told. */
  #texts: Record<string, string> = {};
  #banner = "";
  #alone = false;
  #log = { add: (line: string, tone: Tone = "") => this.#tell({ line, tone }) };

  #client!: Client;
  #room!: Room<Event | undefined, Place | undefined>;
  #trials!: Trials;

  /** What came in the batch that is not over: its tick is told at its end. */
  #values: [member: number, place: Place | undefined][] = [];
  #events: [member: number, event: Event][] = [];

  #direction: [dx: number, dy: number] = [0, 0];
  /** What the room was told last, and at which tick. */
  #placed = { x: -1, y: -1, heading: -1 };
  #sent = 0;
  #loaded = 0;
  #last = performance.now();
  #looks = 0;

  constructor({ url, room, token, arena, strip }: Begin, tell: (news: News) => void) {
    this.#tell = tell;
    this.#url = url;
    this.#name = room;
    this.#token = token;
    this.#painter = new Painter(arena);
    this.#strip = new Strip(strip);
    this.#cable.tap = (type, flags, bytes) => this.#arrived(type, flags, bytes);
    this.#connect();
    next(this.#frame);
    setInterval(() => this.#look(), LOOK_MS / 2);
  }

  /** Does what the page wants. */
  take(order: Order): void {
    if ("steer" in order) this.#direction = order.steer;
    else if ("shoot" in order) this.#shoot();
    else if ("say" in order) this.#say(order.say);
    else if ("look" in order) this.#painter.look(order.look);
    else if ("strip" in order) this.#strip.look(order.strip);
    else if ("trial" in order) this.#trials.start(order.trial);
    else if ("hidden" in order) {
      this.#hidden = order.hidden;
      void this.#trials.hide(order.hidden);
    } else if ("token" in order) {
      this.#token = order.token;
      this.#client.close();
      this.#arena.dots.clear();
      this.#connect();
    }
  }

  #connect(): void {
    const client = (this.#client = new Client(this.#url, {
      WebSocket: this.#cable.WebSocket,
      // What is said while the cable is cut leaves afterwards.
      queue: queue(),
      ...(this.#token ? { token: this.#token } : {}),
    }));
    const room = (this.#room = client.room<Event | undefined, Place | undefined>(this.#name, {
      event: { encode: encodeEvent, decode: decodeEvent },
      value: { encode: (place) => (place ? encodePlace(place) : new Uint8Array()), decode: decodePlace },
      // Its own messages are counted as well.
      echo: true,
    }));
    const { running, rung } = (this.#trials = new Trials(client, room as unknown as Room, this.#cable, this.#log, () => this.#showTrials()));
    this.#tell({ trial: running, rung });
    void this.#trials.hide(this.#hidden);
    client.on("state", ({ from, to, reason, text }) => {
      this.#showState();
      if (to === "connected") this.#log.add("Connected.", "good");
      if (to === "connecting" && from === "connected") {
        this.#log.add(reason === 100 ? "The server is going away; coming back when it said." : "The connection is gone; trying again.", "warn");
      }
      if (to === "closed") this.#refuse(reason, text);
    });
    client.on("error", (error) => this.#log.add(`${error.message}`, "bad"));
    client.on("refused", ({ reason }) => this.#log.add(`The server refused a message (${reason}).`, "warn"));
    room.on("state", ({ to, reason, text }) => {
      this.#showState();
      // Where the client is closed, it has said so.
      if (to === "left" && client.state !== "closed") this.#refuse(reason, text);
      if (to === "joined") this.#join();
    });
    room.on("outcome", ({ is }) => is === "snapshot" && this.#arena.renew());
    room.on("value", (key, place, owner) => {
      if (key === PLACE) this.#values.push([owner, place]);
    });
    room.on("event", (event, member) => {
      if (event) this.#events.push([member, event]);
    });
    room.on("tick", (tick) => this.#batch(tick));
    client.connect();
    room.join();
  }

  /** A batch is over, and its tick is known. */
  #batch(tick: number): void {
    const now = performance.now();
    const room = this.#room;
    const arena = this.#arena;
    const count = this.#values.length + this.#events.length;
    this.#figures.messages += count;
    if (count) this.#figures.batches++;
    for (const [member, place] of this.#values) if (member !== room.member) arena.place(member, place, tick);
    // Seen when the dots are seen at that tick; what is long past is over.
    const at = now + (tick + DELAY - room.tick()) * room.period;
    for (const [member, event] of this.#events) {
      const own = member === room.member;
      if (event.is === "shot") {
        if (!own) arena.shoot(member, event.from, at);
      } else {
        arena.say(own ? arena.own : arena.dots.get(member), event.text, now);
        this.#log.add(`${own ? "You" : nameOf(member)}: ${event.text}`, "said");
      }
    }
    this.#values = [];
    this.#events = [];
  }

  /** In the room, under a number. */
  #join(): void {
    const { own } = this.#arena;
    const { member } = this.#room;
    if (own.member !== member) {
      if (!own.member) {
        // Somewhere else for each, and never at the edge.
        own.x = 16_000 + Math.random() * 33_000;
        own.y = 16_000 + Math.random() * 33_000;
      }
      (own as { member: number }).member = member;
      (own as { colour: number }).colour = colourOf(member);
      this.#tell({ me: nameOf(member) });
      this.#log.add(`You are ${nameOf(member)}. Open a second tab, and see yourself from there.`);
    }
    this.#placed = { x: -1, y: -1, heading: -1 };
  }

  // What this tab does.

  /** Tells the room where the own dot is, once a tick, where that is news. */
  #place(tick: number): void {
    const { x, y, heading, bot } = this.#arena.own;
    const moved = this.#placed.x !== x || this.#placed.y !== y || this.#placed.heading !== heading;
    if (this.#room.state !== "joined" || tick === this.#sent || !(moved || this.#trials.running === "slow")) return;
    this.#sent = tick;
    this.#placed = { x, y, heading };
    this.#room.set(PLACE, { x, y, heading, bot });
  }

  #shoot(): void {
    const now = performance.now();
    if (now < this.#loaded || this.#room.state === "left") return;
    this.#loaded = now + RELOAD_MS;
    const { x, y, heading } = this.#arena.own;
    const from = { x, y, heading, bot: false };
    if (this.#publish({ is: "shot", from })) this.#arena.shoot(this.#room.member, from, now);
  }

  #say(text: string): void {
    if (this.#room.state === "left" || !this.#publish({ is: "text", text })) this.#tell({ unsaid: text });
  }

  /** False where there is no place for it to wait. */
  #publish(event: Event): boolean {
    try {
      this.#room.publish(event);
      return true;
    } catch {
      this.#log.add("Not sent: too much waits already.", "warn");
      return false;
    }
  }

  // What is shown.

  #arrived(type: number, flags: number, bytes: number): void {
    const kind = (flags >> 1) & 7;
    const data = type === 1 && kind <= 1;
    this.#strip.add((data ? 1 - kind : 2) as Kind, bytes, this.#cable.held);
    this.#figures.bytes += bytes;
    if (!data) return;
    this.#trials.arrived(kind, bytes);
    // What fills the line of a slow receiver is no message of the arena.
    if (this.#trials.running !== "slow") this.#figures.data += bytes;
  }

  #frame = (): void => {
    const now = performance.now();
    const seconds = Math.min(0.1, (now - this.#last) / 1000);
    this.#last = now;
    const tick = this.#room.tick();
    this.#arena.steer(...this.#direction, seconds);
    if (Number.isFinite(tick)) this.#place(Math.floor(tick));
    this.#arena.advance(tick, now);
    this.#painter.paint(this.#arena, this.#room.member > 0, now);
    next(this.#frame);
  };

  #look(): void {
    // Never both in a frame.
    if (this.#looks++ % 2) return this.#strip.draw();
    const room = this.#room as unknown as Room;
    const trials = this.#trials;
    trials.look();
    this.#showFigures(this.#figures.texts(this.#client, room));
    const { running, until } = trials;
    const left = Math.max(0, (until - performance.now()) / 1000).toFixed(1);
    const banner = running ? `${TRYING[running]} · ${left} s` : "";
    if (banner !== this.#banner) this.#tell({ banner: (this.#banner = banner) });
    const alone = room.state === "joined" && room.count === 1 && !running;
    if (alone !== this.#alone) this.#tell({ alone: (this.#alone = alone) });
  }

  /** Tells those that are others now. */
  #showFigures(texts: Record<string, string>): void {
    const changed = Object.entries(texts).filter(([id, text]) => this.#texts[id] !== text);
    if (changed.length) this.#tell({ figures: Object.fromEntries(changed) });
    this.#texts = texts;
  }

  #showState(): void {
    this.#tell({ state: this.#client.state === "connected" ? this.#room.state : this.#client.state });
  }

  #showTrials(): void {
    const { running, rung } = this.#trials;
    this.#tell({ trial: running, rung });
  }

  /** The server does not want this client, for good: with a token it may. */
  #refuse(reason: number, text: string): void {
    if (!reason || reason === 200) return;
    this.#log.add(`The server said no (${reason})${text ? `: ${text}` : "."}`, "bad");
    this.#tell({ refused: reason });
  }
}

function encodeEvent(event: Event | undefined): Uint8Array {
  if (event?.is === "shot") return encodeShot(event.from);
  return (event && encodeText(event.text)) ?? new Uint8Array();
}
