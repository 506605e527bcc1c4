// The rule of tests/conformance, in TypeScript.

import { type Event, Failure, type Outcome, type Output, type Timer, type Values, integer, on, rule, string } from "carpe-sdk";

const settings = {
  greeting: string({ minLength: 1 }),
  limit: integer({ min: 0, default: 1000 }),
};

interface State {
  count: number;
  value: unknown;
}

type Deed = Record<string, any>;

export default rule({
  about: on("conform.*")
    .attribute("id")
    .attribute("type")
    .attribute("note")
    .on("other")
    .keyedByData("/about/id")
    .moment("conform.said")
    .moment("conform.acted")
    .action("conform.do")
    .action("conform.tell"),
  configuration: settings,
  state: { count: 0, value: null } as State,
  stateVersion: 2,

  onEvent(event, state, out) {
    state.count += 1;
    if (state.count > this.limit) throw new Failure(`more than ${this.limit} events`);
    const data = event.data();
    if (!isObject(data)) throw new Failure("the data is no object");
    const deeds = "do" in data ? data.do : [];
    if (!Array.isArray(deeds)) throw new Failure("`do` is no list");
    for (const deed of deeds) perform(this, deed, event, state, out);
  },

  onTimer(timer: Timer, state: State, out: Output) {
    out
      .moment("conform.said")
      .why(`timer ${timer.name}`)
      .data({ count: state.count, value: state.value, time: timer.time, now: timer.now });
    if (timer.name === "again" && state.count > 0) {
      out.timer("again", timer.time + 1000);
      state.count -= 1;
    }
  },

  onOutcome(outcome: Outcome, _state: State, out: Output) {
    const { action, reference, status } = outcome;
    out.moment("conform.said").why(`outcome ${status}`).data({ action, reference, answer: answerOf(outcome) });
  },

  /** Version 1 was the count, as decimal digits and nothing else. */
  migrate(fromVersion, _key, _state, bytes) {
    const text = String.fromCharCode(...bytes);
    if (fromVersion === 1 && text === "forget") return null;
    if (fromVersion !== 1 || !/^[0-9]{1,15}$/.test(text)) throw new Failure("the state is no count");
    return { count: Number(text), value: null };
  },
});

function perform(configuration: Values<typeof settings>, deed: Deed, event: Event, state: State, out: Output): void {
  if (!isObject(deed)) throw new Failure("a deed is no object");
  if ("say" in deed) {
    const moment = out.moment("conform.said").why(deed.say);
    if (deed.data !== undefined && deed.data !== null) moment.data(deed.data);
  } else if (deed.greet === true) {
    out.moment("conform.said").why(`${configuration.greeting}, ${event.key}`);
  } else if (deed.show === true) {
    out.moment("conform.said").why("state").data({ count: state.count, value: state.value, key: event.key });
  } else if (deed.show === "event") {
    out.moment("conform.said").why("event").data(shown(event));
  } else if ("set" in deed) {
    state.value = deed.set;
  } else if ("timer" in deed) {
    if ("at" in deed) out.timer(deed.timer, whole(deed.at));
    else out.timerIn(deed.timer, whole(deed.in));
  } else if ("cancel" in deed) {
    out.cancel(deed.cancel);
  } else if ("act" in deed) {
    const moment = out.moment("conform.acted").why("acted");
    if ("about" in deed) moment.subject(deed.about);
    if ("expires" in deed) moment.expiresAt(whole(deed.expires));
    // Without one, the SDK would ask for no outcome.
    if (deed.act === null) throw new Failure("`act` is no text");
    moment.action("conform.do", deed.data ?? null, { reference: deed.act }).action("conform.tell", {});
  } else if (deed.forget === true) {
    out.forget();
  } else if ("fail" in deed) {
    throw new Failure(typeof deed.fail === "string" ? deed.fail : "`fail` is no text");
  } else {
    throw new Failure(`there is no such deed: ${Object.keys(deed).join(", ")}`);
  }
}

/** The SDK takes any number: what is past is due at once, and fractions are cut. */
function whole(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw new Failure(`${value} is no whole number from 0 on`);
  return value;
}

function shown(event: Event): object {
  const { subscription, time, now } = event;
  const asked = subscription === 0;
  return {
    subscription,
    time,
    now,
    // The second subscription asks for nothing.
    id: asked ? event.attribute("id", null) : null,
    type: asked ? event.type : null,
    note: asked ? event.attribute("note", null) : null,
    data: event.data(),
  };
}

/** No answer, or one that is no JSON, is null. */
function answerOf(outcome: Outcome): unknown {
  try {
    return outcome.answer();
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, any> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
