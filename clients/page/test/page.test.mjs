// The first page in a browser, against servers that run: PAGE_URL, and GATED_URL where a token is needed, which is
// GATED_TOKEN. CHROMIUM is the browser; TICKWIRE the program, which sends bots.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const { PAGE_URL, GATED_URL, GATED_TOKEN, CHROMIUM, TICKWIRE, PICTURES } = process.env;

/** Milliseconds for what must come. A test that passes does not wait for it. */
const PATIENCE = 30_000;

let browser;

before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});

after(() => browser.close());

/** A tab in a room of its own test, and everything that went wrong in it. */
async function open(room, options = {}, url = PAGE_URL) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: "light", ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  const requested = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("request", (request) => requested.push(request.url()));
  await page.goto(`${url}/?room=${room}`);
  return { page, wrong, requested, close: () => context.close() };
}

const live = (page) => page.waitForFunction(() => document.querySelector("#state").dataset.state === "joined");

/** A tab that is in the room. */
async function joined(room, options) {
  const tab = await open(room, options);
  await live(tab.page);
  return tab;
}

const me = (page) => page.locator("#me").textContent();

/** A line of the log that has these words. */
const logged = (page, words) => page.locator("#log li", { hasText: words }).first().waitFor();

const lines = (page, words) => page.locator("#log li", { hasText: words }).count();

/**
 * Where the dot of a member is on the screen, in parts of the arena: the middle of all pixels of its colour, which no
 * other member of the room has; nothing where there are none.
 */
const seen = (page, name) =>
  page.evaluate((member) => {
    const hue = [172, 24, 262, 330, 205, 45, 140, 0, 285, 230, 95, 310][member % 12];
    const arena = document.querySelector("#arena");
    const copy = new OffscreenCanvas(400, 400);
    const context = copy.getContext("2d");
    context.fillStyle = `hsl(${hue} 68% 44%)`;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
    context.clearRect(0, 0, 1, 1);
    context.drawImage(arena, 0, 0, 400, 400);
    const { data } = context.getImageData(0, 0, 400, 400);
    let [x, y, count] = [0, 0, 0];
    for (let at = 0; at < data.length; at += 4) {
      const off = Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b);
      if (data[at + 3] < 250 || off > 12) continue;
      [x, y, count] = [x + ((at / 4) % 400), y + Math.floor(at / 1600), count + 1];
    }
    return count ? { x: x / count / 400, y: y / count / 400 } : null;
  }, Number(name.split(" ")[1]));

/** Looks until something holds. */
async function until(look, holds, what) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (holds(found)) return found;
    assert.ok(Date.now() < end, `${what}: ${JSON.stringify(found)}`);
    await new Promise((done) => setImmediate(done));
  }
}

const picture = async (page, name) => {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
};

test("two tabs see each other move, smoothly, and hear each other", async () => {
  const one = await joined("two");
  const two = await joined("two");
  const name = await me(one.page);
  const start = await until(() => seen(two.page, name), Boolean, "the other dot is seen");
  // To where there is more room.
  const key = start.x < 0.5 ? "d" : "a";
  await one.page.keyboard.down(key);
  const places = new Set();
  const far = await until(
    async () => {
      const place = await seen(two.page, name);
      if (place) places.add(place.x.toFixed(4));
      return place;
    },
    (place) => place && Math.abs(place.x - start.x) > 0.2,
    "it moves",
  );
  await one.page.keyboard.up(key);
  assert.ok(Math.abs(far.y - start.y) < 0.02, `${far.y} from ${start.y}`);
  assert.ok(places.size >= 5, `seen at ${places.size} places`);
  // Both come to show the same, once it rests.
  const rest = await until(
    async () => [await seen(one.page, name), await seen(two.page, name)],
    ([own, other]) => own && other && Math.abs(own.x - other.x) < 0.02 && Math.abs(own.y - other.y) < 0.02,
    "both show the same",
  );
  assert.ok(rest);
  await one.page.keyboard.press("Enter");
  await one.page.keyboard.type("<b>hello</b> there");
  await one.page.keyboard.press("Enter");
  await logged(two.page, `${name}: <b>hello</b> there`);
  await logged(one.page, "You: <b>hello</b> there");
  await two.page.waitForFunction(() => Number(document.querySelector("#members").textContent) === 2);
  await picture(two.page, "two");
  for (const { wrong, requested, close } of [one, two]) {
    assert.deepEqual(wrong, []);
    assert.ok(requested.every((url) => url.startsWith(PAGE_URL)), `${requested}`);
    await close();
  }
});

