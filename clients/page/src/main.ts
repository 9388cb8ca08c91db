/**
 * The page: what comes from the room goes into the arena, what is done here goes into the room, and all is shown.
 *
 * ```text
 * keys, fingers ──> Steering ──> own dot ──each tick──> Room ──> server
 * server ──> Cable ──> Client ──> Room ──each batch──> Arena ──each frame──> Screen ──> canvas
 *              └── what arrives ──> Strip, Figures, Trials
 * ```
 */

import { Client, type Room } from "tickwire";
import { queue } from "tickwire/queue";

import { Arena } from "./arena.js";
import { Cable } from "./cable.js";
import { Figures, set } from "./figures.js";
import { Log } from "./log.js";
import { decodeEvent, decodePlace, encodePlace, encodeShot, encodeText, PLACE, type Event, type Place } from "./message.js";
import { colourOf, nameOf } from "./names.js";
import { Screen } from "./screen.js";
import { Steering } from "./steer.js";
import { Strip, type Kind } from "./strip.js";
import { DELAY } from "./track.js";
import { Trials, type Trial } from "./trials.js";

/** Between two shots, in milliseconds. */
const RELOAD_MS = 160;

/** How often figures are written, in milliseconds: faster, nobody reads them. */
const LOOK_MS = 250;

/** What a token must be asked for (PROTOCOL 14). */
const NO_ENTRY = [110, 240, 241, 242, 243];

const $ = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;

const log = new Log($("log"));
const arena = new Arena();
const cable = new Cable();
const strip = new Strip($<HTMLCanvasElement>("strip"));
const figures = new Figures();
const screen = new Screen($<HTMLCanvasElement>("arena"));
const steering = new Steering($("field"), shoot, () => $("say").focus());

const { host, protocol, hash } = location;
const roomName = new URLSearchParams(location.search).get("room") ?? "arena";
let token = new URLSearchParams(hash.slice(1)).get("token") ?? "";
// It is a secret: it does not stay where it is seen.
if (token) history.replaceState(null, "", location.pathname + location.search);

let client: Client;
let room: Room<Event | undefined, Place | undefined>;
let trials: Trials;

/** What came in the batch that is not over: its tick is told at its end. */
let values: [member: number, place: Place | undefined][] = [];
let events: [member: number, event: Event][] = [];

function connect(): void {
  client = new Client(`${protocol === "https:" ? "wss" : "ws"}://${host}/ws`, {
    WebSocket: cable.WebSocket,
    // What is said while the cable is cut leaves afterwards.
    queue: queue(),
    ...(token ? { token } : {}),
  });
  room = client.room<Event | undefined, Place | undefined>(roomName, {
    event: { encode: encodeEvent, decode: decodeEvent },
    value: { encode: (place) => (place ? encodePlace(place) : new Uint8Array()), decode: decodePlace },
    // Its own messages are counted as well.
    echo: true,
  });
  trials = new Trials(client, room as unknown as Room, cable, log, showTrials);
  client.on("state", ({ from, to, reason, text }) => {
    showState();
    if (to === "connected") log.add("Connected.", "good");
    if (to === "connecting" && from === "connected") log.add(reason === 100 ? "The server is going away; coming back when it said." : "The connection is gone; trying again.", "warn");
    if (to === "closed") refuse(reason, text);
  });
  client.on("error", (error) => log.add(`${error.message}`, "bad"));
  client.on("refused", ({ reason }) => log.add(`The server refused a message (${reason}).`, "warn"));
  room.on("state", ({ to, reason, text }) => {
    showState();
    // Where the client is closed, it has said so.
    if (to === "left" && client.state !== "closed") refuse(reason, text);
    if (to === "joined") join();
  });
  room.on("outcome", ({ is }) => is === "snapshot" && arena.renew());
  room.on("value", (key, place, owner) => {
    if (key === PLACE) values.push([owner, place]);
  });
  room.on("event", (event, member) => {
    if (event) events.push([member, event]);
  });
  room.on("tick", take);
  client.connect();
  room.join();
}

function encodeEvent(event: Event | undefined): Uint8Array {
  if (event?.is === "shot") return encodeShot(event.from);
  return (event && encodeText(event.text)) ?? new Uint8Array();
}

/** A batch is over, and its tick is known. */
function take(tick: number): void {
  const now = performance.now();
  figures.messages += values.length + events.length;
  if (values.length + events.length) figures.batches++;
  for (const [member, place] of values) if (member !== room.member) arena.place(member, place, tick);
  // Seen when the dots are seen at that tick; what is long past is over.
  const at = now + (tick + DELAY - room.tick()) * room.period;
  for (const [member, event] of events) {
    if (event.is === "shot") {
      if (member !== room.member) arena.shoot(member, event.from, at);
    } else {
      const own = member === room.member;
      arena.say(own ? arena.own : arena.dots.get(member), event.text, now);
      log.add(`${own ? "You" : nameOf(member)}: ${event.text}`, "said");
    }
  }
  values = [];
  events = [];
}

// What this tab does.

let placed = { x: -1, y: -1, heading: -1 };
let sent = 0;

