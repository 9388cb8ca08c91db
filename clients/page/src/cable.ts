/**
 * The cable between the page and the server, which can be cut and squeezed: what the buttons do to it.
 *
 * ```text
 * client ──WebSocket──> Socket ──────> the browser's WebSocket ──> server
 *                         │  ^
 *          held: queue <──┘  └── cut: nothing passes, nobody is told, no new one for a while
 * ```
 *
 * A browser's `close()` would say goodbye, and the server would know. Who cuts a cable says nothing: so the
 * socket of a cut cable stays open, unheard, until the server closes it.
 */

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

  #sockets = new Set<Socket>();
  #severed: WebSocket[] = [];
  #blocked = 0;

  /** The class to use instead of the browser's own. */
  get WebSocket(): typeof WebSocket {
    const cable = this;
    return class extends Socket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(cable, url, protocols);
      }
    } as unknown as typeof WebSocket;
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
  add(socket: Socket): void {
    this.#sockets.add(socket);
  }

  /** @internal */
  remove(socket: Socket): void {
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

type Handler = ((event: Event) => void) | null;

/** A WebSocket at the end of the cable. */
class Socket extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;

  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;

  binaryType = "arraybuffer";
  readonly url: string;
  onopen: Handler = null;
  onmessage: Handler = null;
  onerror: Handler = null;
  onclose: Handler = null;

  #cable: Cable;
  #inner?: WebSocket;
  #queue: Event[] = [];
  #ended = false;

  constructor(cable: Cable, url: string | URL, protocols?: string | string[]) {
    super();
    this.#cable = cable;
    this.url = String(url);
    cable.add(this);
    const wait = cable.blocked();
    if (wait) setTimeout(() => this.#connect(protocols), wait);
    else this.#connect(protocols);
  }

  get readyState(): number {
    return this.#ended ? 3 : (this.#inner?.readyState ?? 0);
  }

  get protocol(): string {
    return this.#inner?.protocol ?? "";
  }

  get extensions(): string {
    return this.#inner?.extensions ?? "";
  }

  get bufferedAmount(): number {
    return this.#inner?.bufferedAmount ?? 0;
  }

  send(data: string | ArrayBufferLike | Blob | ArrayBufferView<ArrayBuffer>): void {
    if (!this.#ended) this.#inner?.send(data as ArrayBuffer);
  }

  close(code?: number, reason?: string): void {
    if (this.#inner) this.#inner.close(code, reason);
    else this.#end(new CloseEvent("close", { code: 1006 }));
  }

  /** Nothing passes any more. Whoever uses it learns that as from a cable that was pulled here. */
  cut(): void {
    if (this.#inner) this.#cable.sever(this.#inner);
    this.#inner = undefined;
    this.#queue = [];
    this.#end(new CloseEvent("close", { code: 1006, wasClean: false }));
  }

  release(): void {
    for (const event of this.#queue.splice(0)) this.#tell(event);
  }

  #connect(protocols?: string | string[]): void {
    if (this.#ended) return;
    const inner = (this.#inner = new WebSocket(this.url, protocols));
    inner.binaryType = "arraybuffer";
    inner.onopen = () => this.#take(new Event("open"));
    inner.onerror = () => this.#take(new Event("error"));
    inner.onclose = ({ code, reason, wasClean }) => this.#take(new CloseEvent("close", { code, reason, wasClean }));
    inner.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.#cable.arrived(data);
      this.#take(new MessageEvent("message", { data }));
    };
  }

  #take(event: Event): void {
    if (this.#cable.held) this.#queue.push(event);
    else this.#tell(event);
  }

  #tell(event: Event): void {
    if (event.type === "close") return this.#end(event);
    this.#dispatch(event);
  }

  #end(event: Event): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cable.remove(this);
    this.#dispatch(event);
  }

  #dispatch(event: Event): void {
    this.dispatchEvent(event);
    this[`on${event.type}` as "onopen" | "onmessage" | "onerror" | "onclose"]?.(event);
  }
}
