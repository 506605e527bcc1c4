// Runs a rule natively, without WebAssembly, in an ordinary unit test. See README.md and test.d.ts.

import { messageOf } from "./failure.js";
import { find, parse } from "./json.js";
import { INSTANT_LIMIT } from "./output.js";
import { Runner } from "./runner.js";
import { decode } from "./utf8.js";

/** Where the timeline begins: 2026-01-01T00:00:00Z. */
export const START = 1_767_225_600_000;

/** As many timers a key may have come due before one entry: as in the host, by default. */
const MAX_TIMERS_AT_ONCE = 1_000;

export function event(type) {
  return new TestEvent(type);
}

class TestEvent {
  attributes;
  instant;
  payload = { tag: "absent" };

  constructor(type) {
    this.attributes = { type };
  }

  subject(subject) {
    return this.attribute("subject", subject);
  }

  attribute(name, value) {
    this.attributes[name] = value;
    return this;
  }

  time(instant) {
    this.instant = instant;
    return this;
  }

  data(data) {
    return this.json(JSON.stringify(data));
  }

  json(text) {
    this.payload = { tag: "json", val: text };
    return this;
  }

  binary(bytes) {
    this.payload = { tag: "binary", val: Uint8Array.from(bytes) };
    return this;
  }
}

/** What came of what a test did, in order. */
class Happened {
  moments = [];
  failures = [];

  get kinds() {
    return this.moments.map((moment) => moment.kind);
  }

  get actions() {
    return this.allActions.map((action) => action.name);
  }

  get allActions() {
    return this.moments.flatMap((moment) => moment.actions);
  }

  add(later) {
    this.moments.push(...later.moments);
    this.failures.push(...later.failures);
  }
}

export class RuleTest {
  #runner;
  #now = START;
  #states = new Map();
  /** By key and name, written as JSON. */
  #timers = new Map();

  constructor(rule, configuration = {}) {
    this.#runner = new Runner(rule, JSON.stringify(configuration));
  }

  get now() {
    return this.#now;
  }

  get keys() {
    return this.#states.size;
  }

