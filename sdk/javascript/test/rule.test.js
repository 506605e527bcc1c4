// What holds for every rule, whatever it does.

import assert from "node:assert/strict";
import test from "node:test";
import { Failure, integer, number, object, on, rule, string } from "../src/index.js";
import { Runner } from "../src/runner.js";
import { event, RuleTest, START } from "../src/test.js";

/** Does what the event says. */
const puppet = rule({
  about: on("pull").on("pull.*").keyedByData("/key").attribute("note").moment("puppet.moved").action("move"),
  configuration: { limit: integer({ min: 0, default: 0 }) },
  state: { sum: 0, names: [] },
  onEvent(event, memory, out) {
    memory.sum += event.number("/add");
    const name = event.string("/name", undefined);
    if (name !== undefined) memory.names.push(name);
    out.moment("puppet.moved").why("told to").data({ sum: memory.sum }).action("move", { sum: memory.sum }, { reference: "first" });
    out.timerIn("rest", 1000);
    switch (event.value("/then")) {
      case "failure": throw new Failure("told to fail");
      case "error": throw new Error("told to fail", { cause: new Error("by you") });
      case "string": throw "a string";
      case "mistake": return event.nothing.at.all;
      case "part": return void out.fail("told to fail in part");
      case "infinite": return void (memory.sum = Infinity);
      case "map": return void (memory.names = new Map());
      case "clock": return void (memory.sum = Date.now());
      case "date": return void (memory.sum = new Date().getTime());
      case "chance": return void (memory.sum = Math.random());
      case "forget": out.forget().cancel("rest"); return;
      case "remember": return void out.remember({ sum: 7, names: [] });
      case "undeclared": return void out.moment("puppet.sat");
      case "instant": return void out.timer("x", NaN);
      case "promise": return Promise.resolve();
    }
  },
  onTimer(timer, memory) {
    memory.names.push(`${timer.name} of ${timer.key} at ${timer.time}`);
  },
  onOutcome(outcome, memory) {
    memory.names.push(`${outcome.reference} ${outcome.status} ${outcome.answer().code}`);
  },
});

const pull = (key, data) => event("pull").subject(key).data(data);

test("an error undoes what its input changed and nothing else", () => {
  const test = new RuleTest(puppet);
  assert.deepEqual(test.send(pull("a", { add: 1 })).kinds, ["puppet.moved"]);
  test.advance(999);
  const rest = test.timer("a", "rest");
  const cases = {
    failure: "told to fail",
    error: "told to fail: by you",
    string: "it threw a string",
    infinite: "the state of key `a` cannot be written as JSON: `/sum` is Infinity, which JSON has no number for",
    map: "the state of key `a` cannot be written as JSON: `/names` is a Map: only plain objects and lists can be kept",
    clock: "the clock is out of a rule's reach: use `event.time` and `event.now`",
    date: "the clock is out of a rule's reach: use `event.time` and `event.now`",
    chance: "`Math.random` is out of a rule's reach: it must decide the same again in a replay",
    instant: "timer `x` is NaN: it must be an instant, in milliseconds since 1970",
  };
  for (const [then, message] of Object.entries(cases)) {
    const happened = test.send(pull("a", { add: 5, then }));
    assert.deepEqual([happened.moments, happened.failures], [[], [message]]);
  }
  for (const bad of ['{"add":"x"}', "{}", "[]", "", "{", "7", "null", '{"add":1e999}']) {
    const happened = test.send(event("pull").subject("a").json(bad));
    assert.deepEqual([happened.moments.length, happened.failures.length], [0, 1], bad);
  }
  assert.deepEqual(test.state("a"), { sum: 1, names: [] });
  assert.equal(test.timer("a", "rest"), rest);
});

test("a mistake in the rule is said with its place", () => {
  const test = new RuleTest(puppet);
  const [message] = test.send(pull("a", { add: 1, then: "mistake" })).failures;
  assert.match(message, /^TypeError: .* \(.*test\/rule\.test\.js:\d+\)$/);
  assert.match(test.send(pull("a", { add: 1, then: "promise" })).failures[0], /`onEvent` must not be async/);
});

