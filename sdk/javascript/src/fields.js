// Types that are checked when a value comes from outside: of a configuration, or of an event's data.

import { Failure } from "./failure.js";
import { isObject, short } from "./json.js";

/** A type: what it is for people, how it is checked, and its JSON Schema. */
class Field {
  constructor(what, take, schema, fallback) {
    this.what = what;
    this.take = take;
    this.schema = schema;
    this.fallback = fallback;
    Object.freeze(this);
  }
}

export function number(options = {}) {
  const { min = -Infinity, max = Infinity } = options;
  const what = `a number${range(options)}`;
  return field(
    what,
    (value, where) => {
      const found = typeof value === "bigint" ? Number(value) : value;
      return typeof found === "number" && Number.isFinite(found) && found >= min && found <= max ? found : wrong(value, what, where);
    },
    { type: "number", ...bounds(options) },
    options,
  );
}

export function integer(options = {}) {
  const { min = -Number.MAX_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
  const what = `a whole number${range(options)}`;
  return field(
    what,
    (value, where) => (Number.isSafeInteger(value) && value >= min && value <= max ? value : wrong(value, what, where)),
    { type: "integer", ...bounds(options) },
    options,
  );
}

export function string(options = {}) {
  const { minLength = 0, maxLength = Infinity } = options;
  const lengths = [
    minLength > 1 ? `at least ${minLength}` : "",
    maxLength < Infinity ? `at most ${maxLength}` : "",
  ].filter(Boolean);
  const what = `a string${minLength === 1 ? " that is not empty" : ""}${lengths.length > 0 ? ` of ${lengths.join(" and ")} characters` : ""}`;
  return field(
    what,
    (value, where) => {
      // A surrogate pair is one character.
      const length = typeof value === "string" ? [...value].length : -1;
      return length >= minLength && length <= maxLength ? value : wrong(value, what, where);
    },
    { type: "string", ...(minLength > 0 && { minLength }), ...(maxLength < Infinity && { maxLength }) },
    options,
  );
}

export function bool(options = {}) {
  const what = "true or false";
  return field(what, (value, where) => (typeof value === "boolean" ? value : wrong(value, what, where)), { type: "boolean" }, options);
}

export function choice(values, options = {}) {
  const what = `one of ${values.map((value) => `"${value}"`).join(", ")}`;
  return field(what, (value, where) => (values.includes(value) ? value : wrong(value, what, where)), { enum: [...values] }, options);
}

export function list(of, options = {}) {
  const { minLength = 0, maxLength = Infinity } = options;
  const what = "a list";
  return field(
    what,
    (value, where) => {
      if (!Array.isArray(value)) wrong(value, what, where);
      if (value.length < minLength || value.length > maxLength) {
        throw new Failure(`${where} has ${value.length} elements: it may have ${minLength} to ${maxLength}`);
      }
      return value.map((element, index) => of.take(element, inside(where, index)));
    },
    { type: "array", items: of.schema, ...(minLength > 0 && { minItems: minLength }), ...(maxLength < Infinity && { maxItems: maxLength }) },
    options,
  );
}

export function object(fields, options = {}) {
  const { strict = false } = options;
  return field("an object", (value, where) => takeFields(fields, value, where, strict), schemaOf(fields, strict), options);
}

export function any(options = {}) {
  return field("any value", (value) => value, {}, options);
}

/** Checks what an operator configured. */
export function configurationOf(fields, text, parse) {
  let value;
  try {
    value = parse(text);
  } catch (error) {
    throw new Failure(`it is not valid JSON: ${error.message}`);
  }
  return Object.freeze(takeFields(fields, value, "", true));
}

/** Checks an object's members. `strict`: those that no field names are refused. */
export function takeFields(fields, value, where, strict) {
  if (!isObject(value)) wrong(value, "an object", where || "it");
  if (strict) {
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name)) {
        const known = Object.keys(fields).map((field) => `\`${field}\``);
        const expected = known.length === 0 ? "there are no fields" : `expected ${known.join(", ")}`;
        throw new Failure(`unknown field ${inside(where, name)}, ${expected}`);
      }
    }
  }
  const taken = {};
  for (const [name, field] of Object.entries(fields)) {
    if (Object.hasOwn(value, name)) {
      taken[name] = field.take(value[name], inside(where, name));
    } else if (field.fallback !== undefined) {
      taken[name] = field.fallback.value;
    } else {
      throw new Failure(`missing field ${inside(where, name)}, where ${field.what} should be`);
    }
  }
  return taken;
}

/** The JSON Schema of an object with these fields. */
export function schemaOf(fields, strict) {
  const entries = Object.entries(fields);
  const required = entries.filter(([, field]) => field.fallback === undefined).map(([name]) => name);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([name, field]) => [name, field.schema])),
    ...(required.length > 0 && { required }),
    ...(strict && { additionalProperties: false }),
  };
}

function field(what, take, schema, options) {
  const described = options.description === undefined ? schema : { ...schema, description: options.description };
  if (!Object.hasOwn(options, "default")) return new Field(what, take, described, undefined);
  const fallback = { value: options.default };
  // A default of null says that there need be none.
  const checked = fallback.value === null ? (value, where) => (value === null ? null : take(value, where)) : take;
  if (fallback.value !== null && fallback.value !== undefined) take(fallback.value, "the default");
  const whole = fallback.value === undefined || fallback.value === null ? described : { ...described, default: fallback.value };
  return new Field(what, checked, whole, fallback);
}

function wrong(value, what, where) {
  throw new Failure(`${where} is ${short(value)}: it must be ${what}`);
}

function inside(where, name) {
  return where === "" ? `\`${name}\`` : `${where.slice(0, -1)}/${name}\``;
}

function range({ min, max }) {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` from ${min} on`;
  return max === undefined ? "" : ` up to ${max}`;
}

function bounds({ min, max }) {
  return { ...(min !== undefined && { minimum: min }), ...(max !== undefined && { maximum: max }) };
}
