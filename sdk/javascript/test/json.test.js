import assert from "node:assert/strict";
import test from "node:test";
import { equal, find, parse, short, write } from "../src/json.js";

test("what comes goes again, whatever numbers it has", () => {
  for (const text of [
    "null", "0", "-0.0", "1.5", "1e+300", '""', "[]", "{}", "9007199254740991", "9007199254740993", "-9223372036854775808",
    "18446744073709551615", '{"a":[1,{"b":12345678901234567890}],"c":"12345678901234567890"}', '{"__proto__":1}',
    '"\\\\ud800"', '"äöü €😀\\u0000"', '["carpe","12345678901234567"]', '[["carpe","1"],12345678901234567891]',
  ]) {
    assert.equal(write(parse(text), "it"), text);
  }
  assert.deepEqual(parse("[9007199254740993,-0,5]"), [9007199254740993n, -0, 5]);
});

test("what JSON does not allow stays an error beside big numbers", () => {
  for (const text of ["", "{", "[12345678901234567,]", "[012345678901234567]", "{12345678901234567:1}", "[-]", "12345678901234567x"]) {
    assert.throws(() => parse(text), SyntaxError, text);
  }
});

test("what is nested too deep is refused before the engine's stack ends", () => {
  const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);
  assert.equal(write(parse(nested(127)), "it"), nested(127));
  for (const text of [nested(128), nested(100_000), '{"a":'.repeat(128) + "1" + "}".repeat(128), "[[],".repeat(5000)]) {
    assert.throws(() => parse(text), /nested more than 127 deep/);
  }
  const brackets = JSON.stringify(["[{".repeat(5000), '"\\[['.repeat(500)]);
  assert.equal(write(parse(brackets), "it"), brackets);
  assert.equal(parse(JSON.stringify(Array(1000).fill([]))).length, 1000);
});

test("halves of surrogate pairs become U+FFFD, and nothing else does", () => {
  assert.equal(write("a\ud800b\udc00", "it"), '"a\ufffdb\ufffd"');
  assert.equal(write({ "\udfff": "\\ud800" }, "it"), '{"\ufffd":"\\\\ud800"}');
  assert.equal(write("\\\ud800\n😀", "it"), '"\\\\\ufffd\\n😀"');
});

test("what cannot be written is named, with its place", () => {
  const error = (value) => {
    try {
      return write(value, "the state");
    } catch (thrown) {
      return thrown.message;
    }
  };
  assert.equal(error({ a: [1, NaN] }), "the state cannot be written as JSON: `/a/1` is NaN, which JSON has no number for");
  assert.equal(error(Infinity), "the state cannot be written as JSON: it is Infinity, which JSON has no number for");
  assert.match(error({ a: new Map() }), /`\/a` is a Map: only plain objects/);
  assert.match(error({ a: new (class Dog {})() }), /is a Dog/);
  assert.match(error([undefined]), /`\/0` is undefined/);
  assert.match(error({ a() {} }), /`\/a` is a function/);
  assert.match(error([1, , 2]), /is undefined/);
  const loop = {};
  loop.loop = loop;
  assert.match(error(loop), /does it hold itself/);
  assert.equal(error({ a: undefined, b: 1 }), '{"b":1}');
  assert.equal(error(Object.assign(Object.create(null), { a: 1 })), '{"a":1}');
});

test("a pointer finds what RFC 6901 says", () => {
  const value = JSON.parse('{"a":{"b":[1,{"c":"x"},3.5]},"a/b":2,"~":null,"":0,"t":true,"__proto__":7}');
  const found = { "": value, "/a": value.a, "/a/b/0": 1, "/a/b/1/c": "x", "/a/b/01": undefined, "/a/b/-": undefined, "/a~1b": 2,
    "/~0": null, "/": 0, "/t/x": undefined, a: undefined, "/zz": undefined, "/toString": undefined, "/__proto__": 7, "/a/b/length": undefined };
  for (const [pointer, expected] of Object.entries(found)) assert.deepEqual(find(value, pointer), expected, pointer);
});

test("the order of members does not matter, the order of a list does", () => {
  assert.ok(equal({ a: 1, b: [1, 2] }, { b: [1, 2], a: 1 }));
  assert.ok(!equal({ a: 1, b: [1, 2] }, { a: 1, b: [2, 1] }));
  assert.ok(!equal({ a: 1 }, { b: 1 }) && !equal({ a: 0 }, { a: -0 }) && !equal([], {}) && !equal(null, {}) && !equal(5n, 5));
});

test("messages show the beginning only", () => {
  assert.equal(short("x".repeat(500)).length, 40);
  assert.equal(short(NaN), "NaN");
  assert.equal(short({ a: 1n }), '{"a":1}');
});
