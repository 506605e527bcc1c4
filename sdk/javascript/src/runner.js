// Runs a rule over a batch: the same code under the host and in a native test.

import { Event, Outcome, Timer } from "./event.js";
import { configurationOf } from "./fields.js";
import { Failure, isExpected, messageOf, stackOf } from "./failure.js";
import { equal, isObject, parse, write } from "./json.js";
import { log } from "./log.js";
import { Effects, Output } from "./output.js";
import { pure } from "./pure.js";
import { decode, encode } from "./utf8.js";

export class Runner {
  #rule;
  #configuration;

  /** Loads a rule with an operator's configuration, a JSON text. A Failure says what is wrong with that. */
  constructor(rule, configuration) {
    this.#rule = rule;
    try {
      this.#configuration = configurationOf(rule.fields, configuration, parse);
      pure(() => rule.check?.call(this.#configuration));
    } catch (error) {
      throw new Failure(`configuration: ${messageOf(error)}`);
    }
  }

  get rule() {
    return this.#rule;
  }

  handle(batch) {
    const keys = batch.keys.map((keyed) => new Key(keyed));
    const effects = new Effects();
    pure(() => {
      for (let cause = 0; cause < batch.inputs.length; cause += 1) {
        const input = batch.inputs[cause];
        const key = keys[input.key];
        if (key === undefined) throw new Failure(`input ${cause} is about key ${input.key}, which the batch lacks`);
        effects.begin();
        try {
          this.#handle(key, input, new Output(effects, cause, input.now));
        } catch (error) {
          effects.undo(cause, messageOf(error));
          if (error instanceof Error && !isExpected(error)) log.error(`${messageOf(error)}, in ${stackOf(error)}`);
        }
      }
    });
    keys.forEach((key, position) => {
      const change = key.change();
      if (change !== undefined) effects.states.push({ key: position, state: change.state });
    });
    const { states, timers, moments, failures } = effects;
    return { states, timers, moments, failures };
  }

  /** Brings a state of an earlier version along, as bytes; null: it is forgotten, or today's initial one. */
  migrate(fromVersion, key, bytes) {
    if (this.#rule.migrate === undefined) {
      throw new Failure(`this version of the rule cannot read states of version ${fromVersion}`);
    }
    let state;
    try {
      state = parse(decode(bytes));
    } catch {
      // Whatever it was, its version knows.
    }
    const migrated = pure(() => this.#rule.migrate.call(this.#configuration, fromVersion, key, state, bytes));
    if (migrated === undefined || migrated === null) return null;
    const text = write(migrated, "the migrated state");
    return equal(migrated, this.#rule.initialState) ? null : encode(text);
  }

  /** The state counts only if the input succeeds: one that fails leaves it as it was. */
  #handle(key, input, out) {
    const { payload, time, now } = input;
    const state = this.#read(key);
    const rule = this.#rule;
    switch (payload.tag) {
      case "event": {
        const { subscriptions } = rule.about;
        if (subscriptions[payload.val.subscription] === undefined) {
          throw new Failure(`the rule has no subscription ${payload.val.subscription}`);
        }
        none(rule.onEvent?.call(this.#configuration, new Event(key.name, time, now, payload.val, subscriptions), state, out), "onEvent");
        break;
      }
      case "timer":
        none(rule.onTimer?.call(this.#configuration, new Timer(key.name, time, now, payload.val), state, out), "onTimer");
        break;
      default:
        none(rule.onOutcome?.call(this.#configuration, new Outcome(key.name, time, now, payload.val), state, out), "onOutcome");
    }
    const next = Output.next(out);
    if (next?.forget) {
      key.text = null;
      return;
    }
    const after = next === undefined ? state : next.state;
    const text = write(after, `the state of key \`${key.name}\``);
    // What was kept is not the initial state.
    if (text === key.text) return;
    const { initial, initialState } = rule;
    // Of another length, it says something else.
    const isInitial = text === initial || (text.length === initial.length && equal(after, initialState));
    key.text = isInitial ? null : text;
  }

  /** A copy of its own, as it is kept: what an input sees must not depend on how inputs are cut into batches. */
  #read(key) {
    const { initial, initialState } = this.#rule;
    try {
      if (key.text === undefined) key.read();
      if (key.text === null) return parse(initial);
      const state = parse(key.text);
      if (initialState !== null && kindOf(state) !== kindOf(initialState)) {
        throw new TypeError(`it is ${kindOf(state)}, where ${kindOf(initialState)} should be`);
      }
      if (!isObject(initialState)) return state;
      // What a later version of the rule added is as in its initial state.
      for (const name in initialState) {
        if (!Object.hasOwn(state, name)) return { ...parse(initial), ...state };
      }
      return state;
    } catch (error) {
      key.text = undefined;
      throw new Failure(
        `the state of key \`${key.name}\` cannot be read: ${error.message} (if its format changed, let \`stateVersion\` grow and migrate it)`,
      );
    }
  }
}

/** A key of the batch. Its state is read when the first of its inputs is handled, and encoded once, at the end. */
class Key {
  constructor({ name, state }) {
    this.name = name;
    this.before = state ?? null;
    /** undefined: not read; null: there is none. */
    this.text = undefined;
    this.textBefore = undefined;
  }

  read() {
    this.textBefore = this.before === null ? null : decode(this.before);
    this.text = this.textBefore;
  }

  change() {
    if (this.text === undefined || this.text === this.textBefore) return undefined;
    return { state: this.text === null ? undefined : encode(this.text) };
  }
}

function none(returned, method) {
  if (typeof returned?.then === "function") {
    throw new Failure(`\`${method}\` must not be async: a rule has nothing to wait for`);
  }
}

function kindOf(value) {
  if (Array.isArray(value)) return "a list";
  return isObject(value) ? "an object" : typeof value === "bigint" ? "a number" : value === null ? "null" : `a ${typeof value}`;
}