test("a dot whose tab is closed goes", async () => {
  const one = await joined("gone");
  const two = await joined("gone");
  const name = await me(two.page);
  await until(() => seen(one.page, name), Boolean, "the other dot is seen");
  await two.close();
  await until(() => seen(one.page, name), (place) => !place, "it goes");
  await one.page.locator("#alone").waitFor();
  assert.deepEqual(one.wrong, []);
  await one.close();
});

test("a cut cable is mended: what was missed comes, what was said meanwhile arrives, once", async () => {
  const one = await joined("cut");
  const two = await joined("cut");
  const name = await me(one.page);
  for (const { page } of [one, two]) await page.locator("#say").fill("said while it was cut");
  await one.page.click("#cut");
  for (const { page } of [two, one]) await page.locator("#say").press("Enter");
  assert.ok(await one.page.locator("#cut").isDisabled());
  await logged(one.page, "Recovered 1 event that was missed, in order.");
  await logged(one.page, /: said while it was cut/);
  await logged(two.page, `${name}: said while it was cut`);
  await live(one.page);
  // The same member, and nothing twice.
  assert.equal(await me(one.page), name);
  await one.page.waitForFunction(() => !document.querySelector("#cut").disabled);
  await two.page.locator("#say").fill("the end");
  await two.page.keyboard.press("Enter");
  for (const { page, wrong, close } of [one, two]) {
    await logged(page, "the end");
    assert.equal(await lines(page, "said while it was cut"), 2);
    assert.deepEqual(wrong, []);
    await close();
  }
});

test("a slow receiver is led down the ladder and up again, and the others notice nothing", async () => {
  const one = await joined("slow");
  const two = await joined("slow");
  const name = await me(one.page);
  await one.page.click("#slow");
  const on = (rung) =>
    one.page.waitForFunction((rung) => document.querySelectorAll("#ladder li")[rung].hasAttribute("data-on"), rung);
  await on(1);
  await logged(one.page, "the server skips values for this tab");
  await on(2);
  await logged(one.page, "Whole batches are left out");
  await picture(one.page, "slow");
  // Meanwhile it is heard and seen by the other tab.
  await one.page.locator("#say").fill("still here");
  await one.page.keyboard.press("Enter");
  await logged(two.page, `${name}: still here`);
  await on(3);
  await logged(one.page, "Told what is missing of what filled the line");
  await one.page.waitForFunction(() => !document.querySelector("#slow").disabled);
  await two.page.locator("#say").fill("welcome back");
  await two.page.keyboard.press("Enter");
  await logged(one.page, "welcome back");
  for (const { page, wrong, close } of [one, two]) {
    assert.equal(await lines(page, "still here"), 1);
    assert.deepEqual(wrong, []);
    await close();
  }
});

test("a hidden tab is sent nothing, and told so", async () => {
  const one = await joined("hidden");
  const two = await joined("hidden");
  await two.page.locator("#say").fill("not for you");
  await one.page.click("#hidden");
  await logged(one.page, "Paused, as a hidden tab");
  await two.page.locator("#say").press("Enter");
  await logged(two.page, "You: not for you");
  await logged(one.page, /Told what is missing: batch/);
  await one.page.waitForFunction(() => !document.querySelector("#hidden").disabled);
  await two.page.locator("#say").fill("for you");
  await two.page.keyboard.press("Enter");
  await logged(one.page, ": for you");
  assert.equal(await lines(one.page, "not for you"), 0);
  for (const { wrong, close } of [one, two]) {
    assert.deepEqual(wrong, []);
    await close();
  }
});

