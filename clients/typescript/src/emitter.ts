/** What clients and rooms have in common: a state, and handlers by the name of what they want to hear. */

/** A change of state. */
export interface Change<S> {
  from: S;
  to: S;
  /** Why, as a number (PROTOCOL 14); 0 where there is no reason. */
  reason: number;
  /** Why, for people; mostly empty. */
  text: string;
}

/** Something that has a state and tells what happens. `M` maps the name of each event to its arguments. */
export abstract class Emitter<S, M extends Record<keyof M, any[]>> {
  /** The reason of the last change of state, 0 where there is none. */
  reason = 0;

  /** @internal */
  _handlers: { [K in keyof M]?: Set<(...args: any) => void> } = {};

  /** The state that it is in. */
  declare state: S;

  constructor(state: S) {
    this.state = state;
  }

  /** Calls `handler` for every event of this name, once, however often it was given. Returns the function that ends it. */
  on<K extends keyof M>(name: K, handler: (...args: M[K]) => void): () => void {
    const handlers = (this._handlers[name] ??= new Set());
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  /** @internal Calls the handlers. One that throws does not keep the others from being called. */
  _emit<K extends keyof M>(name: K, ...args: M[K]): void {
    // The arguments beside it: a function made for each handler and event is a fifth of what a value costs.
    for (const handler of this._handlers[name] ?? []) this._try(handler, ...args);
  }

  /** @internal Runs code of the application. */
  _try<A extends any[], T>(f: (...args: A) => T, ...args: A): T | undefined {
    try {
      return f(...args);
    } catch (error) {
      this._threw(error);
    }
    return;
  }

  /** @internal Code of the application threw. */
  abstract _threw(error: unknown): void;

  /** @internal */
  _to(to: S, reason = 0, text = ""): void {
    const from = this.state;
    this.reason = reason;
    this.state = to;
    if (from !== to) (this as Emitter<S, any>)._emit("state", { from, to, reason, text });
  }
}
