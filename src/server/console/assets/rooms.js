// The table of the top rooms: sorted by any column, and each row opens its room.

import { byteRate, bytes, count, rate } from "./units.js";

const COLUMNS = [
  { key: "name", title: "Room", ascending: true },
  { key: "members", title: "Members", show: count },
  { key: "messages_rate", title: "Messages", show: rate },
  { key: "bytes_rate", title: "Bytes", show: byteRate },
  { key: "messages", title: "Messages so far", show: count },
  { key: "values", title: "Values", show: count },
  { key: "kept_bytes", title: "Kept", show: bytes },
];

/** Rows until somebody wants to see all. */
const FEW = 12;

/** `open(name)` is called where somebody wants to look into a room. */
export class RoomTable {
  constructor(table, all, open) {
    this.open = open;
    this.all = all;
    this.showsAll = false;
    all.addEventListener("click", () => {
      this.showsAll = !this.showsAll;
      this.#draw();
    });
    this.rooms = [];
    this.sort = COLUMNS[1];
    this.ascending = false;
    const head = table.createTHead().insertRow();
    this.heads = COLUMNS.map((column) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.title;
      button.addEventListener("click", () => this.#sortBy(column));
      cell.append(button);
      head.append(cell);
      return cell;
    });
    this.body = table.createTBody();
    this.rows = new Map();
  }

  update(rooms) {
    this.rooms = rooms;
    this.#draw();
  }

  #sortBy(column) {
    this.ascending = this.sort === column ? !this.ascending : column.ascending === true;
    this.sort = column;
    this.#draw();
  }

  #draw() {
    const { key } = this.sort;
    const order = (one, other) => {
      const [a, b] = [one[key] ?? 0, other[key] ?? 0];
      const by = typeof a === "string" ? a.localeCompare(b) : a - b;
      return (this.ascending ? by : -by) || (other.messages ?? 0) - (one.messages ?? 0) || one.name.localeCompare(other.name);
    };
    COLUMNS.forEach((column, index) => {
      if (column === this.sort) this.heads[index].ariaSort = this.ascending ? "ascending" : "descending";
      else this.heads[index].ariaSort = null;
    });
    const shown = [...this.rooms].sort(order).slice(0, this.showsAll ? Infinity : FEW);
    const rows = shown.map((room) => this.#row(room));
    this.all.hidden = this.rooms.length <= FEW;
    this.all.textContent = this.showsAll ? "Show fewer" : `Show all ${this.rooms.length}`;
    this.all.ariaExpanded = `${this.showsAll}`;
    // Rows are moved and not made anew: a pointer or a focus stays where it is.
    if (rows.some((row, index) => this.body.rows[index] !== row) || rows.length !== this.body.rows.length) {
      const focused = document.activeElement;
      this.body.replaceChildren(...rows);
      if (this.body.contains(focused)) focused.focus();
    }
    for (const name of this.rows.keys()) {
      if (!this.rooms.some((room) => room.name === name)) this.rows.delete(name);
    }
  }

  #row(room) {
    let row = this.rows.get(room.name);
    if (!row) {
      row = document.createElement("tr");
      COLUMNS.forEach(() => row.insertCell());
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = room.name;
      button.title = `Look into ${room.name}`;
      button.addEventListener("click", () => this.open(room.name));
      row.cells[0].append(button);
      this.rows.set(room.name, row);
    }
    COLUMNS.forEach(({ key, show }, index) => {
      if (show) row.cells[index].textContent = show(room[key]);
    });
    return row;
  }
}
