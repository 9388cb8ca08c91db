/** Keys, a mouse and fingers, as a direction and shots. */

/** How far a finger goes for full speed, in pixels. */
const FULL = 56;

/** How long and how far a touch may be and still be a tap, in milliseconds and pixels. */
const TAP_MS = 220;
const TAP_FAR = 10;

const KEYS: Record<string, [number, number]> = {
  KeyW: [0, -1], ArrowUp: [0, -1],
  KeyS: [0, 1], ArrowDown: [0, 1],
  KeyA: [-1, 0], ArrowLeft: [-1, 0],
  KeyD: [1, 0], ArrowRight: [1, 0],
};

export class Steering {
  #down = new Set<string>();
  #drag?: { id: number; x: number; y: number; dx: number; dy: number; at: number };
  #last: [dx: number, dy: number] = [0, 0];

  /** `steer` is called where the direction is another: where to, at most 1 long. */
  constructor(
    area: HTMLElement,
    readonly steer: (direction: [dx: number, dy: number]) => void,
    readonly shoot: () => void,
    readonly chat: () => void,
  ) {
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keyup", (event) => this.#down.delete(event.code) && this.#turn());
    addEventListener("blur", () => {
      this.#down.clear();
      this.#turn();
    });
    area.addEventListener("pointerdown", (event) => this.#press(event, area));
    area.addEventListener("pointermove", (event) => this.#move(event));
    area.addEventListener("pointerup", (event) => this.#lift(event));
    area.addEventListener("pointercancel", () => {
      this.#drag = undefined;
      this.#turn();
    });
  }

  /** Tells where to, where that is news. */
  #turn(): void {
    let dx = this.#drag?.dx ?? 0;
    let dy = this.#drag?.dy ?? 0;
    for (const code of this.#down) {
      dx += KEYS[code]![0];
      dy += KEYS[code]![1];
    }
    const length = Math.hypot(dx, dy);
    const direction: [number, number] = length > 1 ? [dx / length, dy / length] : [dx, dy];
    if (direction[0] === this.#last[0] && direction[1] === this.#last[1]) return;
    this.#last = direction;
    this.steer(direction);
  }

  #key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (target.closest("input, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (KEYS[event.code]) {
      this.#down.add(event.code);
      this.#turn();
      event.preventDefault();
    } else if (event.code === "Space" && !target.closest("button, a, summary")) {
      this.shoot();
      event.preventDefault();
    } else if (event.code === "Enter" && !target.closest("button, a, summary")) {
      this.chat();
      event.preventDefault();
    }
  }

  #press(event: PointerEvent, area: HTMLElement): void {
    if (this.#drag) return this.shoot();
    area.setPointerCapture(event.pointerId);
    this.#drag = { id: event.pointerId, x: event.clientX, y: event.clientY, dx: 0, dy: 0, at: event.timeStamp };
    (document.activeElement as HTMLElement | null)?.blur();
  }

  #move(event: PointerEvent): void {
    const drag = this.#drag;
    if (drag?.id !== event.pointerId) return;
    drag.dx = (event.clientX - drag.x) / FULL;
    drag.dy = (event.clientY - drag.y) / FULL;
    this.#turn();
  }

  #lift(event: PointerEvent): void {
    const drag = this.#drag;
    if (drag?.id !== event.pointerId) return;
    this.#drag = undefined;
    this.#turn();
    const far = Math.hypot(event.clientX - drag.x, event.clientY - drag.y);
    if (event.timeStamp - drag.at < TAP_MS && far < TAP_FAR) this.shoot();
  }
}
