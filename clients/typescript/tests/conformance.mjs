// The scenarios that hold for every client (clients/conformance), played with this one against a real server.
//
//   node tests/conformance.mjs path/to/tickwire [part of a scenario's name]
//
// scenarios ──step──> client ──WebSocket──> relay ──> server;   control port: faults, and what the server saw

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
const WebSocket = globalThis.WebSocket ?? (await import("ws")).default;

import { Client, text } from "tickwire";
import { inflate } from "tickwire/inflate";
import { queue } from "tickwire/queue";
import { renew } from "tickwire/renew";

/** What this client can do. HTTP's status is not shown by a WebSocket: such an answer is one more broken attempt. */
const ABLE = new Set(["reconnect", "queue", "pause", "presence", "tokens", "websocket"]);

/** Milliseconds for a scenario, and for one expectation. */
const SCENARIO = 30_000;
const STEP = 10_000;

class Failed extends Error {}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks until there is something, or it has taken too long. */
async function until(what, f) {
  const end = Date.now() + STEP;
  for (;;) {
    const found = await f();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Failed(`${await what()}`);
    await sleep(5);
  }
}

const post = async (path, body = {}) => {
  const answer = await fetch(`${ports.control}${path}`, { method: "POST", body: JSON.stringify(body) });
  return { ok: answer.ok, body: await answer.json() };
};

