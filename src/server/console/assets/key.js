// The operator's key: from the address, from this tab's memory, or asked for.

const NAME = "tickwire-key";

/** The key that is known, or null. One in the address (`#key=…`) counts first, and does not stay there. */
export function known() {
  const said = new URLSearchParams(location.hash.slice(1)).get("key");
  if (said !== null) {
    history.replaceState(null, "", location.pathname + location.search);
    sessionStorage.setItem(NAME, said);
  }
  return sessionStorage.getItem(NAME);
}

/** Keeps a key until the tab is closed. */
export function keep(key) {
  sessionStorage.setItem(NAME, key);
}

/** Forgets it. */
export function forget() {
  sessionStorage.removeItem(NAME);
}

/** Whether a key is one: "ok", why not in the server's words, or null where there is no server. */
export async function check(key) {
  // What is no header was never a key.
  if (!/^[\x21-\x7e]+$/.test(key)) return { ok: false, text: "A key has no spaces and no letters beyond ASCII." };
  try {
    const answer = await fetch("/admin/key", { headers: { authorization: `Bearer ${key}` }, cache: "no-store" });
    return { ok: answer.ok, status: answer.status, text: (await answer.text()).trim() };
  } catch {
    return null;
  }
}
