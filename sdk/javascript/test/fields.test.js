import assert from "node:assert/strict";
import test from "node:test";
import { any, bool, choice, integer, list, number, object, on, rule, string } from "../src/index.js";
import { descriptionOf } from "../src/rule.js";
import { RuleTest } from "../src/test.js";

const ruled = rule({
  about: on("a").named("ruled").version("1.2.3"),
  configuration: {
    greeting: string({ minLength: 1, description: "How to greet." }),
    limit: integer({ min: 0, default: 1000 }),
    ratio: number({ max: 1, default: 0.5 }),
    loud: bool({ default: false }),
    mode: choice(["day", "night"], { default: "day" }),
    names: list(string(), { default: [], maxLength: 2 }),
    place: object({ lat: number(), lon: number() }, { strict: true, default: null }),
    rest: any({ default: null }),
  },
  check() {
    if (this.greeting === "rude") throw new Error("`greeting` is rude");
  },
  onEvent() {},
});

function refusal(configuration) {
  try {
    new RuleTest(ruled, configuration);
    return undefined;
  } catch (error) {
    return error.message;
  }
}

test("what fits is taken", () => {
  for (const more of [{}, { limit: 0, ratio: -3, loud: true, mode: "night", names: ["a"], place: { lat: 1, lon: 2 }, rest: [] }, { place: null }]) {
    assert.equal(refusal({ greeting: "hi", ...more }), undefined);
  }
});

test("what does not fit is refused with the field's name", () => {
  const cases = [
    [{}, "missing field `greeting`, where a string that is not empty should be"],
    [{ greeting: "" }, '`greeting` is "": it must be a string that is not empty'],
    [{ greeting: null }, "`greeting` is null: it must be a string that is not empty"],
    [{ greeting: "hi", limits: 3 }, "unknown field `limits`, expected `greeting`, `limit`, `ratio`, `loud`, `mode`, `names`, `place`, `rest`"],
    [{ greeting: "hi", limit: "x" }, '`limit` is "x": it must be a whole number from 0 on'],
    [{ greeting: "hi", limit: 1.5 }, "`limit` is 1.5: it must be a whole number from 0 on"],
    [{ greeting: "hi", limit: -1 }, "`limit` is -1: it must be a whole number from 0 on"],
    [{ greeting: "hi", limit: null }, "`limit` is null: it must be a whole number from 0 on"],
    [{ greeting: "hi", ratio: 2 }, "`ratio` is 2: it must be a number up to 1"],
    [{ greeting: "hi", loud: 1 }, "`loud` is 1: it must be true or false"],
    [{ greeting: "hi", mode: "noon" }, '`mode` is "noon": it must be one of "day", "night"'],
    [{ greeting: "hi", names: ["a", 7] }, "`names/1` is 7: it must be a string"],
    [{ greeting: "hi", names: ["a", "b", "c"] }, "`names` has 3 elements: it may have 0 to 2"],
    [{ greeting: "hi", place: { lat: 1 } }, "missing field `place/lon`, where a number should be"],
    [{ greeting: "hi", place: { lat: 1, lon: 2, alt: 3 } }, "unknown field `place/alt`, expected `lat`, `lon`"],
    [{ greeting: "rude" }, "`greeting` is rude"],
    [[], "it is []: it must be an object"],
    ["x", 'it is "x": it must be an object'],
    [{ greeting: "hi", toString: 1 }, "unknown field `toString`, expected `greeting`, `limit`, `ratio`, `loud`, `mode`, `names`, `place`, `rest`"],
  ];
  for (const [configuration, message] of cases) assert.equal(refusal(configuration), `configuration: ${message}`);
});

test("the schema says the same", () => {
  const description = descriptionOf(ruled, { description: "It rules." });
  const settings = JSON.parse(description.settings);
  assert.deepEqual(settings.required, ["greeting"]);
  assert.equal(settings.additionalProperties, false);
  assert.deepEqual(settings.properties.limit, { type: "integer", minimum: 0, default: 1000 });
  assert.deepEqual(settings.properties.greeting, { type: "string", minLength: 1, description: "How to greet." });
  assert.equal(description.name, "ruled");
  assert.equal(description.version, "1.2.3");
  assert.equal(description.summary, "It rules.");
});

test("a wrong default is refused where it stands", () => {
  assert.throws(() => integer({ min: 1, default: 0 }), /the default is 0: it must be a whole number from 1 on/);
});