test("errors say what is wrong with the data", () => {
  const test = new RuleTest(puppet);
  const failure = (sent) => test.send(sent).failures[0];
  assert.equal(failure(pull("a", {})), "the event's data has nothing at `/add`, where a number should be");
  assert.equal(failure(pull("a", { add: "x" })), 'the event\'s data has "x" at `/add`, where a number should be');
  assert.equal(failure(pull("a", { add: 1, name: 5 })), "the event's data has 5 at `/name`, where a string should be");
  assert.equal(failure(event("pull").subject("a")), "the event's data is absent");
  assert.equal(failure(event("pull").subject("a").binary([1])), "the event's data is not JSON");
  assert.match(failure(event("pull").subject("a").json("{")), /^the event's data is not valid JSON: /);
});

test("what fails in part counts all the same", () => {
  const test = new RuleTest(puppet);
  const happened = test.send(pull("a", { add: 1, then: "part" }));
  assert.deepEqual([happened.kinds, happened.failures], [["puppet.moved"], ["told to fail in part"]]);
  assert.equal(test.state("a").sum, 1);
});

test("a state equal to the initial one is not kept", () => {
  const test = new RuleTest(puppet);
  test.send(pull("a", { add: 0 }));
  assert.equal(test.keys, 0);
  test.send(pull("a", { add: 1 }));
  assert.equal(test.keys, 1);
  test.send(pull("a", { add: 1, then: "forget" }));
  assert.equal(test.keys, 0);
  assert.equal(test.timer("a", "rest"), undefined);
  test.send(pull("a", { add: 1, then: "remember" }));
  assert.deepEqual(test.state("a"), { sum: 7, names: [] });
});

test("timers and outcomes come back", () => {
  const test = new RuleTest(puppet);
  const happened = test.send(pull("a", { add: 1 }));
  const due = test.timer("a", "rest");
  assert.equal(due, START + 1000);
  test.advance(5000);
  test.answer(happened.allActions[0], "rejected", { code: 409 });
  assert.deepEqual(test.state("a").names, [`rest of a at ${due}`, "first rejected 409"]);
  assert.equal(test.timer("a", "rest"), undefined);
});

test("an event moves the timeline and a late one does not", () => {
  const test = new RuleTest(puppet);
  test.send(pull("a", { add: 1 }));
  const due = test.timer("a", "rest");
  test.send(pull("b", { add: 1 }).time(due + 10));
  assert.equal(test.now, due + 10);
  assert.equal(test.state("a").names.length, 1);
  test.send(pull("b", { add: 1 }).time(5));
  assert.equal(test.now, due + 10);
});

test("a pattern gives the type and a pointer the key", () => {
  let seen;
  const watcher = rule({
    about: on("pull.*").keyedByData("/key").attribute("note"),
    onEvent(event) {
      seen = [event.type, event.key, event.attribute("note", "none"), event.subscription];
      event.attribute("id");
    },
  });
  const test = new RuleTest(watcher);
  assert.match(test.send(event("pull.gently").json('{"key":7.0}')).failures[0], /attribute `id` is not asked for/);
  assert.deepEqual(seen, ["pull.gently", "7", "none", 0]);
  test.send(event("pull.gently").json('{"key":12345678901234567890}').attribute("note", "n"));
  assert.deepEqual(seen, ["pull.gently", "12345678901234567890", "n", 0]);
});

test("data can be taken as typed fields", () => {
  let seen;
  const taker = rule({
    about: on("a"),
    onEvent(event) {
      seen = event.data({ who: string(), at: object({ lat: number({ min: -90, max: 90 }) }) });
    },
  });
  const test = new RuleTest(taker);
  test.send(event("a").subject("k").data({ who: "x", at: { lat: 5, more: 1 }, more: 2 }));
  assert.deepEqual(seen, { who: "x", at: { lat: 5 } });
  const [failure] = test.send(event("a").subject("k").data({ who: "x", at: { lat: 500 } })).failures;
  assert.equal(failure, "the event's data: `at/lat` is 500: it must be a number from -90 to 90");
});

test("what the host would refuse is a test's own error", () => {
  const test = new RuleTest(puppet);
  assert.throws(() => test.send(pull("a", { add: 1, then: "undeclared" })), /add `.moment\("puppet.sat"\)`/);
  assert.throws(() => test.send(event("push").subject("a")), /no subscription takes this event/);
  assert.throws(() => test.send(event("pull").data({})), /no subscription takes this event/);
});

test("a timer that repeats from its own time, over a long gap, is stopped", () => {
  const repeating = rule({
    about: on("a"),
    onEvent: (event, _, out) => void out.timer("t", event.time),
    onTimer: (timer, _, out) => void out.timer("t", timer.time),
  });
  assert.throws(() => new RuleTest(repeating).send(event("a").subject("k").time(5)), /count from `now`/);
});

/** One by one with the state carried over, or all in one batch: the same. */
test("how inputs are cut into batches does not matter", () => {
  const runner = new Runner(puppet, "{}");
  const texts = ['{"add":1}', '{"add":"x"}', '{"add":2,"then":"failure"}', '{"add":3,"name":"n\\ud800"}', "", '{"add":-4}', '{"add":-0.0}'];
  const input = (val) => ({ key: 0, time: 1, now: 1, payload: { tag: "event", val: { subscription: 0, attributes: [], data: { tag: "json", val } } } });
  const whole = runner.handle({ keys: [{ name: "a", state: null }], inputs: texts.map(input) });
  const pieces = { states: [], timers: [], moments: [], failures: [] };
  let state = null;
  texts.forEach((text, cause) => {
    const effects = runner.handle({ keys: [{ name: "a", state }], inputs: [input(text)] });
    if (effects.states.length > 0) state = effects.states[0].state ?? null;
    pieces.timers.push(...effects.timers.map((timer) => ({ ...timer, cause })));
    pieces.moments.push(...effects.moments.map((moment) => ({ ...moment, cause })));
    pieces.failures.push(...effects.failures.map((failure) => ({ ...failure, input: cause })));
  });
  pieces.states = [{ key: 0, state }];
  assert.deepEqual(whole, pieces);
  assert.equal(whole.failures.length, 3);
});

test("a state that cannot be read sets its key's inputs aside and stays", () => {
  const runner = new Runner(puppet, "{}");
  const input = (key) => ({ key, time: 1, now: 1, payload: { tag: "event", val: { subscription: 0, attributes: [], data: { tag: "json", val: '{"add":1}' } } } });
  for (const bad of [[0xff], [...Buffer.from("{")], [...Buffer.from("[]")], [...Buffer.from("7")]]) {
    const keys = [{ name: "a", state: Uint8Array.from(bad) }, { name: "b", state: null }];
    const effects = runner.handle({ keys, inputs: [input(0), input(1), input(0)] });
    assert.deepEqual(effects.failures.map((failure) => failure.input), [0, 2]);
    assert.deepEqual(effects.states.map((change) => change.key), [1]);
    assert.match(effects.failures[0].message, /^the state of key `a` cannot be read: .*`stateVersion`/);
  }
});

test("a duration is a number of milliseconds, and nothing that only adds up to one", () => {
  const waiting = rule({
    about: on("wait.*").moment("waits"),
    onEvent(event, _state, out) {
      const { due, expires } = event.data();
      if (due !== undefined) out.timerIn("t", due);
      if (expires !== undefined) out.moment("waits").expiresIn(expires);
    },
  });
  const test = new RuleTest(waiting);
  const send = (data) => test.send(event("wait.for").subject("k").data(data));
  assert.deepEqual(send({ due: 1.5, expires: -1 }).failures, []);
  for (const wrong of [true, null, "1", []]) {
    const said = `is to be in ${String(wrong)}: it must be a number of milliseconds`;
    assert.deepEqual(send({ due: wrong }).failures, [`timer \`t\` ${said}`]);
    assert.deepEqual(send({ expires: wrong }).failures, [`the expiry of moment \`waits\` ${said}`]);
  }
});

test("a member that is new in the initial state needs no migration", () => {
  const runner = new Runner(puppet, "{}");
  const val = { subscription: 0, attributes: [], data: { tag: "json", val: '{"add":1,"name":"n"}' } };
  const effects = runner.handle({
    keys: [{ name: "a", state: Buffer.from('{"sum":4}') }],
    inputs: [{ key: 0, time: 1, now: 1, payload: { tag: "event", val } }],
  });
  assert.equal(Buffer.from(effects.states[0].state).toString(), '{"sum":5,"names":["n"]}');
});

test("a state of an earlier version is brought along", () => {
  const migrating = rule({
    about: on("a"),
    state: { count: 0 },
    stateVersion: 2,
    onEvent() {},
    migrate(fromVersion, key, state, bytes) {
      if (state === undefined) return { count: bytes.length };
      return state < 0 ? null : { count: state };
    },
  });
  const runner = new Runner(migrating, "{}");
  const migrate = (text) => {
    const bytes = runner.migrate(1, "k", Buffer.from(text));
    return bytes === null ? null : Buffer.from(bytes).toString();
  };
  assert.equal(migrate("12"), '{"count":12}');
  assert.equal(migrate("-1"), null);
  assert.equal(migrate("0"), null);
  assert.equal(migrate("not JSON"), '{"count":8}');
  assert.throws(() => new Runner(puppet, "{}").migrate(1, "k", Buffer.from("1")), /cannot read states of version 1/);
});

test("a wrong definition is refused when it is made", () => {
  const about = on("a");
  const onEvent = () => {};
  for (const [definition, message] of [
    [{ onEvent }, /says what it is given/],
    [{ about }, /has a method `onEvent/],
    [{ about, onEvent, onTimers() {} }, /a rule has no `onTimers`/],
    [{ about, onEvent, onTimer: 5 }, /`onTimer` must be a function/],
    [{ about, onEvent, configuration: { a: 5 } }, /`a` needs a type/],
    [{ about, onEvent, stateVersion: 1.5 }, /`stateVersion`/],
    [{ about, onEvent, state: new Date(0) }, /the initial state cannot be written/],
  ]) {
    assert.throws(() => rule(definition), message);
  }
});

test("dates of given instants work", () => {
  const dating = rule({
    about: on("a").moment("m"),
    onEvent: (event, _, out) => void out.moment("m").why(`${new Date(event.time).toISOString()} ${new Date(0) instanceof Date} ${Date.UTC(1970)}`),
  });
  assert.equal(new RuleTest(dating).send(event("a").subject("k")).moments[0].why, "2026-01-01T00:00:00.000Z true 0");
  assert.ok(Date.now() > START && Math.random() < 1);
});
