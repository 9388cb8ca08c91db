// A chart of the last minutes: lines over time, with axes, and a cursor for pointer, finger and keyboard.

import { SPAN } from "./feed.js";

const SVG = "http://www.w3.org/2000/svg";

/** Room for the axes, in pixels. */
const LEFT = 56;
const RIGHT = 6;
const TOP = 8;
const BOTTOM = 20;
const HEIGHT = 150;

/** Milliseconds without a point behind which a line begins anew. */
const HOLE = 3_500;

/** A mark on the time axis a minute. */
const MINUTE = 60_000;

function svg(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

/** A round number that is no less: 1, 2, 2.5 or 5 times a power of ten. */
function round(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= number * 0.999_999);
}

/** `lines` are `{name, of(point)}`; `show` writes a number with its unit. `least` is the smallest full scale. */
export class Chart {
  constructor(parent, { title, lines, show, least }) {
    Object.assign(this, { title, lines, show, least });
    this.points = [];
    this.cursor = null;
    this.figure = document.createElement("figure");
    this.figure.className = lines.length > 2 ? "chart many" : "chart";
    const caption = document.createElement("figcaption");
    const strong = document.createElement("strong");
    strong.textContent = title;
    caption.append(strong);
    this.time = document.createElement("span");
    this.time.className = "key";
    caption.append(this.time);
    this.keys = lines.map(({ name }, index) => {
      const key = document.createElement("span");
      key.className = "key";
      const mark = document.createElement("i");
      mark.className = `line-${index}`;
      const value = document.createElement("b");
      key.append(mark, ...(name ? [name] : []), value);
      caption.append(key);
      return value;
    });
    this.svg = svg("svg", { tabindex: "0", role: "img", preserveAspectRatio: "none" });
    this.figure.append(caption, this.svg);
    parent.append(this.figure);
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  update(points) {
    this.points = points;
    this.draw();
  }

  #listen() {
    const move = (event) => {
      const { left } = this.svg.getBoundingClientRect();
      this.#point(this.#at(event.clientX - left));
    };
    this.svg.addEventListener("pointermove", move);
    this.svg.addEventListener("pointerdown", move);
    for (const name of ["pointerleave", "pointercancel", "blur"]) {
      this.svg.addEventListener(name, () => this.#point(null));
    }
    this.svg.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity };
      if (!(event.key in steps) || this.points.length === 0) return;
      event.preventDefault();
      const last = this.points.length - 1;
      const at = this.points.findIndex((point) => point.wall_ms === this.cursor);
      const next = (at < 0 ? last : at) + steps[event.key];
      this.#point(this.points[Math.max(0, Math.min(last, next))]?.wall_ms ?? null);
    });
  }

  /** The cursor stays with its moment while time goes on. */
  #point(moment) {
    this.cursor = moment;
    this.draw();
  }

  /** The moment that is nearest. */
  #at(x) {
    const moment = this.start + ((x - LEFT) / (this.width - LEFT - RIGHT)) * SPAN;
    const nearer = (best, point) => (Math.abs(point.wall_ms - moment) < Math.abs(best - moment) ? point.wall_ms : best);
    return this.points.length ? this.points.reduce(nearer, this.points[0].wall_ms) : null;
  }

  draw() {
    const { width } = this.svg.getBoundingClientRect();
    if (width === 0) return;
    this.width = width;
    const newest = this.points.at(-1)?.wall_ms ?? Date.now();
    this.start = newest - SPAN;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren();
    const values = this.points.flatMap((point) => this.lines.map(({ of }) => of(point) ?? 0));
    const step = round(Math.max(this.least, ...values) / 4) ?? 1;
    const top = step * Math.max(1, Math.ceil(Math.max(this.least, ...values) / step - 1e-9));
    const x = (moment) => LEFT + ((moment - this.start) / SPAN) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    this.#axes(x, y, step, top, newest);
    this.lines.forEach((line, index) => this.#line(line, index, x, y));
    this.#readout(x, y);
  }

  #axes(x, y, step, top, newest) {
    for (let value = 0; value <= top * 1.001; value += step) {
      svg("line", { class: "rule", x1: LEFT, x2: this.width - RIGHT, y1: y(value), y2: y(value) }, this.svg);
      const label = svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, this.svg);
      label.textContent = this.show(value);
    }
    const minutesShown = SPAN / MINUTE;
    // Where there is little room, every second one.
    const every = this.width < 400 ? 2 : 1;
    for (let minutes = 0; minutes <= minutesShown; minutes += 1) {
      if (minutes > 0 && (minutesShown - minutes) % every !== 0) continue;
      const at = x(newest - minutes * MINUTE);
      const anchor = minutes === 0 ? "end" : "middle";
      const label = svg("text", { x: at, y: HEIGHT - 5, "text-anchor": anchor }, this.svg);
      label.textContent = minutes === 0 ? "now" : `−${minutes} min`;
    }
  }

  #line({ of }, index, x, y) {
    let path = "";
    let area = "";
    let before = null;
    let first = null;
    for (const point of this.points) {
      const value = of(point);
      if (value === null || value === undefined) continue;
      const at = `${x(point.wall_ms).toFixed(1)} ${y(value).toFixed(1)}`;
      const follows = before !== null && point.wall_ms - before < HOLE;
      if (!follows && first !== null) area += `L${x(before).toFixed(1)} ${y(0)}Z`;
      path += follows ? `L${at}` : `M${at}h.01`;
      area += follows ? `L${at}` : `M${x(point.wall_ms).toFixed(1)} ${y(0)}L${at}`;
      if (!follows) first = point.wall_ms;
      before = point.wall_ms;
    }
    if (first === null) return;
    if (this.lines.length === 1) {
      svg("path", { class: `area line-${index}`, d: `${area}L${x(before).toFixed(1)} ${y(0)}Z` }, this.svg);
    }
    svg("path", { class: `stroke line-${index}`, d: path }, this.svg);
  }

  /** What the cursor points at, or the latest. */
  #readout(x, y) {
    const pointed = this.points.find((point) => point.wall_ms === this.cursor);
    const point = pointed ?? this.points.at(-1);
    this.time.textContent = pointed ? new Date(pointed.wall_ms).toLocaleTimeString() : "";
    this.lines.forEach(({ of }, index) => {
      const value = point ? of(point) : null;
      this.keys[index].textContent = this.show(value);
      if (pointed && value !== null && value !== undefined) {
        svg("circle", { class: `line-${index}`, cx: x(pointed.wall_ms), cy: y(value), r: 3.5 }, this.svg);
      }
    });
    if (pointed) {
      const at = x(pointed.wall_ms);
      svg("line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }, this.svg);
    }
    const said = this.lines.map(({ name }, index) => `${name ?? ""} ${this.keys[index].textContent}`.trim());
    const when = pointed ? `at ${this.time.textContent}` : "now";
    this.svg.setAttribute("aria-label", `${this.title} ${when}: ${said.join(", ")}. Arrow keys move through the last five minutes.`);
  }
}
