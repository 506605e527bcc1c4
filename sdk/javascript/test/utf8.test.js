import assert from "node:assert/strict";
import test from "node:test";
import { decode, decodeByHand, encode, encodeByHand, wellFormed } from "../src/utf8.js";

const TEXTS = ["", "a", "\0", "äöü", "€", "😀", "\u{10ffff}", "\ufeffx", "\ufffd", "\ud800", "a\udc00b", "\udc00\ud800", "\ud83d😀", "x".repeat(10_000) + "ä"];

test("by hand it is as the platform does it, for all of Unicode", () => {
  const all = [];
  for (let point = 0; point < 0x110000; point += point < 0x3000 ? 1 : 251) all.push(String.fromCodePoint(point));
  for (const text of [...TEXTS, all.join("")]) {
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(encodeByHand(text), bytes);
    assert.deepEqual(encode(text), bytes);
    assert.equal(decodeByHand(bytes), wellFormed(text));
    assert.equal(decode(bytes), wellFormed(text));
  }
});

test("bytes that are not UTF-8 are refused", () => {
  for (const bytes of [[0x80], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff], [0x41, 0xe2, 0x82]]) {
    assert.throws(() => decodeByHand(Uint8Array.from(bytes)), TypeError, String(bytes));
    assert.throws(() => decode(Uint8Array.from(bytes)), TypeError, String(bytes));
  }
});
