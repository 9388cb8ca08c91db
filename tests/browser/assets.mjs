// The page's modules for Node, which takes a .js file for a module only where a package says so.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = mkdtempSync(join(tmpdir(), "tickwire-console-"));
cpSync(fileURLToPath(new URL("../../src/server/console/assets/", import.meta.url)), folder, { recursive: true });
writeFileSync(join(folder, "package.json"), '{"type": "module"}');
process.on("exit", () => rmSync(folder, { recursive: true }));

/** A module of the page. */
export const asset = (name) => import(pathToFileURL(join(folder, name)).href);