const must = async (path, body) => {
  const answer = await post(path, body);
  if (!answer.ok) throw new Failed(`${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
};

/** One client, and what it has told and nobody has expected yet. */
class Player {
  states = [];
  errors = [];
  rooms = new Map();
  asked = 0;
  client;
  /** Rooms that were wanted before there was a client. */
  early = [];

  make({ tokens, queue_messages } = {}) {
    if (this.client) return;
    const token =
      tokens &&
      (async () => {
        const wanted = tokens[Math.min(this.asked++, tokens.length - 1)];
        return wanted && (await must("/token", wanted)).token;
      });
    this.client = new Client(ports.websocket, {
      WebSocket,
      renew,
      inflate,
      queue: queue({ messages: queue_messages }),
      token,
    });
    this.client.on("state", ({ to, reason }) => this.states.push({ is: to, reason }));
    this.client.on("error", (error) => this.errors.push(error));
  }

  room(name) {
    let seen = this.rooms.get(name);
    if (seen) return seen;
    const room = this.client.room(name, { event: text, value: text, echo: true });
    seen = { room, states: [], events: [], outcomes: [] };
    room.on("state", ({ to, reason }) => seen.states.push({ is: to, reason }));
    room.on("event", (event) => seen.events.push(event));
    room.on("outcome", (outcome) => seen.outcomes.push(outcome));
    this.rooms.set(name, seen);
    return seen;
  }

  async do(step) {
    const { control, verify, body } = step;
    if (control) return void (await must(control, body));
    if (verify) {
      let last;
      return void (await until(
        () => `${verify}: ${JSON.stringify(last)}`,
        async () => {
          const answer = await post(verify, body);
          last = answer.body;
          if (!answer.ok) await sleep(15);
          return answer.ok ? true : undefined;
        },
      ));
    }
    if (step.join && !this.client) return void this.early.push(step);
    if (step.connect) {
      this.make(step.connect);
      for (const early of this.early.splice(0)) this.join(early);
      this.client.connect();
    } else if (step.join) this.join(step);
    else if (step.leave) this.room(step.leave).room.leave();
    else if (step.pause) await this.room(step.pause).room.pause();
    else if (step.unpause) await this.room(step.unpause).room.unpause();
    else if (step.publish) this.publish(step);
    else if (step.set) this.set(...step.set);
    else if (step.disconnect) this.client.disconnect();
    else if (step.close) this.client.close();
    else if (step.expect) await this.expect(step);
    else throw new Failed("a step that this runner does not know");
  }

  join({ join, as }) {
    const { room } = this.room(join);
    if (as) this.client.room(join, { event: text, value: text, echo: true, as });
    room.join();
  }

  publish({ publish: [name, message], policy, throws }) {
    try {
      this.room(name).room.publish(message, { policy });
    } catch (error) {
      if (error.kind !== throws) throw error;
      return;
    }
    if (throws) throw new Failed("it did not throw");
  }

  set(name, key, message) {
    this.room(name).room.set(key, message);
  }

  async expect({ expect, room: name, is, reason, texts, text: wanted, count, key }) {
    const seen = name && this.room(name);
    const told = [];
    const take = (list, fits) => {
      while (list.length) {
        const next = list.shift();
        told.push(next);
        if (fits(next)) return true;
      }
      return undefined;
    };
    const say = () => `saw ${JSON.stringify(told)}`;
    const state = (next) => next.is === is && (reason === undefined || next.reason === reason);
    if (expect === "state") return until(say, () => take(this.states, state));
    if (expect === "room") return until(say, () => take(seen.states, state));
    if (expect === "error") return until(say, () => take(this.errors, (error) => error.kind === is));
    if (expect === "event") return until(say, () => take(seen.events, (event) => event === wanted));
    if (expect === "tokens")
      return until(
        () => `${this.asked}`,
        () => (this.asked === count ? true : undefined),
      );
    if (expect === "members")
      return until(
        () => `${seen.room.members.size}`,
        () => (seen.room.members.size === count ? true : undefined),
      );
    if (expect === "value") {
      return until(
        () => `${seen.room.latest(key)}`,
        () => (seen.room.latest(key) === (wanted ?? undefined) ? true : undefined),
      );
    }
    if (expect === "none") {
      if (seen.events.length) throw new Failed(`saw ${JSON.stringify(seen.events)}`);
      return;
    }
    if (expect === "outcome") {
      await until(say, () => (seen.outcomes.length ? true : undefined));
      const next = seen.outcomes.shift();
      if (is !== "any" && next.is !== is) throw new Failed(`saw ${JSON.stringify(next)}`);
      return;
    }
    if (expect !== "events") throw new Failed("an expectation that this runner does not know");
    for (const text of texts) {
      await until(
        () => "no event",
        () => (seen.events.length ? true : undefined),
      );
      const event = seen.events.shift();
      if (event !== text) throw new Failed(`saw ${JSON.stringify(event)} instead of ${JSON.stringify(text)}`);
    }
  }
}

async function play({ server, steps }) {
  await must("/reset", server);
  const player = new Player();
  const late = new Promise((_, fail) => setTimeout(fail, SCENARIO, new Failed("it took too long")).unref());
  try {
    for (const [number, step] of steps.entries()) {
      try {
        await Promise.race([player.do(step), late]);
      } catch (error) {
        const errors = player.errors.map((error) => error.cause ?? error.message).join(", ");
        return `step ${number} ${JSON.stringify(step)}: ${error instanceof Failed ? error.message : error.stack}${errors && `; errors: ${errors}`}`;
      }
    }
    return;
  } finally {
    player.client?.close();
  }
}

const server = spawn(process.argv[2], ["conformance"], { stdio: ["pipe", "pipe", "inherit"] });
const first = await new Promise((done, fail) => {
  createInterface({ input: server.stdout }).once("line", done);
  server.once("error", fail);
  server.once("exit", () => fail(new Error("the server ended")));
});
const ports = JSON.parse(first);
const scenarios = await (await fetch(`${ports.control}/scenarios`)).json();
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const scenario of scenarios) {
  if (!scenario.name.includes(process.argv[3] ?? "")) continue;
  const missing = scenario.needs.filter((need) => !ABLE.has(need));
  const why = missing.length ? `needs ${missing}` : await play(scenario);
  const result = missing.length ? "skipped" : why ? "failed" : "passed";
  counts[result]++;
  console.log(`${result}: ${scenario.name}${why ? `: ${why}` : ""}`);
}
server.stdin.end();
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed ? 1 : 0);
