// What a rule is given: events, timers and outcomes.

import { Failure } from "./failure.js";
import { takeFields } from "./fields.js";
import { find, parse, short } from "./json.js";

class Input {
  constructor(key, time, now) {
    this.key = key;
    this.time = time;
    this.now = now;
  }
}

export class Event extends Input {
  #subscriptions;
  #attributes;
  #data;
  #value;

  constructor(key, time, now, event, subscriptions) {
    super(key, time, now);
    this.subscription = event.subscription;
    this.#subscriptions = subscriptions;
    this.#attributes = event.attributes;
    this.#data = event.data;
  }

  get type() {
    const { eventType, attributes } = this.#subscriptions[this.subscription];
    // A pattern asks for the attribute.
    return this.#attributes[attributes.indexOf("type")] ?? eventType;
  }

  attribute(name, ...fallback) {
    const position = this.#subscriptions[this.subscription].attributes.indexOf(name);
    if (position < 0) {
      throw new Failure(`attribute \`${name}\` is not asked for: add \`.attribute("${name}")\` to the rule's description`);
    }
    const value = this.#attributes[position];
    if (value !== null && value !== undefined) return value;
    if (fallback.length > 0) return fallback[0];
    throw new Failure(`the event has no attribute \`${name}\``);
  }

  data(fields) {
    const value = this.#parsed();
    return fields === undefined ? value : checked(fields, value, "the event's data");
  }

  number(pointer, ...fallback) {
    return this.#at(pointer, fallback, "a number", (value) => {
      const number = typeof value === "bigint" ? Number(value) : value;
      return typeof number === "number" && Number.isFinite(number) ? number : undefined;
    });
  }

  integer(pointer, ...fallback) {
    return this.#at(pointer, fallback, "a whole number", (value) => (Number.isSafeInteger(value) ? value : undefined));
  }

  string(pointer, ...fallback) {
    return this.#at(pointer, fallback, "a string", (value) => (typeof value === "string" ? value : undefined));
  }

  bool(pointer, ...fallback) {
    return this.#at(pointer, fallback, "true or false", (value) => (typeof value === "boolean" ? value : undefined));
  }

  value(pointer) {
    return find(this.#parsed(), pointer) ?? null;
  }

  get binary() {
    return this.#data.tag === "binary" ? this.#data.val : null;
  }

  #at(pointer, fallback, wanted, take) {
    const value = find(this.#parsed(), pointer);
    if (fallback.length > 0 && (value === undefined || value === null)) return fallback[0];
    if (value === undefined) throw new Failure(`the event's data has nothing at \`${pointer}\`, where ${wanted} should be`);
    const taken = take(value);
    if (taken === undefined) {
      throw new Failure(`the event's data has ${short(value)} at \`${pointer}\`, where ${wanted} should be`);
    }
    return taken;
  }

  #parsed() {
    this.#value ??= { parsed: parseData(this.#data, "the event's data") };
    return this.#value.parsed;
  }
}

export class Timer extends Input {
  constructor(key, time, now, timer) {
    super(key, time, now);
    this.name = timer.name;
  }
}

export class Outcome extends Input {
  #answer;

  constructor(key, time, now, outcome) {
    super(key, time, now);
    this.action = outcome.action;
    this.reference = outcome.reference;
    this.status = outcome.status;
    this.detail = outcome.detail;
    this.#answer = outcome.answer;
  }

  answer(fields) {
    const value = parseData(this.#answer, "the answer");
    return fields === undefined ? value : checked(fields, value, "the answer");
  }
}

function parseData(data, whose) {
  if (data.tag === "absent") throw new Failure(`${whose} is absent`);
  if (data.tag === "binary") throw new Failure(`${whose} is not JSON`);
  try {
    return parse(data.val);
  } catch (error) {
    throw new Failure(`${whose} is not valid JSON: ${error.message}`);
  }
}

function checked(fields, value, whose) {
  try {
    return takeFields(fields, value, "", false);
  } catch (error) {
    throw error instanceof Failure ? new Failure(`${whose}: ${error.message}`) : error;
  }
}
