/**
 * What the buttons do: a slow receiver, a cut cable, a hidden tab. Each ends by itself, and tells what came of it.
 *
 * ```text
 * slow     hold the cable, and fill it from a room of its own ──> the ladder of PROTOCOL 12.5, rung by rung
 * cut      cut the cable, and let nothing connect             ──> resume and history, PROTOCOL 12.1 and 12.2
 * hidden   pause, unpause                                      ──> PROTOCOL 6.11
 * ```
 */

import type { Client, Outcome, Room } from "tickwire";

import type { Cable } from "./cable.js";
import type { Log } from "./log.js";

/** How long each takes, in milliseconds. Slow: long enough for every rung; cut: well within the server's grace. */
const SLOW_MS = 6_000;
const CUT_MS = 3_000;
const HIDDEN_MS = 4_000;

/** What fills the line, and how often: 80 kB/s, so that the first rung comes within a second, the last within three. */
const BALLAST_BYTES = 4_096;
const BALLAST_MS = 50;

/** How long the server has at most to tell what is missing, in milliseconds. It does when the line has drained. */
const DRAIN_MS = 10_000;

/** For how long no values, or no events, must have come to call them skipped, in milliseconds. */
const SILENT_MS = 500;

export type Trial = "slow" | "cut" | "hidden";

/** A rung of the ladder: all comes, values are skipped, batches are left out, caught up. */
export type Rung = 0 | 1 | 2 | 3;

export class Trials {
  running?: Trial;
  /** When it ends, in milliseconds of this page. */
  until = 0;
  rung?: Rung;

  /** There was an outcome before: the first one is news to nobody. */
  #begun = false;
  #value = 0;
  #event = 0;
  /** Events of the batch that is not over yet, and those that were missed and came after all. */
  #fresh = 0;
  #missed?: { upTo: number; events: number };
  /** The page is hidden indeed. */
  #hidden = false;

