// The code of the README, as it stands there.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

const here = import.meta.dirname;

test("the README's rule is short, and passes the README's test", () => {
  const readme = readFileSync(join(here, "../README.md"), "utf8");
  const [rule, tested] = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
  assert.ok(rule.trim().split("\n").length <= 15);
  // Within the package, which may import itself by its name.
  const folder = mkdtempSync(join(here, "readme-"));
  try {
    writeFileSync(join(folder, "rule.js"), rule);
    writeFileSync(join(folder, "rule.test.js"), tested);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const output = execFileSync(process.execPath, ["--test", join(folder, "rule.test.js")], { env, encoding: "utf8" });
    assert.match(output, /pass 1\b/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