  state(key) {
    const bytes = this.#states.get(key);
    const initial = parse(this.#runner.rule.initial);
    if (bytes === undefined) return initial;
    const state = parse(decode(bytes));
    return typeof initial === "object" && initial !== null && !Array.isArray(initial) ? { ...initial, ...state } : state;
  }

  timer(key, name) {
    return this.#timers.get(JSON.stringify([key, name]))?.due;
  }

  send(sent) {
    const time = sent.instant ?? this.#now;
    if (!Number.isInteger(time) || time < 0 || time >= INSTANT_LIMIT) {
      throw new Error(`the host refuses an event of time ${time}: it is no whole number from 0 to 2^53`);
    }
    this.#now = Math.max(this.#now, time);
    const happened = this.#fireDue(this.#now);
    const { subscriptions } = this.#runner.rule.about;
    let given = false;
    subscriptions.forEach((subscription, position) => {
      const key = takes(subscription, sent.attributes.type) ? keyOf(subscription, sent) : undefined;
      if (key === undefined) return;
      given = true;
      const attributes = subscription.attributes.map((name) => sent.attributes[name] ?? null);
      const val = { subscription: position, attributes, data: sent.payload };
      happened.add(this.#handle(key, time, { tag: "event", val }));
    });
    if (!given) {
      throw new Error(
        `no subscription takes this event, or it has not the key that the subscription names: ${JSON.stringify(sent.attributes)}`,
      );
    }
    happened.add(this.#fireDue(this.#now));
    return happened;
  }

  advance(milliseconds) {
    return this.advanceTo(this.#now + milliseconds);
  }

  advanceTo(instant) {
    const until = Math.min(instant, INSTANT_LIMIT - 1);
    const happened = new Happened();
    for (;;) {
      // The idle host appends a tick at each of these instants.
      const due = Math.min(...[...this.#timers.values()].map((timer) => timer.due));
      if (!(due <= until)) break;
      this.#now = Math.max(this.#now, due);
      happened.add(this.#fireDue(this.#now));
    }
    this.#now = Math.max(this.#now, until);
    return happened;
  }

  answer(action, status, answer) {
    if (action.reference === undefined) {
      throw new Error(`action \`${action.name}\` has no reference: no outcome of it is wanted`);
    }
    const val = {
      action: action.name,
      reference: action.reference,
      status,
      answer: answer === undefined ? { tag: "absent" } : { tag: "json", val: JSON.stringify(answer) },
      detail: "",
    };
    const happened = this.#fireDue(this.#now);
    happened.add(this.#handle(action.key, this.#now, { tag: "outcome", val }));
    happened.add(this.#fireDue(this.#now));
    return happened;
  }

  /** Gives the rule all timers due by an instant. */
  #fireDue(until) {
    const happened = new Happened();
    const fired = new Map();
    for (;;) {
      const next = [...this.#timers.values()].filter((timer) => timer.due <= until).sort(inOrder)[0];
      if (next === undefined) return happened;
      const { key, name, due } = next;
      this.#timers.delete(JSON.stringify([key, name]));
      const count = (fired.get(key) ?? 0) + 1;
      fired.set(key, count);
      if (count > MAX_TIMERS_AT_ONCE) {
        throw new Error(
          `more than ${MAX_TIMERS_AT_ONCE} timers of key \`${key}\` came due at once, at last \`${name}\`: to repeat, count from \`now\`, not from the timer's time`,
        );
      }
      happened.add(this.#handle(key, due, { tag: "timer", val: { name } }));
    }
  }

  #handle(key, time, payload) {
    const batch = {
      keys: [{ name: key, state: this.#states.get(key) ?? null }],
      inputs: [{ key: 0, time, now: this.#now, payload }],
    };
    let effects;
    try {
      effects = this.#runner.handle(batch);
    } catch (error) {
      // Alone in its batch: set aside.
      const happened = new Happened();
      happened.failures.push(messageOf(error));
      return happened;
    }
    return this.#apply(key, time, payload.tag === "timer", effects);
  }

  #apply(key, time, isTimer, effects) {
    for (const { state } of effects.states) {
      if (state === undefined) this.#states.delete(key);
      else this.#states.set(key, state);
    }
    for (const { name, at } of effects.timers) {
      const id = JSON.stringify([key, name]);
      // One set by a timer is due at least 1 ms after that one.
      if (at === undefined) this.#timers.delete(id);
      else this.#timers.set(id, { key, name, due: isTimer ? Math.max(at, time + 1) : at });
    }
    const { moments, actions } = this.#runner.rule.about;
    const happened = new Happened();
    for (const moment of effects.moments) {
      if (!moments.includes(moment.kind)) {
        throw new Error(`moment \`${moment.kind}\` is not declared: add \`.moment("${moment.kind}")\``);
      }
      for (const { name } of moment.actions) {
        if (!actions.includes(name)) throw new Error(`action \`${name}\` is not declared: add \`.action("${name}")\``);
      }
      happened.moments.push({
        key,
        kind: moment.kind,
        why: moment.why,
        subject: moment.subject,
        data: moment.data === undefined ? null : parse(moment.data),
        time,
        expires: moment.expires,
        actions: moment.actions.map(({ name, reference, data }) => ({ key, name, reference, data: parse(data) })),
      });
    }
    happened.failures.push(...effects.failures.map((failure) => failure.message));
    return happened;
  }
}

/** The host's order: by instant, then by name. */
function inOrder(a, b) {
  return a.due - b.due || compare(a.name, b.name) || compare(a.key, b.key);
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function takes({ eventType }, type) {
  return eventType.endsWith("*") ? type.startsWith(eventType.slice(0, -1)) : type === eventType;
}

function keyOf({ keyedBy }, sent) {
  switch (keyedBy.tag) {
    case "attribute":
      return sent.attributes[keyedBy.val];
    case "data":
      try {
        return keyIn(sent.payload.tag === "json" ? find(parse(sent.payload.val), keyedBy.val) : undefined);
      } catch {
        return undefined;
      }
    default:
      return "";
  }
}

/** A string, or a whole number's digits. */
function keyIn(value) {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return value.toString();
  return Number.isInteger(value) ? BigInt(value).toString() : undefined;
}
