import assert from "node:assert/strict";
import test from "node:test";
import { event, RuleTest } from "carpe-sdk/test";
import rule from "./rule.js";

test("three times in a row", () => {
  const press = new RuleTest(rule, { max_celsius: 90 });
  const read = (celsius) =>
    press.send(event("machine.temperature").subject("press-1").data({ celsius })).actions.length;
  assert.deepEqual([91, 92, 93, 94].map(read), [0, 0, 1, 0]);
  assert.deepEqual([20, 91, 92, 93].map(read), [0, 0, 0, 1]);
});
