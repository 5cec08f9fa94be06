// Bundles front ends as a project does: `node build_bundles.mjs FOLDER`; its bundles.json has a list of esbuild's options.
import {readFile} from "node:fs/promises";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {build} from "../browser/node_modules/esbuild/lib/main.js";

const folder = process.argv[2];
const bundles = JSON.parse(await readFile(join(folder, "bundles.json"), "utf8"));

await Promise.all(bundles.map(({entry, out, ...options}) => build({
  entryPoints: [join(folder, entry)],
  outfile: join(folder, out),
  bundle: true,
  minify: true,
  jsx: "automatic",
  format: "esm",
  nodePaths: [fileURLToPath(new URL("../browser/node_modules", import.meta.url))],
  loader: {".env": "dataurl", ".key": "base64", ".bin": "binary", ".html": "text"},
  logLevel: "error",
  ...options,
  define: {"process.env.NODE_ENV": '"production"', ...options.define},
})));
