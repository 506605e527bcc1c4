import assert from "node:assert/strict";
import test from "node:test";
import { event, RuleTest, START } from "carpe-sdk/test";
import { metresBetween } from "./distance.ts";
import shopNearby from "./rule.ts";
import type { Status } from "carpe-sdk";

const SECOND = 1_000;
const HOUR = 3_600_000;

const BAKERY = { id: "bakery", name: "Bakery Linde", lat: 52.52, lon: 13.405, offer: "a roll on the house" };
const BOOKS = { id: "books", name: "Books & Co", lat: 52.5204, lon: 13.405, offer: "10 % off" };
/** So many degrees of latitude are a metre. */
const METRE = 1 / 111_195;

function walking(configuration = {}) {
  const rule = new RuleTest(shopNearby, { shops: [BAKERY], max_m_per_s: 100, ...configuration });
  return {
    rule,
    /** A fix so many metres south of the bakery. What becomes of an offer is known at once; null: later. */
    at(metres: number, more: { time?: number; consent?: unknown; accuracy_m?: number; person?: string; became?: Status | null } = {}) {
      const { time = rule.now + 10 * SECOND, consent = true, person = "ada", became = "delivered", ...rest } = more;
      const data = { lat: BAKERY.lat - metres * METRE, lon: BAKERY.lon, consent, ...rest };
      const happened = rule.send(event("pedestrian.position").subject(person).time(time).data(data));
      for (const action of happened.allActions) {
        if (action.name === "offer.show" && became !== null) assert.deepEqual(rule.answer(action, became).kinds, []);
      }
      return happened;
    },
  };
}

test("distances are those on Earth", () => {
  const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 0.005 * b + 0.01, `${a} is not ${b}`);
  near(metresBetween({ lat: 52.5200, lon: 13.4050 }, { lat: 48.8566, lon: 2.3522 }), 877_500);
  near(metresBetween({ lat: 0, lon: 179.9995 }, { lat: 0, lon: -179.9995 }), 111.2);
  near(metresBetween({ lat: 90, lon: 0 }, { lat: 90, lon: 120 }), 0);
  near(metresBetween({ lat: 0, lon: 0 }, { lat: 0, lon: 180 }), 20_015_000);
});

test("who walks past gets an offer once, and it is taken back when they have gone", () => {
  const { at } = walking();
  assert.deepEqual(at(200).kinds, []);
  const near = at(30);
  assert.deepEqual(near.actions, ["offer.show"]);
  assert.equal(near.moments[0]?.why, "they are 30 m from Bakery Linde");
  assert.equal(near.moments[0]?.subject, "ada");
  assert.equal(near.moments[0]?.expires, near.moments[0]!.time + 900 * SECOND);
  assert.deepEqual(near.allActions[0]?.data, { person: "ada", shop: "bakery", name: "Bakery Linde", offer: "a roll on the house" });
  assert.deepEqual(at(5).kinds, []);
  const gone = at(200);
  assert.deepEqual(gone.actions, ["offer.withdraw"]);
  assert.deepEqual(gone.allActions[0]?.data, { person: "ada", shop: "bakery" });
  assert.equal(gone.moments[0]?.subject, "ada");
  assert.deepEqual(at(300).kinds, []);
});

test("who stands at the edge flickers neither in nor out", () => {
  const { at } = walking();
  assert.deepEqual(at(41).kinds, []);
  assert.deepEqual(at(39).kinds, ["shop.nearby"]);
  for (const metres of [45, 39, 60, 38, 69]) assert.deepEqual(at(metres).kinds, []);
  assert.deepEqual(at(71).kinds, ["shop.left"]);
});

