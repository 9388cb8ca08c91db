// The first lines of the README, as they stand there, against a server.
//
//   node tests/readme.mjs path/to/tickwire

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const server = spawn(process.argv[2], ["conformance"], { stdio: ["pipe", "pipe", "inherit"] });
const ports = JSON.parse(await new Promise((done) => createInterface({ input: server.stdout }).once("line", done)));
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const [, code] = readme.match(/```ts\n(.*?)```/s);
// Only the port is another one, and Node 20 has no WebSocket of its own.
globalThis.WebSocket = WebSocket;
const lines = code.replace("ws://localhost:7070/ws", ports.websocket);
const wanted = new Set(["1 says hello", "1/1 is here"]);
const late = setTimeout(() => {
  console.log(`the README's example did not print ${[...wanted]}`);
  process.exit(1);
}, 20_000);
console.log = (line) => {
  wanted.delete(line);
  if (wanted.size) return;
  clearTimeout(late);
  process.stdout.write("the README's example does what it says\n");
  server.stdin.end();
  process.exit(0);
};
const resolved = lines.replace(/from "(tickwire[^"]*)"/g, (_, name) => `from "${import.meta.resolve(name)}"`);
await import(`data:text/javascript,${encodeURIComponent(resolved)}`);
