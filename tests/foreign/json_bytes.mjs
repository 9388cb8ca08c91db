// Bytes in JSON, as {"hex": "..."}: a replacer for JSON.stringify and a reviver for JSON.parse.

/** Buffer.toJSON has run before a replacer sees a buffer, so its holder is asked. */
export function writeBytes(key, value) {
  const bytes = this[key];
  return Buffer.isBuffer(bytes) ? { hex: bytes.toString('hex') } : value;
}

export function readBytes(key, value) {
  return typeof value?.hex === 'string' ? Buffer.from(value.hex, 'hex') : value;
}
