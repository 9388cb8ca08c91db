// The client in a real browser against a real server: two pages in a room, a cut, a hidden tab, the React example.
// TICKWIRE is the program, CHROMIUM the browser; SCREENSHOTS a folder for pictures of the example, if they are wanted.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

const { TICKWIRE, CHROMIUM, SCREENSHOTS } = process.env;

/** Milliseconds for what must come. A test that passes does not wait for it. */
const PATIENCE = 20_000;

const EXAMPLE = fileURLToPath(new URL("../../examples/react/dist/", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** A page with nothing but the client, and what it heard. */
const BARE = `
  import { Client, text } from "tickwire";
  import { inflate } from "tickwire/inflate";
  import { queue } from "tickwire/queue";
  window.heard = [];
  window.client = new Client(new URLSearchParams(location.search).get("server"), { queue: queue(), inflate });
  window.room = client.room("r", { event: text, value: text }).join();
  client.on("state", ({ to }) => heard.push(to));
  client.on("error", (error) => heard.push("error " + error.message));
  room.on("event", (event) => heard.push(event));
  room.on("outcome", ({ is }) => heard.push(is));
  client.connect();
`;

let browser, control, files, origin, ports, script;

before(async () => {
  const bundle = await build({
    stdin: { contents: BARE, resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
    bundle: true,
    write: false,
    format: "esm",
  });
  script = bundle.outputFiles[0].text;
  control = spawn(TICKWIRE, ["conformance"], { stdio: ["pipe", "pipe", "inherit"] });
  ports = JSON.parse(await new Promise((done) => createInterface({ input: control.stdout }).once("line", done)));
  files = createServer(serve).listen(0, "127.0.0.1");
  await new Promise((done) => files.once("listening", done));
  origin = `http://127.0.0.1:${files.address().port}`;
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  files?.close();
  control?.stdin.end();
});

beforeEach(() => post("/reset", {}));

async function serve(request, response) {
  const { pathname } = new URL(request.url, "http://x");
  try {
    if (pathname === "/bare")
      response
        .setHeader("Content-Type", "text/html")
        .end('<!doctype html><link rel="icon" href="data:,"><script type="module" src="/bare.js"></script>');
    else if (pathname === "/bare.js") response.setHeader("Content-Type", "text/javascript").end(script);
    else {
      const path = join(EXAMPLE, normalize(pathname === "/" ? "/index.html" : pathname));
      response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream").end(await readFile(path));
    }
  } catch {
    response.writeHead(404).end();
  }
}

async function post(path, body) {
  const answer = await fetch(`${ports.control}${path}`, { method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200, `${path}: ${await answer.text()}`);
}

/** A page, and everything that went wrong in it. */
async function open(path, query = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 720 } });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  await page.goto(`${origin}${path}?${new URLSearchParams({ server: ports.websocket, ...query })}`);
  return { page, wrong, close: () => context.close() };
}

/** A page with the client alone, in its room. */
async function bare() {
  const opened = await open("/bare");
  await opened.page.waitForFunction(() => room.state === "joined");
  return opened;
}

const heard = (page, what) => page.waitForFunction((what) => heard.includes(what), what);

test("two pages in a room hear and see each other", async () => {
  const [a, b] = [await bare(), await bare()];
  await a.page.waitForFunction(() => room.members.size === 2);
  await a.page.evaluate(() => (room.publish("from a"), room.set(1, "value of a")));
  await b.page.evaluate(() => room.publish("from b"));
  await heard(a.page, "from b");
  await heard(b.page, "from a");
  await b.page.waitForFunction(() => room.latest(1) === "value of a");
  assert.ok(!(await a.page.evaluate(() => heard)).includes("from a"), "a's own message is hidden");
  // The client, and not the page: Chromium on a busy machine ends the connection of a page that is closed without a
  // word, and then the member is away for the grace of its session.
  await a.page.evaluate(() => void client.close());
  await b.page.waitForFunction(() => room.members.size === 1 && room.latest(1) === undefined);
  await a.close();
  assert.deepEqual(b.wrong, []);
  await b.close();
});

test("a cut cable: the page comes back, and misses nothing", async () => {
  const { page, close } = await bare();
  await post("/publish", { room: "r", texts: ["1"] });
  await heard(page, "1");
  await post("/fault", { do: "down", ms: 300 });
  await page.waitForFunction(() => client.state === "connecting");
  await page.evaluate(() => room.publish("written meanwhile"));
  await post("/publish", { room: "r", texts: ["2", "3"] });
  await page.waitForFunction(() => heard.at(-1) === "3");
  const told = ["connecting", "connected", "snapshot", "1", "connecting", "connected", "recovered", "2", "3"];
  assert.deepEqual(await page.evaluate(() => heard), told);
  await seen("r", ["written meanwhile"]);
  await close();
});

test("a hidden tab receives nothing, and what counts when it is back", async () => {
  const { page, wrong, close } = await bare();
  // Headless pages are never hidden by themselves.
  const turn = (state) =>
    page.evaluate((state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, state);
  await turn("hidden");
  // What is said behind it is there: so the server has heard that the page is hidden.
  await page.evaluate(() => room.publish("mine"));
  await seen("r", ["mine"]);
  const before = await page.evaluate(() => room.position);
  await post("/publish", { room: "r", texts: ["unseen"] });
  await post("/publish", { room: "r", key: 1, text: "seen" });
  await turn("visible");
  await page.waitForFunction(() => room.latest(1) === "seen");
  const told = await page.evaluate(() => heard);
  assert.ok(!told.includes("unseen"));
  assert.equal(told.at(-1), "gap");
  assert.ok((await page.evaluate(() => room.position)) > before);
  assert.deepEqual(wrong, []);
  await close();
});

test("the React example: cursors, rings and words of two people", async () => {
  const [ann, bob] = [await open("/", { name: "Ann" }), await open("/", { name: "Bob" })];
  for (const { page } of [ann, bob]) {
    await page.getByText("connected").waitFor();
    await page.waitForFunction(() => document.querySelectorAll("header li").length === 2);
  }
  const box = await ann.page.locator(".board").boundingBox();
  await ann.page.mouse.move(box.x + box.width / 2, box.y + box.height / 3);
  const cursor = bob.page.locator(".cursor");
  await cursor.getByText("Ann").waitFor();
  await bob.page.waitForFunction(() => {
    const board = document.querySelector(".board").getBoundingClientRect();
    const at = document.querySelector(".cursor").getBoundingClientRect();
    return Math.abs(at.x - board.x - board.width / 2) < 3 && Math.abs(at.y - board.y - board.height / 3) < 3;
  });
  for (const [from, words] of [
    [ann, "Hello Bob"],
    [bob, "Hello Ann, nice board"],
    [ann, "<b>&amp;"],
  ]) {
    await from.page.getByPlaceholder("Say something").fill(words);
    await from.page.keyboard.press("Enter");
    for (const { page } of [ann, bob]) await page.locator("aside li").filter({ hasText: words }).waitFor();
  }
  await bob.page.mouse.move(box.x + box.width / 4, box.y + box.height / 2);
  await ann.page.locator(".cursor").getByText("Bob").waitFor();
  await bob.page.mouse.down();
  await bob.page.mouse.up();
  await ann.page.locator(".ring").waitFor({ state: "attached" });
  if (SCREENSHOTS) {
    await ann.page.screenshot({ path: join(SCREENSHOTS, "example-ann.png") });
    await bob.page.setViewportSize({ width: 480, height: 800 });
    await bob.page.screenshot({ path: join(SCREENSHOTS, "example-bob-narrow.png") });
  }
  await post("/fault", { do: "down", ms: 1_000 });
  await ann.page.locator("output.connecting").waitFor();
  if (SCREENSHOTS) await ann.page.screenshot({ path: join(SCREENSHOTS, "example-connecting.png") });
  await ann.page.locator("output.connected").waitFor();
  await ann.page.waitForFunction(() => document.querySelectorAll("header li").length === 2);
  // What the browser itself writes of connections that fail.
  for (const { wrong } of [ann, bob])
    assert.deepEqual(
      wrong.filter((text) => !text.includes("WebSocket connection")),
      [],
    );
  await ann.close();
  await bob.close();
});

/** Waits until clients have published exactly this in the room. */
async function seen(room, texts) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await fetch(`${ports.control}/seen`, { method: "POST", body: JSON.stringify({ room, texts }) });
    if (answer.ok) return;
    assert.ok(Date.now() < end, await answer.text());
    await new Promise((done) => setTimeout(done, 20));
  }
}
