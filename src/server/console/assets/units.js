// Numbers for people.

const SIZES = ["B", "kB", "MB", "GB", "TB"];
const COUNTS = ["", "k", "M", "G"];

function scaled(number, names, space) {
  let scale = 0;
  let shown = Math.abs(number);
  while (shown >= 999.5 && scale < names.length - 1) {
    shown /= 1000;
    scale += 1;
  }
  const digits = scale === 0 || shown >= 99.95 ? 0 : shown >= 9.995 ? 1 : 2;
  const fraction = scale === 0 && shown > 0 && shown < 10 && !Number.isInteger(shown) ? 1 : digits;
  const text = fraction > 0 ? shown.toFixed(fraction).replace(/\.?0+$/, "") : shown.toFixed(0);
  return `${number < 0 ? "−" : ""}${text}${names[scale] ? space + names[scale] : ""}`;
}

/** 1234567 is 1.23M. */
export const count = (number) => (number === null || number === undefined ? "–" : scaled(number, COUNTS, ""));

/** 1234567 is 1.23 MB. */
export const bytes = (number) => (number === null || number === undefined ? "–" : scaled(number, SIZES, "\u202f"));

/** As bytes, for a second. */
export const byteRate = (number) => (number === null || number === undefined ? "–" : `${bytes(number)}/s`);

/** As a count, for a second. */
export const rate = (number) => (number === null || number === undefined ? "–" : `${count(number)}/s`);

/** Microseconds: 1234 is 1.23 ms. */
export function micros(number) {
  if (number === null || number === undefined) return "–";
  if (number < 1000) return `${Math.round(number)}\u202fµs`;
  if (number < 1_000_000) return `${Number((number / 1000).toPrecision(3))}\u202fms`;
  return `${Number((number / 1e6).toPrecision(3))}\u202fs`;
}

/** Seconds: 3723 is 1 h 2 min. */
export function span(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours] = [Math.floor(whole / 86_400), Math.floor((whole % 86_400) / 3600)];
  const minutes = Math.floor((whole % 3600) / 60);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** A payload: text where it is that, else hexadecimal digits. */
export function payload(bytes, length = bytes.length) {
  const more = length > bytes.length ? " …" : "";
  try {
    // At the cut a letter may be in two halves: then there is one more byte that is no text.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: length > bytes.length });
    if (!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(text)) return { text: text + more, hex: false };
  } catch {
    // Not text.
  }
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
  return { text: digits.join(" ") + more, hex: true };
}
