// What the types promise: checked by `npm run types`, and never run.

import { any, bool, choice, integer, list, number, object, on, rule, string } from "carpe-sdk";
import { event, RuleTest } from "carpe-sdk/test";

const overheat = rule({
  about: on("machine.temperature").moment("machine.overheating").action("notify.service"),
  configuration: {
    max_celsius: number(),
    mode: choice(["day", "night"], { default: "day" }),
    note: string({ default: null }),
    loud: bool({ default: false }),
    places: list(object({ floor: integer() })),
    rest: any(),
  },
  state: { hot: 0 },
  onEvent(event, state, out) {
    state.hot = event.number("/celsius") > this.max_celsius ? state.hot + 1 : 0;
    const mode: "day" | "night" = this.mode;
    const note: string | null = this.note;
    const floor: number | undefined = this.places[0]?.floor;
    // @ts-expect-error: there is no such field.
    this.min_celsius;
    // @ts-expect-error: the state has no such member.
    state.cold;
    const room: string | undefined = event.string("/room", undefined);
    const data = event.data({ celsius: integer(), unit: string({ default: "C" }) });
    const celsius: number = data.celsius;
    void [mode, note, floor, room, celsius];
    if (state.hot === 3) out.moment("machine.overheating").why("too hot").action("notify.service");
  },
  onTimer(timer, state, out) {
    out.timer(timer.name, timer.now + this.max_celsius).cancel("rest");
    state.hot += 1;
  },
  onOutcome(outcome, state) {
    if (outcome.status === "rejected") state.hot = outcome.answer({ hot: integer() }).hot;
  },
  migrate(fromVersion, _key, state) {
    return state === undefined ? null : { hot: fromVersion };
  },
});

const test = new RuleTest(overheat, { max_celsius: 80 });

const hot: number = test.send(event("machine.temperature")).moments.length + test.state("press-1").hot;
// @ts-expect-error: the state has no such member.
test.state("press-1").cold;

export default rule({ about: on("a"), onEvent: (event, _, out) => void out.moment("m").why(event.key) });
export const checked = rule({
  about: on("a"),
  configuration: { metres: number() },
  check() {
    this.metres.toFixed(hot);
  },
  onEvent() {},
});
