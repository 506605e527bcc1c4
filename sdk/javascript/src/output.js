// What should follow.

import { Failure } from "./failure.js";
import { write } from "./json.js";
import { wellFormed } from "./utf8.js";

/** Instants stay below 2^53. */
export const INSTANT_LIMIT = 2 ** 53;

/** What comes of a batch, and where the current input's part of it begins. */
export class Effects {
  states = [];
  timers = [];
  moments = [];
  failures = [];
  #mark;

  begin() {
    this.#mark = [this.timers.length, this.moments.length, this.failures.length];
  }

  /** Undoes what the input gave, and sets it aside. */
  undo(input, message) {
    [this.timers.length, this.moments.length, this.failures.length] = this.#mark;
    this.failures.push({ input, message: wellFormed(message) });
  }
}

export class Output {
  #effects;
  #cause;
  #now;
  #next;

  constructor(effects, cause, now) {
    this.#effects = effects;
    this.#cause = cause;
    this.#now = now;
  }

  moment(kind) {
    const moment = {
      cause: this.#cause,
      kind: string(kind, "the kind of a moment"),
      why: "",
      subject: undefined,
      data: undefined,
      expires: undefined,
      actions: [],
    };
    this.#effects.moments.push(moment);
    return new Moment(moment, this.#now);
  }

  timer(name, at) {
    this.#effects.timers.push({ cause: this.#cause, name: string(name, "the name of a timer"), at: instant(at, `timer \`${name}\``) });
    return this;
  }

  timerIn(name, milliseconds) {
    return this.timer(name, this.#now + duration(milliseconds, `timer \`${name}\``));
  }

  cancel(name) {
    this.#effects.timers.push({ cause: this.#cause, name: string(name, "the name of a timer"), at: undefined });
    return this;
  }

  fail(message) {
    this.#effects.failures.push({ input: this.#cause, message: wellFormed(String(message)) });
    return this;
  }

  remember(state) {
    this.#next = this.#next?.forget ? this.#next : { state };
    return this;
  }

  forget() {
    this.#next = { forget: true };
    return this;
  }

  /** What `remember` and `forget` were told, for the runner. */
  static next(output) {
    return output.#next;
  }
}

class Moment {
  #moment;
  #now;

  constructor(moment, now) {
    this.#moment = moment;
    this.#now = now;
  }

  why(why) {
    this.#moment.why = string(why, `\`why\` of moment \`${this.#moment.kind}\``);
    return this;
  }

  subject(subject) {
    this.#moment.subject = string(subject, `the subject of moment \`${this.#moment.kind}\``);
    return this;
  }

  data(data) {
    this.#moment.data = write(data, `data of moment \`${this.#moment.kind}\``);
    return this;
  }

  expiresAt(at) {
    this.#moment.expires = instant(at, `the expiry of moment \`${this.#moment.kind}\``);
    return this;
  }

  expiresIn(milliseconds) {
    return this.expiresAt(this.#now + duration(milliseconds, `the expiry of moment \`${this.#moment.kind}\``));
  }

  action(name, data = {}, { reference } = {}) {
    this.#moment.actions.push({
      name: string(name, `the name of an action of moment \`${this.#moment.kind}\``),
      reference: reference === undefined || reference === null ? undefined : string(reference, `the reference of action \`${name}\``),
      data: write(data, `${name} of moment \`${this.#moment.kind}\``),
    });
    return this;
  }
}

function string(value, what) {
  if (typeof value !== "string") throw new Failure(`${what} is ${value === null ? "null" : `a ${typeof value}`}: it must be a string`);
  return wellFormed(value);
}

/** Added to an instant, `true` would be a millisecond, `null` none, and "1" one more digit. */
function duration(value, what) {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new Failure(`${what} is to be in ${String(value)}: it must be a number of milliseconds`);
  }
  return value;
}

function instant(value, what) {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new Failure(`${what} is ${String(value)}: it must be an instant, in milliseconds since 1970`);
  }
  return Math.min(Math.max(Math.floor(value), 0), INSTANT_LIMIT - 1);
}
