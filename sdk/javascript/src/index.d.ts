/**
 * Write rules for Carpe in JavaScript or TypeScript.
 *
 * Four ideas are all there is to know:
 * - a {@link rule} is a pure function, with the operator's configuration as its `this`;
 * - an {@link Event} is what happened, about one key, e.g. one machine;
 * - the state is what the rule remembers of that key: a plain JSON value;
 * - an {@link Output} takes what should follow: moments with actions, and timers.
 *
 * A rule has no clock, no chance, no files, no network and no memory of its own: it depends on its configuration, the
 * input and the key's state alone, so that every decision can be computed again. `Date.now()`, `new Date()` and
 * `Math.random()` throw. What a module keeps in a variable of its own from one call to the next breaks this promise.
 *
 * What is thrown sets one input aside: what that input had changed is undone, and it goes to the dead letters with the
 * message. The others count.
 */

/** Milliseconds since the Unix epoch, a whole number below {@link INSTANT_LIMIT}. */
export type Instant = number;

/** Instants stay below 2^53. */
export const INSTANT_LIMIT: number;

/** What became of an action. */
export type Status =
  /** The other side took it. */
  | "delivered"
  /** The other side refused it for good. */
  | "rejected"
  /** It never went out: a guardrail of the operator's stopped it, or no route takes it. */
  | "withheld"
  /** The host gave up, or the moment expired after a try whose result is not known: it may or may not have been taken. */
  | "failed"
  /** The moment expired before the first try: it was not taken. */
  | "expired";

/**
 * Why an input makes no sense to a rule, in words for the operator who finds it among the dead letters. A plain `Error`
 * does the same. Other errors, such as a TypeError, are taken for mistakes in the rule: their messages begin with their
 * name and end with the place in the source, and their stacks go to the log.
 */
export class Failure extends Error {}

// Types of what comes from outside.

/** A type that is checked when a value comes from outside. */
export interface Field<T> {
  /** What it is, for people. */
  readonly what: string;
  /** The value, if it is of this type. Throws a {@link Failure} that names `where`. */
  take(value: unknown, where: string): T;
  /** Its JSON Schema. */
  readonly schema: object;
}

/** An object's fields by their names. */
export type Fields = { readonly [name: string]: Field<any> };

/** What an object with such fields holds: `type Settings = Values<typeof fields>`. */
export type Values<F extends Fields> = { readonly [N in keyof F]: F[N] extends Field<infer T> ? T : never };

/** What every field may have. */
export interface FieldOptions<T> {
  /** The value where there is none. `null`: there need be none, and null is taken too. Without a default, there must be one. */
  default?: T;
  /** One line for people: it stands in the JSON Schema. */
  description?: string;
}

/** Bounds of a number, both included. */
export interface Bounds {
  min?: number;
  max?: number;
}

/** Bounds of a length, both included. */
export interface Lengths {
  minLength?: number;
  maxLength?: number;
}

/** A number, always finite. Put the unit into the field's name: `max_celsius`. */
export function number(options: Bounds & FieldOptions<null> & { default: null }): Field<number | null>;
export function number(options?: Bounds & FieldOptions<number>): Field<number>;
/** A whole number that JavaScript holds exactly: up to 2^53. */
export function integer(options: Bounds & FieldOptions<null> & { default: null }): Field<number | null>;
export function integer(options?: Bounds & FieldOptions<number>): Field<number>;
/** A string. Lengths are in characters. */
export function string(options: Lengths & FieldOptions<null> & { default: null }): Field<string | null>;
export function string(options?: Lengths & FieldOptions<string>): Field<string>;
/** A truth value. */
export function bool(options: FieldOptions<null> & { default: null }): Field<boolean | null>;
export function bool(options?: FieldOptions<boolean>): Field<boolean>;
/** One of some strings. */
export function choice<const V extends readonly string[]>(values: V, options: FieldOptions<null> & { default: null }): Field<V[number] | null>;
export function choice<const V extends readonly string[]>(values: V, options?: FieldOptions<V[number]>): Field<V[number]>;
/** A list. */
export function list<T>(of: Field<T>, options: Lengths & FieldOptions<null> & { default: null }): Field<T[] | null>;
export function list<T>(of: Field<T>, options?: Lengths & FieldOptions<T[]>): Field<T[]>;
/** An object. `strict`: members that no field names are refused. */
export function object<F extends Fields>(
  fields: F,
  options: FieldOptions<null> & { default: null; strict?: boolean },
): Field<Values<F> | null>;
export function object<F extends Fields>(fields: F, options?: FieldOptions<Values<F>> & { strict?: boolean }): Field<Values<F>>;
/** Whatever it is. */
export function any(options?: FieldOptions<any>): Field<any>;

