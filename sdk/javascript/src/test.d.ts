/**
 * Runs a rule natively, without WebAssembly, in an ordinary unit test.
 *
 * The rule's code runs as it does under the host; around it stands a small host with a timeline that only the test moves,
 * and no sinks: the test answers actions itself. Each input is a batch of its own, and each state is written and read
 * again in between. Clock and chance are out of the rule's reach, as under the host.
 *
 * ```ts
 * const test = new RuleTest(overheat, { max_celsius: 80 });
 * const reading = (celsius: number) => event("machine.temperature").subject("press-1").data({ celsius });
 * test.send(reading(81));
 * test.send(reading(82));
 * assert.deepEqual(test.send(reading(83)).actions, ["notify.service"]);
 * ```
 *
 * The timeline stands at {@link START} and moves to an event's time, if that is later, or to where the test advances it.
 * Timers that are due come first, in the host's order: by instant, then by name. No `filter` is evaluated: every event is
 * given whose type and key fit.
 */

import type { Instant, Rule, Status, Fields } from "./index.js";

/** Where the timeline begins: 2026-01-01T00:00:00Z. */
export const START: Instant;

/** An event of this CloudEvents `type`, without subject, time and data. */
export function event(type: string): TestEvent;

/** An event for a test. */
export interface TestEvent {
  /** What it is about. */
  subject(subject: string): this;
  /** Another CloudEvents attribute. */
  attribute(name: string, value: string): this;
  /** When it happened. Otherwise: where the timeline stands when it is sent. */
  time(instant: Instant): this;
  /** Its data, as JSON. */
  data(data: unknown): this;
  /** Its data as a JSON text, which need not be valid. */
  json(text: string): this;
  /** Its data, not as JSON. */
  binary(bytes: Iterable<number>): this;
}

/** What came of what a test did, in order. */
export interface Happened {
  /** Moments that occurred. */
  readonly moments: Moment[];
  /** Inputs that were set aside: what the rule said is wrong. */
  readonly failures: string[];
  /** The kinds of the moments. */
  readonly kinds: string[];
  /** The names of all moments' actions. */
  readonly actions: string[];
  /** All moments' actions. */
  readonly allActions: Action[];
}

/** A moment that occurred. */
export interface Moment {
  /** The key of the input that made it occur. */
  key: string;
  kind: string;
  why: string;
  /** Whom it concerns, if not the key. */
  subject: string | undefined;
  /** The facts of it; null if there are none. */
  data: any;
  /** When it occurred: the input's time. */
  time: Instant;
  /** Until when its actions may be taken. */
  expires: Instant | undefined;
  actions: Action[];
}

/** An action that was emitted. */
export interface Action {
  /** The moment's key. */
  key: string;
  name: string;
  /** Its reference, if an outcome is wanted. */
  reference: string | undefined;
  /** What the other side needs to know. */
  data: any;
}

/** A rule under test, with the states and timers of its keys. */
export class RuleTest<S> {
  /** Loads the rule. Throws what the operator would be told is wrong with the configuration. */
  constructor(rule: Rule<Fields, S>, configuration?: unknown);
  /**
   * Gives it an event, once for each subscription that matches: after the timers due by then. Throws if no subscription
   * matches, or the event lacks the key. As all that give it something, it throws too if the rule returned what the host
   * would refuse.
   */
  send(event: TestEvent): Happened;
  /** Moves the timeline on, and gives the rule what comes due, each timer at its instant. */
  advance(milliseconds: number): Happened;
  /** Moves the timeline on to an instant; one already past changes nothing. */
  advanceTo(instant: Instant): Happened;
  /** Says what became of an action that was emitted with a reference, and what the other side answered. */
  answer(action: Action, status: Status, answer?: unknown): Happened;
  /** Where the timeline stands. */
  readonly now: Instant;
  /** What is remembered of a key; the initial state, if nothing is. */
  state(key: string): S;
  /** How many keys have a state: those whose state is the initial one have none. */
  readonly keys: number;
  /** When a timer of a key is due, if it is set. */
  timer(key: string, name: string): Instant | undefined;
}
