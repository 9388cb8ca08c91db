// The operators' page in a browser, against a server that runs: CONSOLE_URL, its public address in
// CLIENT_URL, and CONSOLE_KEY. CHROMIUM is the browser; TICKWIRE the program, which publishes.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { chromium } from "playwright-core";

const { CONSOLE_URL, CLIENT_URL, CONSOLE_KEY, CHROMIUM, TICKWIRE } = process.env;
const run = promisify(execFile);

/** Milliseconds for what must come. A test that passes does not wait for it. */
const PATIENCE = 20_000;

let browser;
let subscriber;

before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  subscriber = spawn(TICKWIRE, ["sub", "console/demo", "--url", CLIENT_URL], { stdio: "ignore" });
});

after(async () => {
  subscriber.kill();
  await browser.close();
});

/** A page, and everything that went wrong in it. */
async function open(fragment, { width, height, scheme } = { width: 1400, height: 1000, scheme: "light" }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  const requested = [];
  page.on("request", (request) => requested.push(request.url()));
  await page.goto(`${CONSOLE_URL}/admin${fragment}`);
  return { page, wrong, requested, close: () => context.close() };
}

const live = (page) => page.waitForFunction(() => document.querySelector("#state").dataset.state === "open");

test("a key is asked for, a wrong one is told, the right one opens", async () => {
  const { page, wrong, requested, close } = await open("");
  await page.locator("#gate").waitFor();
  assert.ok(await page.locator("#board").isHidden());
  await page.fill("#key", "0000000000000000");
  await page.keyboard.press("Enter");
  await page.getByText("The key is none of the server’s").or(page.getByText("The key is none of the server's")).waitFor();
  // What the browser itself writes of a 401.
  assert.deepEqual(wrong.splice(0).filter((text) => !text.includes("401")), []);
  await page.fill("#key", CONSOLE_KEY);
  await page.keyboard.press("Enter");
  await live(page);
  assert.ok(await page.locator("#gate").isHidden());
  // It is remembered by this tab, and forgotten when asked.
  await page.reload();
  await live(page);
  await page.click("#forget");
  await page.locator("#gate").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.deepEqual(wrong, []);
  assert.ok(requested.every((url) => url.startsWith(CONSOLE_URL)), `${requested}`);
  await close();
});

test("charts get data, and can be read with keys", async () => {
  const { page, wrong, close } = await open(`#key=${CONSOLE_KEY}`);
  await live(page);
  assert.ok(!page.url().includes("key"), "the key does not stay in the address");
  await page.waitForFunction(() => document.querySelectorAll(".chart path.stroke").length >= 10);
  const figure = await page.locator(".tile dd.figure").first().textContent();
  assert.ok(Number(figure) >= 2, figure);
  const chart = page.locator(".chart svg").first();
  await chart.focus();
  await page.keyboard.press("ArrowLeft");
  assert.match(await chart.getAttribute("aria-label"), /^Connections at .*: \d/);
  assert.equal(await page.locator(".chart circle").count(), 1);
  assert.deepEqual(wrong, []);
  await close();
});

test("a room is found in the table, and its inside is live", async () => {
  const { page, wrong, close } = await open(`#key=${CONSOLE_KEY}`);
  await page.locator("#rooms button", { hasText: "console/demo" }).click();
  await page.getByText("You are member").waitFor();
  await page.locator("#inside-members", { hasText: "operator:" }).waitFor();
  await run(TICKWIRE, ["pub", "console/demo", "forty-two", "--key", "7", "--room-value", "--url", CLIENT_URL]);
  await page.locator("#inside-values td", { hasText: "forty-two" }).waitFor();
  await run(TICKWIRE, ["pub", "console/demo", "<b>hello</b>", "--url", CLIENT_URL]);
  await page.locator("#inside-events td", { hasText: "<b>hello</b>" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#inside").waitFor({ state: "hidden" });
  // Sorted by name, the other way round.
  await page.locator("#rooms th button", { hasText: "Room" }).click();
  assert.equal(await page.locator("#rooms th").first().getAttribute("aria-sort"), "ascending");
  assert.deepEqual(wrong, []);
  await close();
});

test("nothing is wider than a phone, light or dark", async () => {
  for (const width of [360, 390]) {
    for (const scheme of ["light", "dark"]) {
      const { page, wrong, close } = await open(`#key=${CONSOLE_KEY}`, { width, height: 800, scheme });
      await live(page);
      await page.waitForFunction(() => document.querySelectorAll(".chart path.stroke").length >= 10);
      const overflow = () => document.documentElement.scrollWidth - innerWidth;
      assert.equal(await page.evaluate(overflow), 0, `${width} ${scheme}`);
      await page.fill("#room-name", "console/demo");
      await page.click("#room-form button");
      await page.getByText("You are member").waitFor();
      assert.equal(await page.evaluate(overflow), 0, `${width} ${scheme}`);
      assert.deepEqual(wrong, []);
      await close();
    }
  }
});

test("a terminal shows the same", async () => {
  const url = `${CONSOLE_URL.replace("http", "ws")}/admin/ws`;
  const top = (...more) => run(TICKWIRE, ["top", "--url", url, ...more], { env: { ...process.env, TICKWIRE_API_KEY: CONSOLE_KEY } });
  const { connections, rates, rooms } = JSON.parse((await top("--once", "--json")).stdout);
  assert.ok(connections.now >= 2 && rates.messages >= 0);
  assert.ok(rooms.top.some(({ name }) => name === "console/demo"));
  const { stdout } = await top("--once", "--sort", "name");
  assert.match(stdout, /^tickwire {2}ready/);
  assert.match(stdout, /^console\/demo +1 /m);
  await assert.rejects(top("--once", "--key", "0000000000000000"), /the key is not one/);
});
