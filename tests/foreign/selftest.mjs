// The Node side of selftest.py: one order as JSON on stdin, {"encode": frames} or {"decode": bytes}, and its result.

import { readFileSync } from 'node:fs';

import { Malformed, decode, encode, split } from './codec.mjs';
import { readBytes, writeBytes } from './json_bytes.mjs';

function obey(order) {
  if (order.encode) return Buffer.concat(order.encode.map(([name, args]) => encode(name, args)));
  try {
    return split(order.decode).map(decode);
  } catch (error) {
    if (error instanceof Malformed) return 'malformed';
    throw error;
  }
}

console.log(JSON.stringify(obey(JSON.parse(readFileSync(0, 'utf8'), readBytes)), writeBytes));
