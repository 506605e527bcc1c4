// How a rule's package is bundled: `carpe build` writes this file beside a `request.json`, and has rolldown read it.
//
// Into the bundle goes a module that exports what the contract asks for, and, at its end, which of its lines came from
// which line of which source: errors in a rule name those (see `failure.js` in the SDK).

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const here = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname);
/** folder, entry: absolute paths; guest: the SDK's, null for a rule without; about: of its package; migrates. */
const request = JSON.parse(readFileSync(join(here, "request.json"), "utf8"));

const ENTRY = "carpe-entry";

function entry() {
  const { entry, guest, about, migrates } = request;
  if (guest === null) return `export * from ${JSON.stringify(entry)};`;
  return [
    // First, so that it is there before the rule's modules run.
    `import { guest } from ${JSON.stringify(guest)};`,
    `import rule from ${JSON.stringify(entry)};`,
    `const exported = guest(rule, ${JSON.stringify(about)}, ${migrates});`,
    "export { exportedRule as rule, exportedMigration as migration };",
    "const { rule: exportedRule, migration: exportedMigration } = exported;",
  ].join("\n");
}

/** Runs of lines that follow each other in the bundle and in a source: [line, source, line of the source], from 1. */
function runsOf({ mappings, sources }, place) {
  const runs = [];
  let [source, original] = [0, 0];
  mappings.split(";").forEach((segments, index) => {
    let first;
    for (const segment of segments.split(",")) {
      const [, sources = 0, lines = 0] = numbersOf(segment);
      source += sources;
      original += lines;
      if (segment.length > 1) first ??= [source, original + 1];
    }
    const [at, line] = first ?? [-1, 0];
    const last = runs.at(-1);
    const follows = last !== undefined && last[1] === at && (at < 0 || line - last[2] === index + 1 - last[0]);
    if (!follows) runs.push([index + 1, at, line]);
  });
  return { sources: sources.map(place), runs };
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The numbers of a segment of a source map: base 64, 5 bits a digit, the lowest first, the sign in the lowest bit. */
function numbersOf(segment) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const character of segment) {
    const digit = DIGITS.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if (digit < 32) {
      numbers.push(value & 1 ? -(value >> 1) : value >> 1);
      [value, shift] = [0, 0];
    }
  }
  return numbers;
}

export default {
  input: ENTRY,
  cwd: request.folder,
  platform: "neutral",
  resolve: { mainFields: ["module", "main"] },
  // The contract's interfaces, which the host gives.
  external: /^carpe:/,
  onLog(level, log, handle) {
    // It would be looked for when the component is made, where nothing is.
    if (log.code === "UNRESOLVED_IMPORT") throw new Error(log.message);
    handle(level, log);
  },
  plugins: [
    {
      name: "carpe",
      resolveId: (id) => (id === ENTRY ? `\0${ENTRY}` : undefined),
      load: (id) => (id === `\0${ENTRY}` ? { code: entry(), moduleType: "js" } : undefined),
      writeBundle({ dir }, files) {
        const [chunk] = Object.values(files).filter((file) => file.type === "chunk");
        const lines = JSON.stringify(runsOf(chunk.map, (source) => relative(request.folder, resolve(dir, source))));
        const code = chunk.code.replace(/\/\/# sourceMappingURL=.*\n?$/, "");
        // As a text, which a component holds in less room than the lists in it.
        writeFileSync(join(here, "rule.js"), `${code}globalThis.carpeLines = ${JSON.stringify(lines)};\n`);
        writeFileSync(join(here, "lines.json"), lines);
      },
    },
  ],
  output: {
    dir: join(here, "bundle"),
    format: "esm",
    sourcemap: true,
    comments: false,
    codeSplitting: false,
  },
};
