// Builds the page into the server's source: `node build.mjs [folder]`. The same source makes the same bytes.

import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.argv[2] ?? join(here, "../../src/server/page/assets");

mkdirSync(folder, { recursive: true });
await build({
  absWorkingDir: here,
  // One for all: the client has its own beside it.
  tsconfig: join(here, "tsconfig.json"),
  entryPoints: ["src/main.ts", "src/thread.ts", "style.css"],
  outdir: folder,
  bundle: true,
  minify: !process.env.PLAIN,
  format: "esm",
  target: ["es2022", "chrome109", "firefox115", "safari16"],
  external: ["/assets/*"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  // Names with a _ are the client's own; nothing else in the page has such.
  mangleProps: /^_[a-z]/,
  entryNames: "[name]",
});
for (const file of ["index.html", "icon.svg"]) cpSync(join(here, file), join(folder, file));