// What a rule is.

/**
 * What a rule is given and what it may give. What is said of a subscription (its key, filter and attributes) is said of
 * the latest `on` before it. Name, version and summary are the package's unless said otherwise.
 *
 * ```ts
 * on("order.*").keyedByData("/order/id").attribute("source")
 *   .on("payment.received").keyedByAttribute("orderid").filter("amount > 0")
 *   .moment("order.unpaid")
 *   .action("notify.customer").action("order.cancel")
 * ```
 */
export interface About {
  /** It is given events of this type too. */
  on(eventType: string): this;
  /** Such events are about what a CloudEvents attribute says, e.g. `source`. */
  keyedByAttribute(name: string): this;
  /** Such events are about what their JSON data says at a JSON Pointer, e.g. `/order/id`: a string or a whole number. */
  keyedByData(pointer: string): this;
  /** All such events have one key, whose name is empty. */
  keyedByNothing(): this;
  /** Only such events are given for which this CloudEvents SQL expression is true. The host evaluates it at a fraction of what a call costs. */
  filter(expression: string): this;
  /** Such events come with this CloudEvents attribute, for {@link Event.attribute}. Ask for what is needed. */
  attribute(name: string): this;
  /** It may return moments of this kind. */
  moment(kind: string): this;
  /** It may return this action. */
  action(name: string): this;
  /** Another name than the package's. State, timers and outcomes belong to it across versions. */
  named(name: string): this;
  /** Another version than the package's. */
  version(version: string): this;
  /** One line for people, instead of the package's description. */
  summary(summary: string): this;
}

/** The rule is given events of this CloudEvents `type`, keyed by their `subject`. A trailing `*` stands for any rest. */
export function on(eventType: string): About;

/** A rule, as {@link rule} makes it: a package's default export. */
export interface Rule<F extends Fields = any, S = any> {
  readonly fields: F;
  /** The type of the state: there is no such member. */
  readonly stateType?: S;
}

/**
 * What a rule does. Its methods must be pure: what they do may depend on their arguments, and on the configuration,
 * which is their `this`, alone.
 */
export interface Definition<F extends Fields, S> {
  /** What it is given and may give. */
  about: About;
  /** The types of the operator's configuration, a JSON object (`{}` if there is none). A field that it has besides is refused. */
  configuration?: F;
  /**
   * What is remembered of a key that nothing is known of: a plain JSON value. It gives the state its type, and a state
   * equal to it is not kept. Of an object, members that a kept state lacks are taken from it: one that is added needs
   * no migration.
   *
   * States are kept as JSON. Whole numbers beyond 2^53 come and go as BigInt. What JSON cannot hold (a Map, NaN) sets the
   * input aside.
   */
  state?: S;
  /** The version of the state's format, 1 unless said otherwise. Let it grow when the rule cannot read what it wrote before, and migrate. */
  stateVersion?: number;
  /** Checks what types cannot: called once, when the plugin is loaded. Throws what is wrong, naming the field. */
  check?(): void;
  /** An event came that a subscription matched. `state` may be changed in place. */
  onEvent(event: Event, state: S, out: Output): void;
  /** A timer that the rule set for this key came due. It is no longer set. */
  onTimer?(timer: Timer, state: S, out: Output): void;
  /** It is known what became of an action that was emitted with a reference. */
  onOutcome?(outcome: Outcome, state: S, out: Output): void;
  /**
   * Brings one key's state from an earlier `stateVersion` to today's; null forgets it. `state` is its JSON value, or
   * undefined if `bytes` are no JSON. If it throws, the state stays as it was, and the key's inputs are set aside until a
   * version comes that can. The rule's package.json must say `"carpe": { "migrates": true }`.
   */
  migrate?(fromVersion: number, key: string, state: any, bytes: Uint8Array): S | null;
}

/** Makes a definition a rule: the package's default export. */
export function rule<F extends Fields = {}, S = null>(definition: Definition<F, S> & ThisType<Values<F>>): Rule<F, S>;

// What it is given.

/** What all inputs have. */
export interface Input {
  /** What it is about, e.g. the machine's id: see the subscription's key. */
  readonly key: string;
  /** When it happened: for a timer the instant that it was set to. May be earlier than that of an input before it. */
  readonly time: Instant;
  /** Where the timeline stands: never earlier than for an input before it. Timers and expiry go by it. */
  readonly now: Instant;
}

