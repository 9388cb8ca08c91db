// What an application pays for the client: bundled, minified, gzip -9. Fails above the limits.

import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const connect = "globalThis.client = new Client(location.href, {}).connect();";
const ALL = `import { Client } from "tickwire"; import { queue } from "tickwire/queue"; import { inflate } from "tickwire/inflate";
  import { interpolator } from "tickwire/interpolate"; import { renew } from "tickwire/renew";
  globalThis.interpolator = interpolator; globalThis.client = new Client(location.href, { queue: queue(), inflate, renew }).connect();`;

/** What is imported, and how many bytes it may take: 5 KB for the core, 8 KB for everything but React. */
const LIMITS = [
  ["tickwire/core", 5 * 1024, `import { Client } from "tickwire/core"; ${connect}`],
  ["tickwire", 6 * 1024, `import { Client } from "tickwire"; ${connect}`],
  ["tickwire with queue, inflate, interpolate and renew", 8 * 1024, ALL],
];

let over = false;
for (const [name, limit, contents] of LIMITS) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL("..", import.meta.url)) },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    logLevel: "warning",
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  console.log(`${name}: ${size} bytes of ${limit} (${outputFiles[0].contents.length} before gzip)`);
  over ||= size > limit;
}
if (over) console.log("an application would pay more than allowed");
process.exitCode = over ? 1 : 0;
