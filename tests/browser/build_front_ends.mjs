// Bundles the entries of a folder beside themselves: `node build_front_ends.mjs FOLDER ENTRY…` makes ENTRY.bundle.js.
import {readFile} from "node:fs/promises";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {build} from "esbuild";
import {compileScript, parse} from "vue/compiler-sfc";

const [folder, ...entries] = process.argv.slice(2);

const vue = {
  name: "vue",
  setup(build) {
    build.onLoad({filter: /\.vue$/}, async ({path}) => {
      const {descriptor, errors} = parse(await readFile(path, "utf8"), {filename: path});
      if (errors.length) throw errors[0];
      return {contents: compileScript(descriptor, {id: path, inlineTemplate: true}).content, loader: "js"};
    });
  },
};

await build({
  entryPoints: entries.map((entry) => join(folder, entry)),
  outdir: folder,
  entryNames: "[name].bundle",
  bundle: true,
  jsx: "automatic",
  nodePaths: [fileURLToPath(new URL("node_modules", import.meta.url))],
  define: {
    "process.env.NODE_ENV": '"production"',
    __VUE_OPTIONS_API__: "false",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
  },
  plugins: [vue],
  logLevel: "error",
});