test("without consent there is nothing, and what is not said is no consent", () => {
  const { rule, at } = walking();
  assert.deepEqual(at(5, { consent: false }).kinds, []);
  const silent = event("pedestrian.position").subject("ada").data({ lat: BAKERY.lat, lon: BAKERY.lon });
  assert.deepEqual(rule.send(silent.time(rule.now + SECOND)).kinds, []);
  assert.deepEqual(at(5, { consent: "yes" }).failures, ["the event's data: `consent` is \"yes\": it must be true or false"]);
  assert.equal(rule.state("ada").at, null);
  rule.advance(61 * SECOND);
  assert.equal(rule.keys, 0);
});

test("consent that is taken back takes the offer back, and an older fix does not bring it again", () => {
  const { rule, at } = walking({ cooldown_hours: 0 });
  at(5);
  const time = rule.now;
  const back = at(5, { consent: false });
  assert.deepEqual(back.actions, ["offer.withdraw"]);
  assert.match(back.moments[0]!.why, /taken their consent back/);
  assert.deepEqual(at(5, { time: time + 5 * SECOND }).kinds, []);
  assert.equal(rule.state("ada").at, null);
  assert.equal(rule.timer("ada", "silence"), undefined);
  assert.deepEqual(at(5).kinds, ["shop.nearby"]);
});

test("a shop makes the same person no second offer before the cooldown is over", () => {
  const { rule, at } = walking();
  at(5);
  const offered = rule.now;
  at(200);
  assert.deepEqual(at(5).kinds, []);
  at(200);
  assert.deepEqual(at(5, { time: offered + 24 * HOUR - 1 }).kinds, []);
  // They have been there all the time: this is no walking past.
  assert.deepEqual(at(5, { time: offered + 24 * HOUR }).kinds, []);
  at(200);
  assert.deepEqual(at(5, { person: "bob" }).kinds, ["shop.nearby"]);
  assert.deepEqual(at(5).kinds, ["shop.nearby"]);
});

test("who is not heard of has gone", () => {
  const { rule, at } = walking({ cooldown_hours: 1 });
  at(5);
  assert.deepEqual(rule.advance(599 * SECOND).kinds, []);
  const silent = rule.advance(SECOND);
  assert.deepEqual(silent.actions, ["offer.withdraw"]);
  assert.match(silent.moments[0]!.why, /not heard of any more/);
  assert.deepEqual(rule.state("ada").offered.length, 1);
  assert.deepEqual(rule.advance(HOUR).kinds, []);
  assert.equal(rule.keys, 0);
  assert.equal(rule.timer("ada", "forget"), undefined);
});

test("an offer that they do not see is not taken back, and not made again at once", () => {
  for (const became of ["withheld", "rejected", "expired"] as const) {
    const { rule, at } = walking({ shops: [BAKERY, BOOKS], enter_m: 20, leave_m: 30 });
    at(5, { became });
    assert.deepEqual([rule.state("ada").open, rule.state("ada").offered[0]?.became], [null, became]);
    assert.deepEqual(at(2).kinds, []);
    assert.deepEqual(at(200).kinds, []);
    assert.deepEqual(at(5).kinds, []);
    // It does not keep another shop from its own.
    assert.deepEqual(at(-44).allActions[0]?.data.shop, "books");
    assert.deepEqual(at(-200).actions, ["offer.withdraw"]);
  }
});

test("who has gone before it is known whether they see the offer gets it taken back when it is", () => {
  for (const [became, actions] of [["delivered", ["offer.withdraw"]], ["failed", ["offer.withdraw"]], ["withheld", []], ["expired", []]] as const) {
    const { rule, at } = walking({ cooldown_hours: 0 });
    const offer = at(5, { became: null }).allActions[0]!;
    assert.deepEqual(at(200, { consent: false }).kinds, []);
    // While it is on its way there is no other.
    assert.deepEqual(at(5).kinds, []);
    assert.deepEqual(rule.advance(HOUR).kinds, []);
    const known = rule.answer(offer, became);
    assert.deepEqual(known.actions, actions);
    if (actions.length > 0) assert.match(known.moments[0]!.why, /taken their consent back/);
    assert.deepEqual(rule.answer(offer, became).kinds, []);
    rule.advance(HOUR);
    assert.equal(rule.keys, 0);
  }
});

