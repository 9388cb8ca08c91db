/** The client, whose rooms remember, and are paused while nobody sees the page (SPEC 6). */

import { BaseClient, type Options } from "./base-client.js";
import type { RoomOptions } from "./base-room.js";
import { Room } from "./room.js";
import type { Session } from "./session.js";
import { malformed, type Direct, type Extensions, type Field } from "./wire.js";

/** Directs that wait for the answer to a join; a server keeps 64. With 64 KiB each they are the 16 MiB of a snapshot (SPEC 8). */
const HELD = 256;

const page = globalThis.document as Document | undefined;

/** A client of one server. It connects when it is told to, comes back by itself, and keeps its rooms meanwhile. */
export class Client extends BaseClient {
  /** @internal The page is hidden. */ _hidden = false;

  /** Directs for rooms whose ids are not known yet, in a session that goes on. */
  #held: [id: number, direct: Direct][] = [];

  /** A client of the server at `url`, such as `wss://example.org/ws`. Nothing happens before `connect`. */
  constructor(url: string, options?: Options) {
    super(url, options);
    page?.addEventListener("visibilitychange", this.#visible);
    this.#visible();
  }

  override room<E = Uint8Array, V = Uint8Array>(name: string, options?: RoomOptions<E, V>): Room<E, V> {
    return super.room(name, options) as Room<E, V>;
  }

  /** @internal */
  override _make(name: string): Room<any, any> {
    return new Room(this, name);
  }

  /** @internal */
  override _stop(reason: number, why?: string, say?: number): void {
    page?.removeEventListener("visibilitychange", this.#visible);
    super._stop(reason, why, say);
  }

  /** @internal */
  override _welcome(session: Session, values: Field[], told: Extensions): void {
    if (!(values[2] & 1)) this.#held = [];
    super._welcome(session, values, told);
  }

  /** @internal */
  override _direct(id: number, direct: Direct): void {
    if (this._ids.has(id)) super._direct(id, direct);
    else if (this.#held.push([id, direct]) > HELD) malformed();
    // What was read may be a small part of something large.
    else direct[2] = direct[2].slice();
  }

  /** @internal There may be a room by now that something is held for. */
  _named(): void {
    this.#held = this.#held.filter(([id, direct]) => !this._ids.has(id) || super._direct(id, direct));
  }

  #visible = (): void => {
    this._hidden = page?.visibilityState === "hidden";
    for (const room of this._handles.values()) room._sync();
  };
}