test("fifty bots fill the room, and leave it", async () => {
  const { page, wrong, close } = await joined("bots");
  const bots = spawn(TICKWIRE, ["bots", "--count", "50", "--room", "bots", "--url", `${PAGE_URL.replace("http", "ws")}/ws`, "--json"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  bots.stdout.on("data", (text) => (said += text));
  const ended = new Promise((done) => bots.on("exit", done));
  await page.waitForFunction(() => Number(document.querySelector("#members").textContent) === 51);
  await page.waitForFunction(() => Number(document.querySelector("#per-batch").textContent) >= 10);
  const perMessage = Number(await page.locator("#per-message").textContent());
  assert.ok(perMessage > 7 && perMessage < 16, `${perMessage} bytes a message, of which 7 are payload`);
  const rtt = Number(await page.locator("#rtt").textContent());
  assert.ok(rtt >= 0, `${rtt}`);
  await picture(page, "bots");
  bots.kill("SIGINT");
  assert.equal(await ended, 0);
  const { bots: count, moves, refused } = JSON.parse(said);
  assert.ok(count === 50 && moves >= 50 && refused === 0, said);
  // At once, and not when a session's time is over.
  await page.locator("#alone").waitFor();
  assert.deepEqual(wrong, []);
  await close();
});

test("a phone: nothing is wider than it, a finger moves the dot", async () => {
  for (const [width, colorScheme] of [[360, "light"], [360, "dark"], [390, "light"]]) {
    const tab = await joined("phone", { viewport: { width, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2, colorScheme });
    const { page, wrong, close } = tab;
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${width} ${colorScheme}`);
    await page.click("#hidden");
    await logged(page, "Paused");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${width} ${colorScheme}`);
    await page.waitForFunction(() => !document.querySelector("#hidden").disabled);
    if (colorScheme === "light") {
      const name = await me(page);
      await page.evaluate(() => scrollTo(0, 0));
      const start = await until(() => seen(page, name), Boolean, "the own dot is seen");
      const field = await page.locator("#field").boundingBox();
      const cdp = await page.context().newCDPSession(page);
      const touch = (type, x) =>
        cdp.send("Input.dispatchTouchEvent", { type, touchPoints: type === "touchEnd" ? [] : [{ x: field.x + x, y: field.y + 150 }] });
      const way = start.x < 0.5 ? 60 : -60;
      await touch("touchStart", 170);
      await touch("touchMove", 170 + way);
      await until(() => seen(page, name), (place) => place && Math.abs(place.x - start.x) > 0.1, "a finger moves it");
      await touch("touchEnd", 170 + way);
    }
    await picture(page, `phone-${width}-${colorScheme}`);
    assert.deepEqual(wrong, []);
    await close();
  }
});

test("where a token is needed it is asked for, and lets in", async () => {
  const { page, wrong, close } = await open("arena", {}, GATED_URL);
  await page.locator("#gate").waitFor();
  await logged(page, "The server said no (241)");
  await page.fill("#token", "nonsense");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#log li[data-tone=bad]").length >= 2);
  await page.fill("#token", GATED_TOKEN);
  await page.keyboard.press("Enter");
  await live(page);
  assert.ok(await page.locator("#gate").isHidden());
  assert.deepEqual(wrong, []);
  await close();
  // Or it comes along, and does not stay where it is seen.
  const again = await browser.newContext();
  const second = await again.newPage();
  await second.goto(`${GATED_URL}/#token=${GATED_TOKEN}`);
  await live(second);
  assert.ok(!second.url().includes("token"));
  await again.close();
});
