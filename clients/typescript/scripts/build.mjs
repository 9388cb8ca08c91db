// Makes dist/: every module as ESM and as CommonJS, with its types.
//
//   src/*.ts ──esbuild──> dist/esm/*.js, dist/cjs/*.js
//            ──tsc──────> dist/esm/*.d.ts ──copied──> dist/cjs/*.d.ts
//
// Modules are not bundled: so a class is the same one, whichever entry it came through.

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
const entryPoints = readdirSync("src").map((name) => `src/${name}`);
// What begins with an underscore is ours alone, and has a shorter name: the same one in all modules.
const common = { entryPoints, target: "es2022", mangleProps: /^_[a-z]/i, jsx: "automatic", logLevel: "warning" };
const { mangleCache } = await build({
  ...common,
  bundle: true,
  external: ["react"],
  write: false,
  outdir: "dist",
  mangleCache: {},
});
for (const format of ["esm", "cjs"]) await build({ ...common, format, outdir: `dist/${format}`, mangleCache });
const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
execFileSync(
  process.execPath,
  [compiler, "--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", "dist/esm"],
  { stdio: "inherit" },
);
for (const name of readdirSync("dist/esm").filter((name) => name.endsWith(".d.ts")))
  cpSync(`dist/esm/${name}`, `dist/cjs/${name}`);
// Deno looks for types beside a module only within node_modules; where npm made a link of a path, the module has to name them.
for (const name of readdirSync("dist/esm").filter((name) => name.endsWith(".js")))
  writeFileSync(`dist/esm/${name}`, `// @ts-self-types="./${name.slice(0, -3)}.d.ts"\n${readFileSync(`dist/esm/${name}`, "utf8")}`);
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
