// JSON that loses nothing: as `JSON`, but whole numbers beyond 2^53 come and go as BigInt, negative zero stays, and
// what JSON cannot hold is an error that says where.

import { Failure } from "./failure.js";

const MAX = (1n << 64n) - 1n;
const MIN = -(1n << 63n);

/** Reads a JSON text. A SyntaxError if it is none. */
export function parse(text) {
  requireShallow(text);
  const value = JSON.parse(text);
  return holdsInexact(value) ? parseExact(text) : value;
}

/**
 * Writes a value as JSON, without spaces. Halves of surrogate pairs, which other languages' strings cannot hold, become
 * U+FFFD. A Failure names what cannot be written, and where it stands.
 */
export function write(value, whose) {
  const kind = kindOf(value, 0);
  if (kind >= UNWRITABLE) throw new Failure(`${whose} cannot be written as JSON: ${faultIn(value, "", 0)}`);
  const text = kind === USUAL ? JSON.stringify(value) : writeExact(value);
  return text.includes("\\ud") ? withoutHalves(text) : text;
}

/** Whether two JSON values are the same, in whatever order members stand. */
export function equal(a, b) {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name]));
}

/** What stands at a JSON Pointer (RFC 6901); undefined: nothing. */
export function find(value, pointer) {
  if (pointer === "") return value;
  if (pointer[0] !== "/") return undefined;
  let at = value;
  for (const part of pointer.slice(1).split("/")) {
    if (typeof at !== "object" || at === null) return undefined;
    const name = part.includes("~") ? part.replaceAll("~1", "/").replaceAll("~0", "~") : part;
    if (Array.isArray(at)) {
      at = /^(0|[1-9]\d*)$/.test(name) ? at[Number(name)] : undefined;
    } else {
      at = Object.hasOwn(at, name) ? at[name] : undefined;
    }
  }
  return at;
}

/** The beginning of a value as JSON, for messages. */
export function short(value) {
  let text;
  try {
    text = write(value, "");
  } catch {
    text = String(value);
  }
  return [...text.slice(0, 100)].slice(0, 40).join("");
}

/** Whether a value is a plain object, as a parsed `{}` is. */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function holdsInexact(value) {
  if (typeof value === "number") return !Number.isSafeInteger(value) && Number.isInteger(value) && Math.abs(value) < 2 ** 65;
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) {
    for (const element of value) {
      if (typeof element === "string") continue;
      if (holdsInexact(element)) return true;
    }
    return false;
  }
  for (const name in value) {
    const member = value[name];
    if (typeof member !== "string" && holdsInexact(member)) return true;
  }
  return false;
}

function parseExact(text) {
  // Each whole number that a double cannot hold becomes a list of a mark and its digits, which the reviver knows again.
  let mark = "carpe";
  while (text.includes(mark)) mark += "-";
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) => {
    if (token.length < 16 || !/^-?[1-9]\d*$/.test(token) || Number.isSafeInteger(Number(token))) return token;
    const exact = BigInt(token);
    return exact > MAX || exact < MIN ? token : `["${mark}","${token}"]`;
  });
  return JSON.parse(marked, (_, value) =>
    Array.isArray(value) && value.length === 2 && value[0] === mark ? BigInt(value[1]) : value,
  );
}

/** QuickJS's own parser would run out of stack, and take the instance with it. */
function requireShallow(text) {
  // Each level has two characters; and most texts have few levels at all.
  if (text.length <= 2 * DEEPEST || text.split("[").length + text.split("{").length - 2 <= DEEPEST) return;
  let depth = 0;
  for (const [token] of text.matchAll(/[[\]{}]|"(?:[^"\\]|\\.)*"?/g)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    if (depth > DEEPEST) throw new SyntaxError(`it is nested more than ${DEEPEST} deep`);
  }
}

/** As deep as serde_json reads. */
const DEEPEST = 127;

/** `JSON.stringify` does for it. */
const USUAL = 0;
const UNUSUAL = 1;
const UNWRITABLE = 2;

/** What a value takes to be written. It is asked of every state, so it is quick. */
function kindOf(value, depth) {
  switch (typeof value) {
    case "string":
    case "boolean":
      return USUAL;
    case "number":
      if (value === 0) return Object.is(value, -0) ? UNUSUAL : USUAL;
      // NaN where it is not finite.
      return value - value === 0 ? USUAL : UNWRITABLE;
    case "bigint":
      return UNUSUAL;
    case "object":
      break;
    default:
      return UNWRITABLE;
  }
  if (value === null) return USUAL;
  if (depth >= DEEPEST) return UNWRITABLE;
  let kind = USUAL;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) kind |= kindOf(value[index], depth + 1);
    return kind;
  }
  if (!isPlain(value)) return UNWRITABLE;
  for (const name in value) {
    const member = value[name];
    // A member that is not there is written by nobody.
    if (typeof member !== "string" && member !== undefined) kind |= kindOf(member, depth + 1);
  }
  return kind;
}

/** What of a value cannot be written, and why. */
function faultIn(value, path, depth) {
  const it = path === "" ? "it" : `\`${path}\``;
  if (typeof value === "number") return `${it} is ${value}, which JSON has no number for`;
  if (typeof value !== "object") return `${it} is ${value === undefined ? "undefined" : `a ${typeof value}`}`;
  if (depth >= DEEPEST) return `it is nested more than ${DEEPEST} deep (does it hold itself?)`;
  if (!Array.isArray(value) && !isPlain(value)) {
    return `${it} is a ${value.constructor?.name ?? "thing"}: only plain objects and lists can be kept`;
  }
  const isMember = (member) => Array.isArray(value) || member !== undefined;
  const [name, member] = Object.entries(value).find(([, member]) => isMember(member) && kindOf(member, depth + 1) >= UNWRITABLE) ?? [
    // `entries` leaves out the holes of a list.
    "?",
    undefined,
  ];
  return faultIn(member, `${path}/${name}`, depth + 1);
}

/** Whether it is as a parsed `{}`: of no class. The prototype of all has none itself. */
function isPlain(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

function writeExact(value) {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return Object.is(value, -0) ? "-0.0" : JSON.stringify(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(writeExact).join(",")}]`;
  const members = [];
  for (const name of Object.keys(value)) {
    if (value[name] !== undefined) members.push(`${JSON.stringify(name)}:${writeExact(value[name])}`);
  }
  return `{${members.join(",")}}`;
}

function withoutHalves(text) {
  // JSON.stringify escapes halves, and nothing else as \ud...; a backslash of the text's own is escaped itself.
  return text.replace(/\\(ud[89a-f][0-9a-f]{2}|[^u]|u....)/g, (all, escape) => (/^ud[89a-f]/.test(escape) ? "\ufffd" : all));
}
