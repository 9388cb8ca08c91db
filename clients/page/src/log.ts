/** What happened, in words, the latest first. */

/** Lines that are kept. */
const KEPT = 60;

export type Tone = "" | "good" | "warn" | "bad" | "said";

export class Log {
  #list: HTMLElement;
  #began = performance.now();

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  /** Adds a line. Texts of strangers are shown as text. */
  add(text: string, tone: Tone = ""): void {
    const line = document.createElement("li");
    const time = document.createElement("time");
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    const said = document.createElement("span");
    said.textContent = text;
    line.append(time, said);
    if (tone) line.dataset["tone"] = tone;
    this.#list.prepend(line);
    while (this.#list.childElementCount > KEPT) this.#list.lastElementChild!.remove();
  }
}
