// One room's inside: joined while it is shown, receiving only, and left when it is closed.

import { Room } from "./room.js";
import { bytes, count, payload, rate } from "./units.js";

/** Rows of a table. A room may have thousands of values. */
const ROWS = 200;

/** Milliseconds between two drawings: a room may flush a hundred times a second. */
const DRAW = 200;

/** Milliseconds over which rates are told. */
const WINDOW = 5_000;

const element = (id) => document.getElementById(id);

/** The dialog. */
export class Inside {
  #session = null;
  #handle = null;
  #room = null;
  #name = "";
  #timer = null;
  #marks = [];

  constructor() {
    this.dialog = element("inside");
    element("inside-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#leave());
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close());
  }

  show(session, name) {
    this.#leave();
    this.#session = session;
    this.#name = name;
    this.#marks = [];
    this.#room = new Room((room, what) => {
      if (what === "joined") this.#marks = [];
    });
    this.#handle = session.join(name, this.#room, { members: true });
    element("inside-name").textContent = name;
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), DRAW);
    if (!this.dialog.open) this.dialog.showModal();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  #leave() {
    clearInterval(this.#timer);
    if (this.#handle !== null) this.#session.leave(this.#handle);
    this.#handle = null;
  }

  #draw() {
    const room = this.#room;
    const { membership } = room;
    element("inside-state").textContent = this.#state();
    const rates = this.#rates();
    const facts = membership === null ? [] : [
      ["Members", room.count === null && room.members.size === 0 ? "not shown" : count(room.count ?? room.members.size)],
      ["Values", count(room.values.size)],
      ["Events", rates === null ? "–" : `${rate(rates.events)}, ${bytes(rates.bytes)}/s`],
      ["Writes of values", rates === null ? "–" : rate(rates.writes)],
      ["Tick", `${room.tick}`],
      ["Period", membership.period === 0 ? "at once" : `${membership.period / 1000} ms`],
      ["Position", `${room.position}`],
      ["Epoch", [...membership.epoch].map((byte) => byte.toString(16).padStart(2, "0")).join("")],
      ["Lost batches", room.gaps === 0 ? "none" : `${room.gaps} gaps`],
    ];
    pairs(element("inside-facts"), facts);
    table(element("inside-values"), ["Key", "Whose", "Value"], this.#values(), "No values");
    table(element("inside-members"), ["Number", "Subject", "Presence"], this.#members(), "None that the room tells of");
    table(element("inside-events"), ["Tick", "From", "Event"], this.#events(), "None since you look on");
  }

  #state() {
    const { membership, reason } = this.#room;
    if (reason !== null) return `This room cannot be seen: reason ${reason}.`;
    if (membership === null) return `Joining ${this.#name} …`;
    return `You are member ${membership.member} of it, and only receive. Where the room shows its members, others see you.`;
  }

  /** Of the last seconds. */
  #rates() {
    const now = performance.now();
    const { events, writes } = this.#room;
    this.#marks.push({ at: now, events: events.count, bytes: events.bytes, writes });
    while (this.#marks.length > 2 && now - this.#marks[1].at > WINDOW) this.#marks.shift();
    const [first] = this.#marks;
    const seconds = (now - first.at) / 1000;
    if (seconds < 0.5) return null;
    const of = (name, total) => Math.max(0, (total - first[name]) / seconds);
    return { events: of("events", events.count), bytes: of("bytes", events.bytes), writes: of("writes", writes) };
  }

  #values() {
    const values = [...this.#room.values.values()];
    values.sort((one, other) => one.key - other.key || one.member - other.member);
    return values.slice(0, ROWS).map(({ key, ofRoom, member, payload: value }) => [key, ofRoom ? "room" : `member ${member}`, value]);
  }

  #members() {
    const members = [...this.#room.members.entries()].sort(([one], [other]) => one - other);
    const own = this.#room.membership?.member;
    return members.slice(0, ROWS).map(([number, { subject, data, away }]) => {
      const notes = [number === own ? "you" : "", away ? "away" : ""].filter(Boolean).join(", ");
      return [notes ? `${number} (${notes})` : number, payload(subject).text || "anonymous", data];
    });
  }

  #events() {
    return this.#room.events.latest.map(({ tick, member, payload: event, length }) => [tick, member === 0 ? "room" : member, event, length]);
  }
}

/** Terms with what they are. */
function pairs(list, facts) {
  const items = facts.flatMap(([term, text]) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = term;
    dd.textContent = text;
    const pair = document.createElement("div");
    pair.append(dt, dd);
    return [pair];
  });
  list.replaceChildren(...items);
  list.hidden = facts.length === 0;
}

/** Rows of cells; the third is a payload, of which a fourth tells the length. */
function table(table, titles, rows, none) {
  // Nothing is drawn that has not changed: a selection stays.
  const drawn = JSON.stringify(rows.map(([one, other, bytes]) => [one, other, [...bytes.subarray(0, 256)]]));
  if (table.dataset.drawn === drawn && table.rows.length > 0) return;
  table.dataset.drawn = drawn;
  const head = document.createElement("thead");
  const line = head.insertRow();
  for (const title of titles) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = title;
    line.append(cell);
  }
  const body = document.createElement("tbody");
  for (const [one, other, bytes, length] of rows) {
    const row = body.insertRow();
    row.insertCell().textContent = one;
    row.insertCell().textContent = other;
    const cell = row.insertCell();
    const shown = payload(bytes.subarray(0, 256), length ?? bytes.length);
    cell.textContent = shown.text;
    cell.className = shown.hex ? "payload hex" : "payload";
  }
  if (rows.length === 0) {
    const cell = body.insertRow().insertCell();
    cell.colSpan = titles.length;
    cell.className = "empty";
    cell.textContent = none;
  }
  table.replaceChildren(head, body);
}
