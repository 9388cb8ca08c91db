/**
 * The cable between the page and the server, which can be cut and squeezed: what the buttons do to it.
 *
 * ```text
 * client ──────────────> End ─────────> the browser's WebSocket ──> server
 *                         │  ^
 *          held: queue <──┘  └── cut: nothing passes, nobody is told, no new one for a while
 * ```
 *
 * A browser's `close()` would say goodbye, and the server would know. Who cuts a cable says nothing: so the
 * socket of a cut cable stays open, unheard, until the server closes it.
 */

import type { Socket } from "tickwire";

/** Called for every frame as it arrives from the server, whether it is held or not. */
export type Tap = (type: number, flags: number, bytes: number) => void;

/** Sockets of cut cables that are kept. The server closes each as its session goes on elsewhere, or after 45 s. */
const MAX_SEVERED = 16;

export class Cable {
  /** Told of what arrives. */
  tap: Tap = () => {};
  /** Bytes that arrived and are held. */
  waiting = 0;
  held = false;

  #sockets = new Set<End>();
  #severed: WebSocket[] = [];
  #blocked = 0;

  /** The class to use instead of the browser's own. */
  get WebSocket(): new (url: string, protocols: string[]) => Socket {
    const cable = this;
    return class extends End {
      constructor(url: string, protocols: string[]) {
        super(cable, url, protocols);
      }
    };
  }

  /** Nothing passes any more on what is connected, and for so many milliseconds nothing connects. */
  cut(ms: number): void {
    this.#blocked = performance.now() + ms;
    for (const socket of [...this.#sockets]) socket.cut();
  }

  /** What arrives waits from now on. */
  hold(): void {
    this.held = true;
  }

  /** What waits is handed out, and all that comes. */
  release(): void {
    this.held = false;
    this.waiting = 0;
    for (const socket of [...this.#sockets]) socket.release();
  }

  /** @internal How long a new connection waits. */
  blocked(): number {
    return Math.max(0, this.#blocked - performance.now());
  }

  /** @internal */
  add(socket: End): void {
    this.#sockets.add(socket);
  }

  /** @internal */
  remove(socket: End): void {
    this.#sockets.delete(socket);
  }

  /** @internal Keeps a socket that nobody hears: one that is collected as garbage would say goodbye. */
  sever(inner: WebSocket): void {
    inner.onopen = inner.onerror = null;
    inner.onmessage = () => {};
    inner.onclose = () => (this.#severed = this.#severed.filter((other) => other !== inner));
    this.#severed.push(inner);
    if (this.#severed.length > MAX_SEVERED) this.#severed.shift()!.close();
  }

  /** @internal A message arrived: frames, one behind the other (PROTOCOL 5). */
  arrived(data: ArrayBuffer): void {
    if (this.held) this.waiting += data.byteLength;
    const bytes = new Uint8Array(data);
    for (let at = 0; at + 4 <= bytes.length; ) {
      const size = 4 + bytes[at + 1]! * 256 + bytes[at + 2]!;
      this.tap(bytes[at]!, bytes[at + 3]!, size);
      at += size;
    }
  }
}

/** A socket at the end of the cable. */
class End implements Socket {
  binaryType = "arraybuffer";
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onerror: Socket["onerror"] = null;
  onclose: Socket["onclose"] = null;

  #cable: Cable;
  #inner?: WebSocket;
  #queue: Event[] = [];
  #ended = false;

  constructor(cable: Cable, url: string, protocols: string[]) {
    this.#cable = cable;
    cable.add(this);
    const wait = cable.blocked();
    const connect = () => this.#ended || this.#connect(url, protocols);
    if (wait) setTimeout(connect, wait);
    else connect();
  }

  get readyState(): number {
    return this.#ended ? WebSocket.CLOSED : (this.#inner?.readyState ?? WebSocket.CONNECTING);
  }

  get bufferedAmount(): number {
    return this.#inner?.bufferedAmount ?? 0;
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    this.#inner?.send(data);
  }

  close(code?: number): void {
    this.#inner?.close(code);
    if (!this.#inner) this.#end(new CloseEvent("close", { code: 1006 }));
  }

  /** Nothing passes any more. Whoever uses it learns that as from a cable that was pulled here. */
  cut(): void {
    if (this.#inner) this.#cable.sever(this.#inner);
    this.#inner = undefined;
    this.#queue = [];
    this.#end(new CloseEvent("close", { code: 1006 }));
  }

  release(): void {
    for (const event of this.#queue.splice(0)) this.#tell(event);
  }

  #connect(url: string, protocols: string[]): void {
    const inner = (this.#inner = new WebSocket(url, protocols));
    inner.binaryType = "arraybuffer";
    inner.onmessage = (event) => {
      if (event.data instanceof ArrayBuffer) this.#cable.arrived(event.data);
      this.#take(event);
    };
    inner.onopen = inner.onerror = inner.onclose = (event: Event) => this.#take(event);
  }

  #take(event: Event): void {
    if (this.#cable.held) this.#queue.push(event);
    else this.#tell(event);
  }

  #tell(event: Event): void {
    if (event.type === "close") this.#end(event);
    else this[`on${event.type}` as "onopen" | "onmessage" | "onerror"]?.(event);
  }

  #end(event: Event): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cable.remove(this);
    this.onclose?.(event);
  }
}
