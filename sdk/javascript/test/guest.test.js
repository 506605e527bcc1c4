// What a component exports, with the host's log in a list.

import assert from "node:assert/strict";
import { register } from "node:module";
import test from "node:test";
import { messageOf } from "../src/failure.js";
import { Failure, log, on, rule, string } from "../src/index.js";

globalThis.lines = [];
const host = "export default { write: (level, message) => globalThis.lines.push([level, message]) };";
const hooks = `export const resolve = (specifier, context, next) => specifier === "carpe:rule/log@0.1.0"
  ? { url: ${JSON.stringify(`data:text/javascript,${encodeURIComponent(host)}`)}, shortCircuit: true } : next(specifier, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
// From here on the clock is out of reach.
const { guest } = await import("../src/guest.js");

const ABOUT = { name: "greeter", version: "0.1.0", description: "Greets." };

const greeter = rule({
  about: on("a").moment("greeted"),
  configuration: { greeting: string() },
  onEvent(event, _, out) {
    log.info(`half \ud800 a pair`);
    if (event.value("/fail")) throw new Failure("half \ud800 a pair");
    out.moment("greeted").why(`${this.greeting}, ${event.key}\udfff`).subject("\ud800");
  },
});

test("a rule is described by itself and its package, and what is wrong is thrown as a plain error", () => {
  const { rule } = guest(greeter, ABOUT, false);
  assert.throws(() => rule.handle({ keys: [], inputs: [] }), { name: "Error", message: "`init` was not called, or it failed" });
  assert.throws(() => rule.init("{}"), { name: "Error", message: /missing field `greeting`/ });
  assert.throws(() => rule.init("{"), { name: "Error", message: /^configuration: it is not valid JSON: / });
  const description = rule.init('{"greeting":"hi"}');
  assert.equal(description.name, "greeter");
  assert.equal(description.summary, "Greets.");
  assert.deepEqual(description.moments, ["greeted"]);
  assert.equal(description.stateVersion, 1);

  const input = (val) => ({ key: 0, time: 1, now: 1, payload: { tag: "event", val: { subscription: 0, attributes: [], data: { tag: "json", val } } } });
  const effects = rule.handle({ keys: [{ name: "k", state: null }], inputs: [input("{}"), input('{"fail":true}')] });
  assert.deepEqual(effects.moments, [
    { cause: 0, kind: "greeted", why: "hi, k\ufffd", subject: "\ufffd", data: undefined, expires: undefined, actions: [] },
  ]);
  assert.deepEqual(effects.failures, [{ input: 1, message: "half \ufffd a pair" }]);
  assert.deepEqual(globalThis.lines, [["info", "half \ufffd a pair"], ["info", "half \ufffd a pair"]]);
  assert.throws(() => rule.handle({ keys: [], inputs: [input("{}")] }), /input 0 is about key 0, which the batch lacks/);
  assert.throws(() => Math.random(), Failure);
  assert.throws(() => new Date(), Failure);
});

test("what the package says must fit the rule", () => {
  const migrating = rule({ about: on("a"), onEvent() {}, migrate: () => null });
  assert.throws(() => guest(migrating, ABOUT, false), /"migrates": true/);
  assert.throws(() => guest(greeter, ABOUT, true), /has no `migrate`/);
  assert.throws(() => guest(undefined, ABOUT, false), /write `export default rule/);
  assert.throws(() => guest(greeter, { name: "greeter" }, false), /the rule has no version/);
});

test("in a bundle, a mistake's place is that of the source", () => {
  const mistake = Object.assign(new TypeError("no"), { stack: "    at dig (/rule.js:7:9)\n    at call (native)\n" });
  globalThis.carpeLines = JSON.stringify({ sources: ["src/a.ts", "src/b.ts"], runs: [[1, -1, 0], [3, 0, 10], [6, 1, 20], [9, -1, 0]] });
  assert.equal(messageOf(mistake), "TypeError: no (src/b.ts:21)");
  mistake.stack = "    at dig (/rule.js:4:9)";
  assert.equal(messageOf(mistake), "TypeError: no (src/a.ts:11)");
  mistake.stack = "    at dig (/rule.js:10:9)";
  assert.equal(messageOf(mistake), "TypeError: no");
  delete globalThis.carpeLines;
});
