// The page: a key, a session, and what the feed tells, drawn.

import { Chart } from "./chart.js";
import { FEED, Feed } from "./feed.js";
import { Inside } from "./inside.js";
import * as keys from "./key.js";
import { RoomTable } from "./rooms.js";
import { Session } from "./session.js";
import { byteRate, bytes, count, micros, rate, span } from "./units.js";

const element = (id) => document.getElementById(id);

/** Outboxes above a quarter count as slow: the low-water mark of the ladder (PROTOCOL 12.5). */
const SLOW = 2;

const CHARTS = [
  { title: "Connections", least: 4, show: count, lines: [{ name: "", of: (point) => point.connections }] },
  { title: "Messages", least: 4, show: rate, lines: [{ name: "", of: (point) => point.messages }] },
  { title: "Deliveries", least: 4, show: rate, lines: [{ name: "", of: (point) => point.deliveries }] },
  {
    title: "Bytes",
    least: 1000,
    show: byteRate,
    lines: [{ name: "out", of: (point) => point.bytes_out }, { name: "in", of: (point) => point.bytes_in }],
  },
  {
    title: "Tick lag",
    least: 1000,
    show: micros,
    lines: [
      { name: "p50", of: (point) => point.lag_p50 },
      { name: "p99", of: (point) => point.lag_p99 },
      { name: "max", of: (point) => point.lag_max },
    ],
  },
  {
    title: "Slow receivers",
    least: 4,
    show: rate,
    lines: [
      { name: "behind", of: (point) => point.behind },
      { name: "skipped", of: (point) => point.skipped },
      { name: "closed", of: (point) => point.closed },
    ],
  },
];

const TILES = [
  ["Connections", ({ connections }) => [count(connections.now), `of ${count(connections.max)}, ${count(connections.sessions)} sessions`, connections.now >= connections.max * 0.9 && "warn"]],
  ["Messages", ({ rates, totals }) => [rate(rates?.messages), `${count(totals.messages)} so far`]],
  ["Deliveries", ({ rates, totals }) => [rate(rates?.deliveries), `${count(totals.deliveries)} so far`]],
  ["Bytes out", ({ rates }) => [byteRate(rates?.bytes_out), `${byteRate(rates?.bytes_in)} in`]],
  ["Tick lag, p99", ({ tick }) => [micros(tick.lag_us.p99), `flush ${micros(tick.duration_us.p99)}`, tick.lag_us.p99 > 10_000 && "warn"]],
  ["Slow receivers", ({ outbox }) => {
    const slow = outbox.filled.slice(SLOW).reduce((sum, count) => sum + count, 0);
    return [count(slow), `${bytes(outbox.bytes)} queued`, slow > 0 && "warn"];
  }],
];

const RUNGS = [
  ["behind", "Behind: values left out"],
  ["caught_up", "Caught up"],
  ["skipped", "Skipped batches"],
  ["gaps", "Gaps told"],
  ["closed", "Closed"],
];

class Page {
  #session = null;
  #feed = null;
  #key = null;

  constructor() {
    this.charts = CHARTS.map((chart) => new Chart(element("charts"), chart));
    this.tiles = TILES.map(([title]) => tile(title));
    this.inside = new Inside();
    this.rooms = new RoomTable(element("rooms"), element("rooms-all"), (name) => this.#look(name));
    element("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start(element("key").value.trim());
    });
    element("room-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = element("room-name").value.trim();
      if (name) this.#look(name);
    });
    element("forget").addEventListener("click", () => this.#ask(""));
    document.addEventListener("visibilitychange", () => document.hidden || this.#session?.hurry());
    addEventListener("hashchange", () => location.hash.includes("key=") && this.#begin());
    this.#begin();
  }

  #begin() {
    const key = keys.known();
    if (key) this.#start(key);
    else this.#ask("");
  }

  /** Asks for a key. */
  #ask(error) {
    this.#session?.end();
    this.#session = null;
    this.inside.close();
    keys.forget();
    this.#state(error ? "refused" : "waiting", error ? "No entry" : "Waiting for a key");
    element("board").hidden = true;
    element("forget").hidden = true;
    element("gate").hidden = false;
    element("key-error").textContent = error;
    element("about").textContent = "";
    element("key").select();
    element("key").focus();
  }