  constructor(
    readonly client: Client,
    readonly room: Room,
    readonly cable: Cable,
    readonly log: Pick<Log, "add">,
    readonly show: () => void,
  ) {
    room.on("outcome", (outcome) => this.#outcome(outcome));
    room.on("event", () => void this.#fresh++);
    room.on("tick", (tick) => this.#caughtUp(tick));
    client.on("state", ({ to }) => to !== "connected" && (this.#missed = undefined));
  }

  start(trial: Trial): void {
    if (this.running || this.room.state !== "joined") return;
    this.running = trial;
    this.rung = undefined;
    if (trial === "slow") this.#slow();
    else if (trial === "cut") this.#cut();
    else void this.#hide();
    this.show();
  }

  #lasts(ms: number, end: () => void): void {
    this.until = performance.now() + ms;
    setTimeout(end, ms);
  }

  #end(): void {
    this.running = undefined;
    this.show();
  }

  // A slow receiver.

  #slow(): void {
    const name = `arena/line-${this.room.member}-${Math.floor(Math.random() * 1e9)}`;
    const ballast = this.client.room(name, { echo: true, background: true });
    ballast.join();
    // Its answer must not be held: it comes first.
    const answered = ballast.on("state", ({ to }) => {
      answered();
      if (to === "joined") this.#pour(ballast);
      else this.#end();
    });
  }

  #pour(ballast: Room): void {
    this.log.add("Slow receiver: this tab reads nothing for 6 s, while 80 kB/s pour into its line.", "warn");
    this.#climb(0);
    this.#value = this.#event = performance.now();
    this.cable.hold();
    const bytes = new Uint8Array(BALLAST_BYTES);
    const pour = setInterval(() => {
      // Chance cannot be compressed.
      crypto.getRandomValues(bytes);
      if (ballast.state === "joined") ballast.publish(bytes, { policy: "drop" });
    }, BALLAST_MS);
    this.#lasts(SLOW_MS, () => {
      clearInterval(pour);
      const waited = Math.round(this.cable.waiting / 1024);
      this.log.add(`Reading again. ${waited} KiB had been sent meanwhile; the server kept the rest to itself.`);
      const over = () => {
        clearTimeout(late);
        told();
        if (ballast.state !== "left") ballast.leave();
        this.#climb(3);
        this.#end();
      };
      const late = setTimeout(over, DRAIN_MS);
      const told = ballast.on("outcome", (outcome) => {
        if (outcome.is !== "gap") return;
        const { from, to } = outcome;
        this.log.add(`Told what is missing of what filled the line: batches ${from} to ${to}. Nothing is dropped in silence.`, "warn");
        over();
      });
      this.cable.release();
    });
  }

  /** A frame of data arrived, held or not. `kind`: 0 event, 1 value. */
  arrived(kind: number, bytes: number): void {
    if (kind === 1) this.#value = performance.now();
    // A small batch of the arena finds a place where what fills the line does not any more.
    if (kind === 0 && bytes > BALLAST_BYTES) this.#event = performance.now();
  }

  /** Looks how far the server has come down the ladder: by what it still sends. */
  look(): void {
    if (this.running !== "slow" || !this.cable.held) return;
    const now = performance.now();
    if (now - this.#value > SILENT_MS) this.#climb(1);
    if (now - this.#event > SILENT_MS && this.rung === 1) this.#climb(2);
  }

  #climb(rung: Rung): void {
    if (this.rung !== undefined && rung <= this.rung) return;
    this.rung = rung;
    const { waiting } = this.cable;
    const behind = `${Math.round(waiting / 1024)} KiB behind`;
    if (rung === 1) this.log.add(`${behind}: the server skips values for this tab. Events still come.`, "warn");
    if (rung === 2) this.log.add(`${behind}: its outbox is full. Whole batches are left out, for this tab only.`, "bad");
    if (rung === 3) this.log.add("Caught up: the newest values, without what lay between.", "good");
    this.show();
  }

  // A cut cable.

  #cut(): void {
    this.log.add("The cable is cut. Nobody is told; the server keeps this member’s place.", "bad");
    this.cable.cut(CUT_MS);
    this.#lasts(CUT_MS, () => this.#end());
  }

  // A hidden tab.

  /** The page is hidden, or seen again. The client works where there is no page: it cannot see that itself. */
  hide(hidden: boolean): Promise<void> {
    this.#hidden = hidden;
    return this.#pause();
  }

  #pause(): Promise<void> {
    return this.#hidden || this.running === "hidden" ? this.room.pause() : this.room.unpause();
  }

  async #hide(): Promise<void> {
    await this.#pause();
    this.log.add("Paused, as a hidden tab: the server sends nothing of the room.", "warn");
    this.#lasts(HIDDEN_MS, async () => {
      this.log.add("Back: the server sends the room as it is now.");
      if (!this.#hidden) await this.room.unpause();
      this.#end();
    });
  }

  // What came of it.

  #outcome(outcome: Outcome): void {
    if (outcome.is === "recovered") {
      this.#missed = { upTo: Math.floor(this.room.tick()), events: 0 };
    } else if (outcome.is === "gap") {
      const lost = outcome.to - outcome.from + 1;
      const what = lost === 1 ? `batch ${outcome.from}` : `batches ${outcome.from} to ${outcome.to}`;
      this.log.add(`Told what is missing: ${what}. Then the newest values.`, "warn");
      if (this.running === "slow") this.#climb(3);
    } else if (this.#begun) {
      this.log.add("Snapshot: everything as it is now.", "good");
    }
    this.#begun = true;
  }

  /** A batch is over: what was replayed comes before the present. */
  #caughtUp(tick: number): void {
    const missed = this.#missed;
    const fresh = this.#fresh;
    this.#fresh = 0;
    if (!missed) return;
    if (tick <= missed.upTo) return void (missed.events += fresh);
    this.#missed = undefined;
    const what = missed.events === 1 ? "1 event that was" : `${missed.events} events that were`;
    this.log.add(missed.events ? `Recovered ${what} missed, in order.` : "Recovered: nothing was missed.", "good");
  }
}
