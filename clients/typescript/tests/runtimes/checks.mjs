// What a runtime decides, and neither vectors nor scenarios see: its imports, its socket when nobody reads or answers, and that it ends.
//
//   deno run -A checks.mjs path/to/tickwire          where `tickwire` is installed
//
// It has no `exit`: a timer or a socket that goes on when all clients are closed keeps it from ending, and so from passing.

import { strictEqual, ok } from "node:assert";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

import { Client, text } from "tickwire";

/** Milliseconds for what must come. A check that passes does not wait for it. */
const PATIENCE = 20_000;

/** Bytes that the kernel takes for a reader who does not read are fewer than this. */
const KERNEL = 64 << 20;

/** WELCOME to request 1 and JOINED to request 2, handle 1 (PROTOCOL 6.2, 6.4), in one message: 15,360 bytes at most, pings every 15 s. */
const GREETING = "8231" + "02001400" + "0201000000000001000080788080018001987500" + "02001500" + "040201070103000123456789abcdef00d086030000";

/** What RFC 6455 adds to a key before it is hashed. */
const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(what, f) {
  for (const end = Date.now() + PATIENCE; !(await f()); await sleep(5)) ok(Date.now() < end, `waited in vain: ${what}`);
}

const post = async (path, body = {}) =>
  (await fetch(`${ports.control}${path}`, { method: "POST", body: JSON.stringify(body) })).ok;

/** A WebSocket that greets a client and then reads nothing any more. */
async function deaf() {
  const sockets = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", (request) => {
      const [, key] = /sec-websocket-key: *(\S+)/i.exec(request);
      const accept = createHash("sha1").update(key + MAGIC).digest("base64");
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          `Sec-WebSocket-Protocol: tickwire.v1\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      // Hello and join are there before they are answered.
      socket.once("data", () => socket.pause().write(Buffer.from(GREETING, "hex")));
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: server.address().port, close };
}

const CHECKS = {
  async "every import of the package is there"() {
    const { exports } = JSON.parse(readFileSync(new URL("node_modules/tickwire/package.json", import.meta.url), "utf8"));
    // React is not installed here; the last one is no module.
    const names = Object.keys(exports).filter((name) => !["./react", "./package.json"].includes(name));
    ok(names.length >= 6);
    for (const name of names) {
      const module = await import(`tickwire${name.slice(1)}`);
      ok(Object.values(module).some((value) => typeof value === "function"), name);
    }
  },

  async "what may be dropped is dropped when nobody reads"() {
    const server = await deaf();
    const client = new Client(`ws://127.0.0.1:${server.port}/ws`);
    const room = client.room("r").join();
    try {
      client.connect();
      await until("joined", () => room.state === "joined");
      const message = new Uint8Array(10_000);
      let written = 0;
      while (written < KERNEL && room.publish(message, { policy: "drop" })) {
        written += message.length;
        // The socket writes between two turns.
        if (written % 50_000 === 0) await sleep(0);
      }
      ok(written < KERNEL, `bufferedAmount told nothing of ${written} bytes`);
    } finally {
      client.close();
      server.close();
    }
  },

  async "where nobody listens it tries again, and can be closed"() {
    const server = await deaf();
    server.close();
    let tries = 0;
    class Counted extends WebSocket {
      constructor(...args) {
        super(...args);
        tries++;
      }
    }
    const client = new Client(`ws://127.0.0.1:${server.port}/ws`, { WebSocket: Counted }).connect();
    await until("another attempt", () => tries === 2);
    strictEqual(client.state, "connecting");
    client.close();
    strictEqual(client.state, "closed");
  },

  async "an answer of HTTP is one more broken attempt"() {
    for (const status of [404, 503]) {
      await post("/reset");
      await post("/fault", { do: "http", status });
      const client = new Client(ports.websocket).connect();
      await until(`connected behind ${status}`, () => client.state === "connected");
      ok(await post("/connections", { count: 2 }), `${status} was not the first answer`);
      client.close();
    }
  },

  async "text comes as it was sent"() {
    await post("/reset");
    const client = new Client(ports.websocket).connect();
    const room = client.room("r", { event: text, echo: true }).join();
    const heard = [];
    room.on("event", (event) => heard.push(event));
    await until("joined", () => room.state === "joined");
    room.publish("größer, 大きい, 🦀");
    await until("the echo", () => heard.length);
    strictEqual(heard[0], "größer, 大きい, 🦀");
    client.close();
  },
};

const server = spawn(process.argv[2], ["conformance"], { stdio: ["pipe", "pipe", "inherit"] });
const ports = JSON.parse(
  await new Promise((done, fail) => {
    createInterface({ input: server.stdout }).once("line", done);
    server.once("error", fail);
    server.once("exit", () => fail(new Error("the server ended")));
  }),
);
const counts = { passed: 0, failed: 0 };
for (const [name, check] of Object.entries(CHECKS)) {
  try {
    await check();
    counts.passed++;
  } catch (error) {
    counts.failed++;
    console.log(`failed: ${name}: ${error.stack}`);
  }
}
server.stdin.end();
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed ? 1 : 0;
