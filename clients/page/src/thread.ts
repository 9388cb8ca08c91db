/**
 * The thread of the page: the client and all that moves. The page's own thread has time for whoever plays.
 *
 * It is a module of its own. A page whose canvases cannot leave it imports it, and has it beside its own work.
 */

import type { News, Order } from "./order.js";
import { World } from "./world.js";

/** The end of a channel, or what a worker has of one. */
interface Port {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(news: News): void;
}

/** Obeys the orders that come here; `begin` comes first. */
export function serve(port: Port): void {
  let world: World | undefined;
  port.onmessage = ({ data }) => {
    if ("begin" in data) world = new World(data.begin, (news) => port.postMessage(news));
    else world?.take(data);
  };
}

if (typeof document === "undefined") serve(globalThis as unknown as Port);
