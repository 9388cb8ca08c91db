// The built package in Deno and Bun, as those have it who install it: vectors, scenarios, the README's first lines, and what only a runtime decides.
//
//   node tests/runtimes/run.mjs path/to/tickwire
//
// dist ──npm pack──> node_modules/tickwire <──by name── deno, bun ──WebSocket──> relay ──> server
//
// A runtime that is not here is skipped, and is a failure with CI=true.

import { build } from "esbuild";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const PACKAGE = resolve(HERE, "../..");

/** How a runtime runs a file, where its package puts it, and what puts it there: scripts of packages are not run by `npm ci` here. */
const RUNTIMES = {
  deno: { place: ["install.cjs"], program: "deno/deno", run: ["run", "--allow-all"], example: ["run", "--allow-net"], check: ["check"] },
  bun: { place: ["install.js"], program: "bun/bin/bun.exe", run: [], example: [] },
};

/** Milliseconds that a script may take: all scenarios take 40 s. */
const PATIENCE = 240_000;

/** Nothing is asked of anybody else, and nothing of an earlier run is found. */
const environment = (folder) => ({
  PATH: process.env.PATH,
  HOME: folder,
  TMPDIR: folder,
  DENO_DIR: join(folder, "deno"),
  DENO_NO_UPDATE_CHECK: "1",
  DO_NOT_TRACK: "1",
  NO_COLOR: "1",
});

/** The program of a runtime, or nothing where there is none for this machine. */
function find(name) {
  const folder = join(HERE, "node_modules", name);
  const { place, program } = RUNTIMES[name];
  const path = join(HERE, "node_modules", program);
  // Once it was placed, the script would look for it in vain where it came from, and ask the registry again.
  const works = () => spawnSync(path, ["--version"], { stdio: "ignore" }).status === 0;
  if (!existsSync(folder)) return;
  if (!works()) spawnSync(process.execPath, place, { cwd: folder, stdio: ["ignore", "ignore", "inherit"], timeout: PATIENCE });
  return works() ? path : undefined;
}

/** A folder with the package by its name: a copy of what would be published, or a link to this folder, as npm makes one of a path. */
function application(folder, what) {
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  execFileSync("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", what], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return folder;
}

/** The vectors' test with the modules of `dist`, by their public names where they have one, and without vitest. */
async function vectors(folder) {
  const { exports } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  const source = join(PACKAGE, "tests/vectors.test.ts");
  await build({
    entryPoints: [source],
    outfile: join(folder, "vectors.mjs"),
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    logLevel: "warning",
    alias: { vitest: join(HERE, "vitest.mjs") },
    define: { "import.meta.url": JSON.stringify(String(pathToFileURL(source))) },
    banner: { js: 'import { Buffer } from "node:buffer";' },
    plugins: [
      {
        name: "dist",
        setup: ({ onResolve }) =>
          onResolve({ filter: /^\.\.\/src\// }, ({ path }) => {
            const name = basename(path, ".js");
            return { external: true, path: exports[`./${name}`] ? `tickwire/${name}` : `./node_modules/tickwire/dist/esm/${name}.js` };
          }),
      },
    ],
  });
}

/** Runs a program until it ends, or `enough` says so of its lines. What it printed, and why it failed if it did. */
function run(program, args, folder, enough) {
  return new Promise((done) => {
    const lines = [];
    let stopped = false;
    const child = spawn(program, args, { cwd: folder, env: environment(folder), stdio: ["ignore", "pipe", "pipe"], timeout: PATIENCE });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        if (!enough?.(lines)) return;
        stopped = true;
        child.kill();
      });
    }
    child.once("error", ({ message }) => done({ lines, why: message }));
    child.once("close", (code, signal) => {
      if (enough) done({ lines, why: stopped ? undefined : "it did not print what the README says" });
      else done({ lines, why: code === 0 ? undefined : `ended with ${code ?? signal}` });
    });
  });
}

