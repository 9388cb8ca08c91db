/** The client, whose rooms remember, and are paused while nobody sees the page (SPEC 6). */

import { BaseClient, type Options } from "./base-client.js";
import type { RoomOptions } from "./base-room.js";
import { Room } from "./room.js";

const page = globalThis.document as Document | undefined;

/** A client of one server. It connects when it is told to, comes back by itself, and keeps its rooms meanwhile. */
export class Client extends BaseClient {
  /** @internal The page is hidden. */ _hidden = false;

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

  #visible = (): void => {
    this._hidden = page?.visibilityState === "hidden";
    for (const room of this._handles.values()) room._sync();
  };
}