test("an offer is worth showing for so long from the fix on, however late that comes", () => {
  const { rule, at } = walking();
  at(200, { person: "bob" });
  const time = rule.now - 50 * SECOND;
  assert.equal(at(5, { time }).moments[0]?.expires, time + 900 * SECOND);
});

test("of several shops the nearest makes an offer, and the others none while it is open", () => {
  const { at } = walking({ shops: [BOOKS, BAKERY], enter_m: 60, leave_m: 80 });
  assert.deepEqual(at(5).allActions[0]?.data.shop, "bakery");
  // 44 m north of the bakery is the other one.
  assert.deepEqual(at(-44).kinds, []);
  assert.deepEqual(at(-90).kinds, ["shop.left"]);
  // The walker has been at the other one all the time.
  assert.deepEqual(at(-44).kinds, []);
});

test("who is too fast does not walk", () => {
  const { at } = walking({ max_m_per_s: 3 });
  at(500);
  assert.deepEqual(at(5).kinds, []);
  assert.deepEqual(at(20).kinds, ["shop.nearby"]);
  // To leave, any pace will do.
  assert.deepEqual(at(5_000).kinds, ["shop.left"]);
});

test("late, repeated and inaccurate fixes are no news", () => {
  const { rule, at } = walking();
  at(200);
  const time = rule.now;
  assert.deepEqual(at(5, { time }).kinds, []);
  assert.deepEqual(at(5, { time: time - 1 }).kinds, []);
  assert.deepEqual(at(5, { accuracy_m: 51 }).kinds, []);
  assert.deepEqual(at(5, { accuracy_m: 50 }).kinds, ["shop.nearby"]);
  assert.deepEqual(at(500, { time: rule.now - 1 }).kinds, []);
  assert.deepEqual(at(5, { person: "bob", time: rule.now - 60_001 }).kinds, []);
  assert.equal(rule.keys, 1);
});

test("absurd events are set aside and change nothing", () => {
  const { rule, at } = walking();
  at(5);
  const before = rule.state("ada");
  const bad = [{}, { lat: 52 }, { lat: 91, lon: 0 }, { lat: 0, lon: -181 }, { lat: "52", lon: 13 }, { lat: null, lon: null }, [], 7, { lat: 1, lon: 1, accuracy_m: -1 }];
  for (const data of bad) {
    const happened = rule.send(event("pedestrian.position").subject("ada").data(data));
    assert.deepEqual([happened.moments.length, happened.failures.length], [0, 1], JSON.stringify(data));
  }
  for (const absurd of [event("pedestrian.position").subject("ada"), event("pedestrian.position").subject("ada").json("{")]) {
    assert.equal(rule.send(absurd).failures.length, 1);
  }
  assert.deepEqual(rule.state("ada"), before);
});

test("a person who rests at last is forgotten", () => {
  const { rule, at } = walking();
  for (let lap = 0; lap < 20; lap += 1) {
    at(5);
    at(200);
  }
  assert.equal(rule.keys, 1);
  rule.advance(30 * HOUR);
  assert.equal(rule.keys, 0);
  assert.ok(rule.now > START);
});

test("a senseless configuration is refused", () => {
  for (const [configuration, message] of [
    [{}, /missing field `shops`/],
    [{ shops: [] }, /`shops` has 0 elements/],
    [{ shops: [BAKERY], enter_m: 50, leave_m: 50 }, /`leave_m` is 50: it must be above `enter_m`, 50/],
    [{ shops: [BAKERY, BAKERY] }, /`shops` has bakery twice/],
    [{ shops: [{ ...BAKERY, lat: 100 }] }, /`shops\/0\/lat` is 100: it must be a number from -90 to 90/],
    [{ shops: [BAKERY], cooldown_minutes: 5 }, /unknown field `cooldown_minutes`/],
  ] as const) {
    assert.throws(() => new RuleTest(shopNearby, configuration), message);
  }
});