/** The first lines of the README in a file of this name, with the port of a server that is here until `end`. */
async function example(folder, file) {
  const server = spawn(program, ["conformance"], { env: environment(folder), stdio: ["pipe", "pipe", "inherit"] });
  const ports = JSON.parse(
    await new Promise((done, fail) => {
      createInterface({ input: server.stdout }).once("line", done);
      server.once("error", fail).once("exit", () => fail(new Error("the server ended")));
    }),
  );
  const [, code] = readFileSync(join(PACKAGE, "README.md"), "utf8").match(/```ts\n(.*?)```/s);
  writeFileSync(join(folder, file), code.replace("ws://localhost:7070/ws", ports.websocket));
  return { end: () => server.stdin.end() };
}

/** What the README says that its first lines print. */
const PRINTED = ["1 says hello", "1/1 is here"];

/** All that is asked of one runtime, in two rows: the scenarios take longer than everything else. */
async function judge(name, runtime, copy, link) {
  const { run: how, example: alone, check } = RUNTIMES[name];
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const count = (what, { lines, why }) => {
    const told = lines.at(-1)?.match(/^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/)?.slice(1);
    // A script that ended badly has failed, whatever it counted; one without a count is a test of its own.
    const [passed, failed, skipped] = told?.map((n) => Number(n ?? 0)) ?? [why ? 0 : 1, 0, 0];
    counts.passed += passed;
    counts.failed += why ? failed || 1 : failed;
    counts.skipped += skipped;
    if (why || failed) console.log(lines.map((line) => `${name}: ${line}`).join("\n"));
    console.log(`${name}: ${what}: ${why ?? `${passed} passed${skipped ? `, ${skipped} skipped` : ""}`}`);
  };
  const script = async (what) => {
    const result = await run(runtime, [...how, `${what}.mjs`, program], copy);
    if (!result.why && !/^[1-9]\d* passed, /.test(result.lines.at(-1))) result.why = "it counted nothing";
    count(what, result);
  };
  const readme = async (folder, what) => {
    const file = `${name}.ts`;
    const { end } = await example(folder, file);
    if (check) count(`types of ${what}`, await run(runtime, [...check, file], folder));
    count(what, await run(runtime, [...alone, file], folder, (lines) => PRINTED.every((line) => lines.includes(line))));
    end();
  };
  const others = async () => {
    await script("vectors");
    await script("checks");
    await readme(copy, "the README's first lines");
    await readme(link, "the same, linked");
  };
  await Promise.all([script("conformance"), others()]);
  return counts;
}

/** The folders that the runtimes work in: with a copy of the package, and with a link to it. */
async function prepare(scratch) {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", scratch], { cwd: PACKAGE, stdio: ["ignore", "ignore", "inherit"] });
  const { version } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  const copy = application(join(scratch, "copy"), join(scratch, `tickwire-${version}.tgz`));
  copyFileSync(join(PACKAGE, "tests/conformance.mjs"), join(copy, "conformance.mjs"));
  copyFileSync(join(HERE, "checks.mjs"), join(copy, "checks.mjs"));
  await vectors(copy);
  return [copy, application(join(scratch, "link"), PACKAGE)];
}

const program = resolve(process.argv[2]);
const scratch = mkdtempSync(join(tmpdir(), "tickwire-runtimes-"));
const total = { passed: 0, failed: 0, skipped: 0 };
try {
  const folders = await prepare(scratch);
  const judged = Object.keys(RUNTIMES).map(async (name) => {
    const runtime = find(name);
    if (runtime) return judge(name, runtime, ...folders);
    console.log(`SKIPPED: the TypeScript client in ${name}, which is not here`);
    return { passed: 0, failed: process.env.CI ? 1 : 0, skipped: process.env.CI ? 0 : 1 };
  });
  for (const counts of await Promise.all(judged)) for (const key in total) total[key] += counts[key];
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed ? 1 : 0;
