/**
 * What is in the arena: dots as the last ticks told of them, this tab's own dot, shots, ripples and what was said.
 *
 * ```text
 * value of tick 7 ─┐
 * value of tick 8 ─┼─> track ──at tick 7.4──> between the two        (others, two ticks late)
 * keys, a finger ──┴─> own dot                                       (at once)
 * ```
 *
 * Time is counted in ticks of the room, as real numbers: what the server stamped on what it sent.
 */

import { SIDE, type Place } from "./message.js";
import { colourOf } from "./names.js";
import { Track } from "./track.js";

/** The fastest an own dot moves, in units a second: the arena in three seconds. */
const FASTEST = 22_000;

/** How fast it gets there, and stops, as a part of the difference in a second. */
const EAGER = 9;

/** How fast a shot flies, in units a second, and for how long, in milliseconds. */
const FLIGHT = 52_000;
const FLIGHT_MS = 900;

/** How near to a dot a shot hits, in units. */
const NEAR = 1_000;

/** How long a ripple and a text are shown, in milliseconds. */
export const RIPPLE_MS = 420;
export const SAID_MS = 5_000;

/** Shots and ripples at once. A room full of those who hold the key down is still drawn. */
const MAX_SHOTS = 256;

/** Dots that are kept. A room has more members than a screen has room for. */
const MAX_DOTS = 1_000;

export interface Dot {
  readonly member: number;
  readonly colour: number;
  bot: boolean;
  /** Where it is shown. */
  x: number;
  y: number;
  heading: number;
  readonly track: Track;
  said?: { text: string; until: number };
}

export interface Shot {
  readonly member: number;
  readonly colour: number;
  readonly from: Place;
  /** When it was fired, in milliseconds of this page. */
  readonly at: number;
  x: number;
  y: number;
}

export interface Ripple {
  readonly colour: number;
  readonly x: number;
  readonly y: number;
  readonly at: number;
}

export class Arena {
  readonly dots = new Map<number, Dot>();
  shots: Shot[] = [];
  ripples: Ripple[] = [];
  /** This tab's own dot. */
  readonly own: Dot = { member: 0, colour: 0, bot: false, x: SIDE / 2, y: SIDE / 2, heading: 0.75, track: new Track() };
  #vx = 0;
  #vy = 0;

  /** A member's own place is as it was told at a tick. */
  place(member: number, place: Place | undefined, tick: number): void {
    if (!place) return void this.dots.delete(member);
    let dot = this.dots.get(member);
    if (!dot) {
      if (this.dots.size >= MAX_DOTS) return;
      const { x, y, heading, bot } = place;
      this.dots.set(member, (dot = { member, colour: colourOf(member), bot, x, y, heading, track: new Track() }));
    }
    dot.bot = place.bot;
    dot.track.add(tick, place);
  }

  /** Ticks may be counted anew: what is known stays where it is. */
  renew(): void {
    for (const dot of this.dots.values()) dot.track.clear();
  }

  /** A member shot. `at`: when that is shown, in milliseconds of this page. */
  shoot(member: number, from: Place, at: number): void {
    if (this.shots.length >= MAX_SHOTS) this.shots.shift();
    this.shots.push({ member, colour: colourOf(member), from, at, x: from.x, y: from.y });
  }

  /** A member said something. */
  say(dot: Dot | undefined, text: string, now: number): void {
    if (dot) dot.said = { text, until: now + SAID_MS };
  }

  /** Moves the own dot to where it is steered: a direction, at most 1 long. */
  steer(dx: number, dy: number, seconds: number): void {
    const part = Math.min(1, EAGER * seconds);
    this.#vx += (dx * FASTEST - this.#vx) * part;
    this.#vy += (dy * FASTEST - this.#vy) * part;
    if (Math.hypot(this.#vx, this.#vy) < 60) this.#vx = this.#vy = 0;
    const { own } = this;
    const within = (of: number) => Math.max(0, Math.min(SIDE - 1, of));
    own.x = within(own.x + this.#vx * seconds);
    own.y = within(own.y + this.#vy * seconds);
    if (dx || dy) own.heading = (Math.atan2(dy, dx) / (2 * Math.PI) + 1) % 1;
  }

  /** Everything is where it is shown when it is this tick, and this time of the page. */
  advance(tick: number, now: number): void {
    for (const dot of this.dots.values()) dot.track.move(dot, tick);
    let left = 0;
    for (const shot of this.shots) if (this.#fly(shot, now)) this.shots[left++] = shot;
    this.shots.length = left;
    if (this.ripples.length && this.ripples[0]!.at + RIPPLE_MS < now) {
      this.ripples = this.ripples.filter((ripple) => ripple.at + RIPPLE_MS >= now);
    }
  }

  /** False where its flight is over. */
  #fly(shot: Shot, now: number): boolean {
    const age = now - shot.at;
    if (age < 0) return true;
    if (age > FLIGHT_MS) return false;
    const angle = shot.from.heading * 2 * Math.PI;
    const far = (FLIGHT * age) / 1000;
    shot.x = shot.from.x + Math.cos(angle) * far;
    shot.y = shot.from.y + Math.sin(angle) * far;
    if (shot.x < 0 || shot.y < 0 || shot.x >= SIDE || shot.y >= SIDE) return false;
    return !this.#hits(shot, this.own, now) && ![...this.dots.values()].some((dot) => this.#hits(shot, dot, now));
  }

  #hits(shot: Shot, dot: Dot, now: number): boolean {
    const hits = dot.member !== shot.member && Math.abs(dot.x - shot.x) < NEAR && Math.abs(dot.y - shot.y) < NEAR;
    if (hits && this.ripples.length < MAX_SHOTS) this.ripples.push({ colour: shot.colour, x: dot.x, y: dot.y, at: now });
    return hits;
  }
}