/** In the room, under a number. */
function join(): void {
  const { own } = arena;
  if (own.member !== room.member) {
    if (!own.member) {
      // Somewhere else for each, and never at the edge.
      own.x = 16_000 + Math.random() * 33_000;
      own.y = 16_000 + Math.random() * 33_000;
    }
    (own as { member: number; colour: number }).member = room.member;
    (own as { colour: number }).colour = colourOf(room.member);
    set("me", nameOf(room.member));
    log.add(`You are ${nameOf(room.member)}. Open a second tab, and see yourself from there.`);
  }
  placed = { x: -1, y: -1, heading: -1 };
}

/** Tells the room where the own dot is, once a tick, where that is news. */
function tell(tick: number): void {
  const { x, y, heading, bot } = arena.own;
  const moved = placed.x !== x || placed.y !== y || placed.heading !== heading;
  if (room.state !== "joined" || tick === sent || !(moved || trials.running === "slow")) return;
  sent = tick;
  placed = { x, y, heading };
  room.set(PLACE, { x, y, heading, bot });
}

let loaded = 0;

function shoot(): void {
  const now = performance.now();
  if (now < loaded || room.state === "left") return;
  loaded = now + RELOAD_MS;
  const { x, y, heading } = arena.own;
  const from = { x, y, heading, bot: false };
  if (publish({ is: "shot", from })) arena.shoot(room.member, from, now);
}

/** False where there is no place for it to wait. */
function publish(event: Event): boolean {
  try {
    room.publish(event);
    return true;
  } catch {
    log.add("Not sent: too much waits already.", "warn");
    return false;
  }
}

$<HTMLFormElement>("chat").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = $<HTMLInputElement>("say");
  if (said.value.trim() && room.state !== "left" && publish({ is: "text", text: said.value })) said.value = "";
  said.blur();
});
$("say").addEventListener("keydown", (event) => event.key === "Escape" && $("say").blur());
$("shoot").addEventListener("pointerdown", (event) => {
  event.preventDefault();
  shoot();
});
for (const trial of ["slow", "cut", "hidden"] as Trial[]) $(trial).addEventListener("click", () => trials.start(trial));

// What is shown.

cable.tap = (type, flags, bytes) => {
  const kind = (flags >> 1) & 7;
  const data = type === 1 && kind <= 1;
  strip.add((data ? 1 - kind : 2) as Kind, bytes, cable.held);
  figures.bytes += bytes;
  if (!data) return;
  trials.arrived(kind, bytes);
  // What fills the line of a slow receiver is no message of the arena.
  if (trials.running !== "slow") figures.data += bytes;
};

let last = performance.now();

function frame(now: number): void {
  const seconds = Math.min(0.1, (now - last) / 1000);
  last = now;
  const tick = room.tick();
  arena.steer(...steering.direction(), seconds);
  if (Number.isFinite(tick)) tell(Math.floor(tick));
  arena.advance(tick, now);
  screen.show(arena, room.member > 0, now);
  requestAnimationFrame(frame);
}

let looks = 0;

function look(): void {
  // Never both in a frame.
  if (looks++ % 2) return strip.draw();
  figures.show(client, room as unknown as Room);
  trials.look();
  const { running, until } = trials;
  const left = Math.max(0, (until - performance.now()) / 1000).toFixed(1);
  const words = { slow: "reading nothing", cut: "cable cut", hidden: "paused" };
  $("banner").hidden = !running;
  $("alone").hidden = room.state !== "joined" || room.count !== 1 || running !== undefined;
  if (running) set("banner", `${words[running]} · ${left} s`);
}

function showState(): void {
  const state = client.state === "connected" ? room.state : client.state;
  const words: Record<string, string> = {
    joined: "live", joining: "joining", connecting: "connecting", closed: "closed", disconnected: "offline", left: "not admitted",
  };
  $("state").dataset["state"] = state;
  set("state-text", words[state] ?? state);
}

function showTrials(): void {
  const { running, rung } = trials;
  for (const trial of ["slow", "cut", "hidden"] as Trial[]) {
    $<HTMLButtonElement>(trial).disabled = running !== undefined;
    $(trial).toggleAttribute("data-running", running === trial);
  }
  [...$("ladder").children].forEach((step, index) => {
    step.toggleAttribute("data-on", rung === index);
    step.toggleAttribute("data-past", rung !== undefined && index < rung);
  });
}

// Who may not come in.

/** The server does not want this client, for good: with a token it may. */
function refuse(reason: number, text: string): void {
  if (!reason || reason === 200) return;
  log.add(`The server said no (${reason})${text ? `: ${text}` : "."}`, "bad");
  $("gate").hidden = !NO_ENTRY.includes(reason);
  if (!$("gate").hidden) $("token").focus();
}

$<HTMLFormElement>("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $<HTMLInputElement>("token").value.trim();
  $("gate").hidden = true;
  client.close();
  arena.dots.clear();
  connect();
});

connect();
showTrials();
requestAnimationFrame(frame);
setInterval(look, LOOK_MS / 2);
