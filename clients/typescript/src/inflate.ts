/**
 * Raw deflate (RFC 1951) with a bound, for what a server compressed (PROTOCOL 12.4).
 *
 * ```text
 *  stream ──> block ──> stored bytes, or symbols: a literal, or a length and how far back
 * ```
 *
 * It is done at once and not with `DecompressionStream`, which takes its time: frames would overtake each other.
 */

/** Code lengths of the code lengths, in the order in which they are sent (RFC 1951, 3.2.7). */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** The longest code, in bits. */
const BITS = 15;

const broken = (): never => {
  throw new RangeError("not a deflate stream");
};

/** How many codes there are of each length, and the symbols in the order of their codes. */
type Code = [counts: number[], symbols: number[]];

const many = (length: number, times: number): number[] => new Array<number>(times).fill(length);

const code = (lengths: number[]): Code => {
  const counts = many(0, BITS + 1);
  for (const length of lengths) if (length) counts[length]!++;
  let left = 1;
  for (let length = 1; length <= BITS; length++) if ((left = left * 2 - counts[length]!) < 0) broken();
  // A code that leaves something out is taken only where it has one symbol, as zlib does.
  if (left && counts.some((count, length) => count > (length === 1 ? 1 : 0))) broken();
  const symbols = [...lengths.keys()].filter((symbol) => lengths[symbol]);
  // Sorting is stable: of the same length the smaller symbol has the smaller code.
  symbols.sort((a, b) => lengths[a]! - lengths[b]!);
  return [counts, symbols];
};

/** What each symbol from 257 on starts from, and how many bits follow it; the same for distances. */
const table = (first: number, group: number, size: number): [base: number, extra: number][] => {
  const list: [number, number][] = [];
  for (let symbol = 0, base = first; symbol < size; symbol++) {
    const extra = Math.max(0, Math.floor(symbol / group) - 1);
    list.push([base, extra]);
    base += 1 << extra;
  }
  return list;
};

const LENGTHS = table(3, 4, 28);
// The longest one has a symbol of its own.
LENGTHS.push([258, 0]);
const DISTANCES = table(1, 2, 30);

let fixed: [Code, Code] | undefined;

/** Inflates one stream, which ends with its bytes. Throws where it cannot be read, goes on behind its end, or makes more than `bound` bytes. */
export const inflate = (stream: Uint8Array, bound: number): Uint8Array => {
  // Grows as it must, so that what announces much and holds little reserves little.
  const out: number[] = [];
  let at = 0;
  let hold = 0;
  let held = 0;

  const bits = (n: number): number => {
    for (; held < n; held += 8) hold |= (at < stream.length ? stream[at++]! : broken()) << held;
    const value = hold & ((1 << n) - 1);
    hold >>>= n;
    held -= n;
    return value;
  };
  const symbol = ([counts, symbols]: Code): number => {
    let value = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= BITS; length++) {
      const count = counts[length]!;
      value |= bits(1);
      if (value - first < count) return symbols[index + value - first]!;
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    return broken();
  };
  const put = (byte: number): void => {
    if (out.push(byte) > bound) broken();
  };
  const codes = (): [Code, Code] => {
    const literals = bits(5) + 257;
    const distances = bits(5) + 1;
    const count = bits(4) + 4;
    if (literals > 286 || distances > 30) broken();
    const own = many(0, 19);
    for (let i = 0; i < count; i++) own[ORDER[i]!] = bits(3);
    const lengths: number[] = [];
    for (const how = code(own); lengths.length < literals + distances;) {
      const next = symbol(how);
      if (next < 16) lengths.push(next);
      else if (next > 16) lengths.push(...many(0, next === 17 ? bits(3) + 3 : bits(7) + 11));
      else lengths.push(...many(lengths.length ? lengths[lengths.length - 1]! : broken(), bits(2) + 3));
    }
    if (lengths.length > literals + distances || !lengths[256]) broken();
    return [code(lengths.slice(0, literals)), code(lengths.slice(literals))];
  };

  for (let last = 0; !last;) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 3) broken();
    if (!kind) {
      hold = held = 0;
      const length = bits(16);
      if ((bits(16) ^ length) !== 0xffff) broken();
      for (let i = 0; i < length; i++) put(bits(8));
      continue;
    }
    fixed ??= [code([...many(8, 144), ...many(9, 112), ...many(7, 24), ...many(8, 8)]), code(many(5, 32))];
    const [literals, distances] = kind === 1 ? fixed : codes();
    for (let next; (next = symbol(literals)) !== 256;) {
      if (next < 256) {
        put(next);
        continue;
      }
      const [length, more] = LENGTHS[next - 257] ?? broken();
      let left = length + bits(more);
      const [near, further] = DISTANCES[symbol(distances)] ?? broken();
      const back = near + bits(further);
      if (back > out.length) broken();
      while (left--) put(out[out.length - back]!);
    }
  }
  if (at < stream.length) broken();
  return Uint8Array.from(out);
};