  /** Looks at a key before anything is shown: a browser does not tell why a WebSocket was refused. */
  async #start(key) {
    this.#state("connecting", "Looking at the key");
    element("key-error").textContent = "";
    const checked = await keys.check(key);
    if (checked === null) {
      element("key-error").textContent = "The server does not answer.";
      this.#state("lost", "No answer");
      element("gate").hidden = element("board").hidden === false;
      element("key").value = key;
      return;
    }
    if (!checked.ok) return this.#ask(checked.text);
    keys.keep(key);
    element("key").value = "";
    this.#key = key;
    element("gate").hidden = true;
    element("board").hidden = false;
    element("forget").hidden = false;
    this.#connect();
  }

  #connect() {
    this.#session?.end();
    this.#feed = new Feed((feed) => this.#draw(feed));
    const url = new URL("/admin/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#session = new Session(url.href, this.#key, { state: (state, detail) => this.#changed(state, detail) });
    this.#session.join(FEED, this.#feed.room);
  }

  async #changed(state, detail) {
    const texts = { connecting: "Connecting", open: "Live", going_away: "The server is going away" };
    if (state !== "lost") {
      this.#state(state, texts[state]);
      if (state === "open") this.#notice("");
      return;
    }
    const seconds = Math.max(1, Math.round(detail.after / 1000));
    this.#state("lost", "Connection lost");
    this.#notice(`The connection to the server is lost. Trying again in ${seconds} s; what you see is from before.`);
    // It may have another key by now.
    const checked = await keys.check(this.#key);
    if (checked?.status === 401 || checked?.status === 403) this.#ask(checked.text);
  }

  #state(state, text) {
    element("state").dataset.state = state;
    element("state-text").textContent = text;
  }

  #notice(text) {
    element("notice").textContent = text;
    element("notice").hidden = text === "";
  }

  #look(name) {
    if (this.#session) this.inside.show(this.#session, name);
  }

  #draw(feed) {
    if (feed !== this.#feed) return;
    if (feed.reason !== null) return this.#notice(`The figures cannot be seen: reason ${feed.reason}.`);
    const { about, now, points, rooms } = feed;
    if (!now) return;
    element("about").textContent = `${about ? `${about.version}, ` : ""}up ${span(now.uptime_s)}`;
    if (!now.ready) this.#state("going_away", "The server is going away");
    TILES.forEach(([, read], index) => this.tiles[index](read(now)));
    this.charts.forEach((chart) => chart.update(points));
    this.#rooms(rooms);
    outboxes(now.outbox);
    rungs(now);
    shards(now);
    refused(now);
  }

  #rooms(rooms) {
    const list = rooms?.rooms ?? [];
    this.rooms.update(list);
    element("rooms").hidden = list.length === 0;
    element("rooms-empty").hidden = list.length > 0;
    const all = rooms?.total ?? 0;
    element("rooms-count").textContent = all > list.length ? `${list.length} of ${count(all)}: those with most members, messages and bytes` : "";
  }
}

/** A tile, and how it is written. */
function tile(title) {
  const list = document.createElement("dl");
  list.className = "tile";
  const [name, figure, more] = ["dt", "dd", "dd"].map((tag) => document.createElement(tag));
  [figure.className, more.className] = ["figure", "more"];
  name.textContent = title;
  list.append(name, figure, more);
  element("tiles").append(list);
  return ([text, below, mood]) => {
    figure.textContent = text;
    more.textContent = below;
    list.className = `tile ${mood || ""}`;
  };
}

function outboxes({ filled, limit }) {
  const names = ["empty", "to ¼", "to ½", "to ¾", "above"];
  const all = Math.max(1, filled.reduce((sum, count) => sum + count, 0));
  const bars = filled.map((sessions, index) => {
    const [bar, number, meter] = ["div", "b", "meter"].map((tag) => document.createElement(tag));
    number.textContent = count(sessions);
    Object.assign(meter, { max: all, value: sessions, title: `${sessions} sessions` });
    bar.append(number, meter, names[index]);
    return bar;
  });
  element("outboxes").replaceChildren(...bars);
  element("outboxes").title = `An outbox takes ${bytes(limit)}`;
}

function rungs({ slow, slow_rates: rates }) {
  terms(element("rungs"), RUNGS.map(([key, name]) => [name, count(slow[key]), rate(rates?.[key])]));
}

function refused({ rejections, closed, turned_away: away }) {
  const of = (counts, what) => Object.entries(counts).map(([key, number]) => [`${what} ${key.replaceAll("_", " ")}`, number]);
  const all = [...of(rejections, "refused:"), ...of(closed, "ended:"), ...of(away, "turned away:")];
  all.sort(([, one], [, other]) => other - one);
  terms(element("refused"), all.slice(0, 12).map(([name, number]) => [name, count(number), ""]));
}

function terms(list, rows) {
  const items = rows.flatMap(([term, figure, more]) => {
    const [name, number, rest] = ["dt", "dd", "dd"].map((tag) => document.createElement(tag));
    [name.textContent, number.textContent, rest.textContent, rest.className] = [term, figure, more, "rate"];
    return [name, number, rest];
  });
  if (items.length === 0) {
    const none = document.createElement("dt");
    [none.textContent, none.className] = ["Nothing so far", "none"];
    items.push(none);
  }
  list.replaceChildren(...items);
}

function shards({ shards: list, shards_silent: silent }) {
  const table = element("shards");
  const rows = [["Shard", "Rooms", "Sessions", "Kept", "Mailbox"]];
  list.forEach((shard, index) => rows.push([index, count(shard.rooms), count(shard.sessions), bytes(shard.kept_bytes), count(shard.mailbox)]));
  table.replaceChildren();
  rows.forEach((cells, index) => {
    const row = table.insertRow();
    for (const text of cells) {
      const cell = document.createElement(index === 0 ? "th" : "td");
      cell.textContent = text;
      row.append(cell);
    }
  });
  if (silent > 0) table.insertRow().insertCell().textContent = `${silent} did not answer in time`;
}

new Page();
