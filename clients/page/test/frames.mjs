// What a frame of the page costs: script, style, layout and paint on its main thread, by a trace of the browser.
// CHROMIUM is the browser; the page is to be full of dots.
//
//   node test/frames.mjs http://127.0.0.1:7070/ 200       prints a JSON object; the number is how many dots are waited for
//
// Exit status 1 where half of the frames cost more than they may, three times in a row: a busy machine is slower.

import { chromium } from "playwright-core";

/** How much slower than this machine the page's processor is. */
const THROTTLE = 4;

/** For how long it is measured, in milliseconds, and warmed up before. */
const MS = 6_000;

/** What script and paint may cost, in milliseconds: half of a frame, the other half is the browser's. */
const MOST = 8;

/** Tries. */
const TRIES = 3;

const [, , url, dots] = process.argv;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage({ viewport: { width: 1360, height: 900 } });
  await page.goto(url);
  await page.waitForFunction((dots) => Number(document.querySelector("#members").textContent) > dots, Number(dots));
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: THROTTLE });
  // Nothing is asked of the page meanwhile.
  const wait = () => new Promise((done) => setTimeout(done, MS));
  // The first ones are compiled.
  await wait();
  process.exitCode = 1;
  for (let left = TRIES; left && process.exitCode; left--) {
    await browser.startTracing(page, { categories: ["devtools.timeline", "toplevel", "disabled-by-default-devtools.timeline"] });
    await wait();
    const { traceEvents } = JSON.parse(await browser.stopTracing());
    const cost = costs(traceEvents);
    console.log(JSON.stringify({ dots: Number(dots), throttle: THROTTLE, ...cost }));
    if (cost.script_and_paint_ms.p50 <= MOST) process.exitCode = 0;
  }
} finally {
  await browser.close();
}

/** Milliseconds of each frame, from one animation frame to the next. */
function costs(events) {
  // The process whose main thread draws most is the page's.
  const count = new Map();
  for (const { name, pid, tid } of events) if (name === "FireAnimationFrame") count.set(`${pid} ${tid}`, (count.get(`${pid} ${tid}`) ?? 0) + 1);
  const [thread] = [...count].sort((a, b) => b[1] - a[1])[0];
  const own = events.filter(({ pid, tid, ph }) => `${pid} ${tid}` === thread && ph === "X").sort((a, b) => a.ts - b.ts);
  const starts = own.filter(({ name }) => name === "FireAnimationFrame").map(({ ts }) => ts);
  const sum = (names) => {
    const sums = new Array(starts.length - 1).fill(0);
    let frame = 0;
    let until = 0;
    for (const { name, ts, dur = 0, tdur = 0 } of own) {
      while (frame < sums.length && ts >= starts[frame + 1]) frame++;
      // What is inside of another one is counted with that.
      if (ts < starts[0] || frame >= sums.length || ts < until || !names.includes(name)) continue;
      until = ts + dur;
      // The thread's own time: what other programs take of this machine is not the page's.
      sums[frame] += tdur / 1000;
    }
    return figures(sums);
  };
  return {
    frames: starts.length - 1,
    // Script of any kind, and all that follows from it up to the commit.
    script_and_paint_ms: sum(["FireAnimationFrame", "FunctionCall", "TimerFire", "UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer"]),
    script_ms: sum(["FireAnimationFrame", "FunctionCall", "TimerFire"]),
    main_thread_ms: sum(["RunTask", "ThreadControllerImpl::RunTask"]),
    interval_ms: figures(starts.slice(1).map((ts, index) => (ts - starts[index]) / 1000)),
  };
}

function figures(list) {
  const sorted = [...list].sort((a, b) => a - b);
  const at = (part) => Number((sorted[Math.floor(part * (sorted.length - 1))] ?? NaN).toFixed(2));
  return { p50: at(0.5), p95: at(0.95), max: at(1) };
}