/**
 * Something that happened, about one key.
 *
 * `number` and its likes take a JSON Pointer, e.g. `/engine/celsius`. They throw a {@link Failure} if there is no JSON
 * data, nothing at the pointer, or something else. With a fallback, that stands for nothing, or null, at the pointer.
 */
export interface Event extends Input {
  /** Its CloudEvents `type`. */
  readonly type: string;
  /** Which subscription matched, counted from 0 in the order of the `on`s. */
  readonly subscription: number;
  /** The value of a CloudEvents attribute that the subscription asks for. */
  attribute(name: string): string;
  attribute<T>(name: string, fallback: T): string | T;
  /** All of its JSON data, unchecked. */
  data(): any;
  /** Its JSON data, an object, with these fields checked. */
  data<F extends Fields>(fields: F): Values<F>;
  /** A number in its JSON data. Always finite. */
  number(pointer: string): number;
  number<T>(pointer: string, fallback: T): number | T;
  /** A whole number in its JSON data, below 2^53. */
  integer(pointer: string): number;
  integer<T>(pointer: string, fallback: T): number | T;
  /** A string in its JSON data. */
  string(pointer: string): string;
  string<T>(pointer: string, fallback: T): string | T;
  /** A truth value in its JSON data. */
  bool(pointer: string): boolean;
  bool<T>(pointer: string, fallback: T): boolean | T;
  /** Whatever stands at a JSON Pointer; null if nothing does. */
  value(pointer: string): any;
  /** Its data, if there is any and it is not JSON. */
  readonly binary: Uint8Array | null;
}

/** A timer that came due. To repeat, count from `now`: that skips what was missed. */
export interface Timer extends Input {
  /** As the rule named it. */
  readonly name: string;
}

/** What became of an action. */
export interface Outcome extends Input {
  /** The action's name. */
  readonly action: string;
  /** The reference that the rule gave the action. */
  readonly reference: string;
  /** What became of it. */
  readonly status: Status;
  /** For people: why it was not taken. May be empty. */
  readonly detail: string;
  /** What the other side answered, unchecked: e.g. the body of a webhook's response. Throws if it is no JSON. */
  answer(): any;
  /** What the other side answered, an object, with these fields checked. */
  answer<F extends Fields>(fields: F): Values<F>;
}

// What should follow.

/** Takes what should follow from one input. Nothing happens unless the input succeeds; then all of it does. */
export interface Output {
  /** A moment of this kind, which the rule's description names, occurred: about the input's key, at its time. */
  moment(kind: string): Moment;
  /** Sets a timer of the input's key to an instant on the timeline, in place of an earlier setting. One already past is due at once. */
  timer(name: string, at: Instant): this;
  /** Sets a timer to so long after the timeline's `now`. Fractions of a millisecond are cut. */
  timerIn(name: string, milliseconds: number): this;
  /** Cancels a timer. If it is not set, that does nothing. */
  cancel(name: string): this;
  /** The key's state is this value, instead of `state` as it was changed in place. */
  remember(state: unknown): this;
  /** After this input the key is as one that nothing is known of, whatever becomes of `state`. Its timers stay. */
  forget(): this;
  /**
   * Sets the input aside, with what is wrong with it for people, but keeps what the rule makes of it: for an input of
   * which a part makes sense. To keep nothing, throw instead.
   */
  fail(message: string): this;
}

/** A moment in the making: something that occurred and passes. */
export interface Moment {
  /** One line for people: why now. */
  why(why: string): this;
  /** Whom or what it concerns, e.g. a person's id, if that is not the key: what consent, caps and erasure go by. */
  subject(subject: string): this;
  /** For programs: the facts of it, a JSON value. */
  data(data: unknown): this;
  /** Until when its actions may be taken. */
  expiresAt(at: Instant): this;
  /** For how long, from the timeline's `now`, its actions may be taken. */
  expiresIn(milliseconds: number): this;
  /**
   * What to do about it, and what the other side needs to know: a JSON value. With a `reference`, `onOutcome` is called,
   * once, with what became of it and this reference, by which the rule can tell its actions apart.
   */
  action(name: string, data?: unknown, options?: { reference?: string | null }): this;
}

/**
 * Lines for the operator's log. A line is not an effect: it is written even if the input fails, and again if the host
 * handles the input again. The host cuts long ones and limits how many come a second. Natively they go to standard error.
 */
export const log: {
  /** For the rule's author. */
  debug(message: unknown): void;
  /** Worth knowing. */
  info(message: unknown): void;
  /** Something is odd, and the rule can go on. */
  warn(message: unknown): void;
  /** Something is wrong. */
  error(message: unknown): void;
};
