/**
 * The page: what is done here goes to the thread, what that tells is shown. All that moves is there: here is nothing
 * to do for a frame, so that whoever plays never waits.
 *
 * ```text
 * keys, fingers ──> Steering ──┐                 ┌── thread.ts: World ──> canvases
 * buttons, words, a token ─────┴── Order ──> <── News ──> Log, figures, state
 * ```
 */

import { Log } from "./log.js";
import { lookOf, stripLookOf, watch } from "./look.js";
import type { News, Order } from "./order.js";
import { Steering } from "./steer.js";
import type { Rung, Trial } from "./trials.js";

/** What a token must be asked for (PROTOCOL 14). */
const NO_ENTRY = [110, 240, 241, 242, 243];

const TRIALS: Trial[] = ["slow", "cut", "hidden"];

const $ = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;

const log = new Log($("log"));
const order = await begin();
new Steering($("field"), (steer) => order({ steer }), shoot, () => $("say").focus());

/** Starts the thread. Returns what takes the page's orders. */
async function begin(): Promise<(order: Order, given?: Transferable[]) => void> {
  const [arena, strip] = [$<HTMLCanvasElement>("arena"), $<HTMLCanvasElement>("strip")];
  const { host, protocol, hash } = location;
  const token = new URLSearchParams(hash.slice(1)).get("token") ?? "";
  // It is a secret: it does not stay where it is seen.
  if (token) history.replaceState(null, "", location.pathname + location.search);
  const what = {
    url: `${protocol === "https:" ? "wss" : "ws"}://${host}/ws`,
    room: new URLSearchParams(location.search).get("room") ?? "arena",
    token,
  };
  let order: (order: Order, given?: Transferable[]) => void;
  const heard = ({ data }: MessageEvent<News>) => hear(data);
  if (typeof arena.transferControlToOffscreen === "function") {
    const thread = new Worker("/assets/thread.js", { type: "module" });
    thread.onmessage = heard;
    order = (order, given = []) => thread.postMessage(order, given);
    const given = [arena.transferControlToOffscreen(), strip.transferControlToOffscreen()] as const;
    order({ begin: { ...what, arena: given[0], strip: given[1] } }, [...given]);
  } else {
    const { serve } = (await import("/assets/thread.js" as string)) as typeof import("./thread.js");
    const port = { onmessage: null, postMessage: (data: News) => hear(data) } as Parameters<typeof serve>[0];
    serve(port);
    order = (data) => port.onmessage!({ data } as MessageEvent<Order>);
    order({ begin: { ...what, arena, strip } });
  }
  watch(arena, lookOf, (look) => order({ look }));
  watch(strip, stripLookOf, (strip) => order({ strip }));
  const hidden = () => order({ hidden: document.visibilityState === "hidden" });
  document.addEventListener("visibilitychange", hidden);
  hidden();
  return order;
}

// What this tab does.

function shoot(): void {
  order({ shoot: true });
}

$<HTMLFormElement>("chat").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = $<HTMLInputElement>("say");
  if (said.value.trim()) order({ say: said.value });
  said.value = "";
  said.blur();
});
$("say").addEventListener("keydown", (event) => event.key === "Escape" && $("say").blur());
$("shoot").addEventListener("pointerdown", (event) => {
  event.preventDefault();
  shoot();
});
for (const trial of TRIALS) $(trial).addEventListener("click", () => order({ trial }));

$<HTMLFormElement>("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  order({ token: $<HTMLInputElement>("token").value.trim() });
  $("gate").hidden = true;
});

// What is shown.

function hear(news: News): void {
  if ("figures" in news) for (const [id, text] of Object.entries(news.figures)) set(id, text);
  else if ("line" in news) log.add(news.line, news.tone);
  else if ("banner" in news) {
    $("banner").hidden = !news.banner;
    set("banner", news.banner);
  } else if ("alone" in news) $("alone").hidden = !news.alone;
  else if ("me" in news) set("me", news.me);
  else if ("state" in news) showState(news.state);
  else if ("trial" in news) showTrial(news.trial, news.rung);
  else if ("refused" in news) {
    $("gate").hidden = !NO_ENTRY.includes(news.refused);
    if (!$("gate").hidden) $("token").focus();
  } else if ("unsaid" in news) {
    const said = $<HTMLInputElement>("say");
    // Unless there are other words by now.
    said.value ||= news.unsaid;
  }
}

/** Sets the text of an element. The text itself is changed, where there is one: a new one would be laid out anew. */
function set(id: string, text: string): void {
  const element = $(id);
  const { firstChild } = element;
  if (firstChild instanceof Text) firstChild.data = text;
  else element.textContent = text;
}

function showState(state: string): void {
  const words: Record<string, string> = {
    joined: "live", joining: "joining", connecting: "connecting", closed: "closed", disconnected: "offline", left: "not admitted",
  };
  $("state").dataset["state"] = state;
  set("state-text", words[state] ?? state);
}

function showTrial(running: Trial | undefined, rung: Rung | undefined): void {
  for (const trial of TRIALS) {
    $<HTMLButtonElement>(trial).disabled = running !== undefined;
    $(trial).toggleAttribute("data-running", running === trial);
  }
  [...$("ladder").children].forEach((step, index) => {
    step.toggleAttribute("data-on", rung === index);
    step.toggleAttribute("data-past", rung !== undefined && index < rung);
  });
}
