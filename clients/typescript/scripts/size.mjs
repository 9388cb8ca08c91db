// What an application pays for the client: bundled, minified, gzip -9. Fails above the limits.

import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Bytes: 5 KB for the core, 8 KB with everything but React. */
const LIMITS = [
  ["core", 5 * 1024, 'import { Client } from "tickwire"; globalThis.client = new Client("").connect();'],
  [
    "core, queue, inflate, interpolate, renew",
    8 * 1024,
    `import { Client } from "tickwire"; import { queue } from "tickwire/queue"; import { inflate } from "tickwire/inflate";
     import { interpolator } from "tickwire/interpolate"; import { renew } from "tickwire/renew";
     globalThis.client = new Client("", { queue: queue(), inflate, renew }).connect(); globalThis.interpolator = interpolator;`,
  ],
];

let over = false;
for (const [name, limit, contents] of LIMITS) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL("..", import.meta.url)) },
    bundle: true, minify: true, write: false, format: "esm", target: "es2022", logLevel: "warning",
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  console.log(`${name}: ${size} bytes of ${limit} (${outputFiles[0].contents.length} before gzip)`);
  over ||= size > limit;
}
if (over) console.log("an application would pay more than allowed");
process.exitCode = over ? 1 : 0;
