// A rule has no clock and no chance of its own: what it decides must be decided again in a replay.

import { Failure } from "./failure.js";

/** Runs something while the clock and chance are out of reach. Under the host they are for good: see `guest.js`. */
export function pure(work) {
  if (forbidden) return work();
  const { random } = Math;
  const clock = globalThis.performance;
  forbid();
  try {
    return work();
  } finally {
    forbidden = false;
    Math.random = random;
    globalThis.Date = RealDate;
    Object.defineProperty(globalThis, "performance", { value: clock, configurable: true, writable: true });
  }
}

let forbidden = false;
const RealDate = globalThis.Date;

/** Puts the clock and chance out of reach. */
export function forbid() {
  forbidden = true;
  Math.random = () => {
    throw new Failure("`Math.random` is out of a rule's reach: it must decide the same again in a replay");
  };
  globalThis.Date = GuardedDate;
  Object.defineProperty(globalThis, "performance", {
    value: Object.freeze({ now: noClock }),
    configurable: true,
    writable: true,
  });
}

const GuardedDate = new Proxy(RealDate, {
  construct: (target, given, as) => (given.length === 0 ? noClock() : Reflect.construct(target, given, as === GuardedDate ? target : as)),
  apply: () => noClock(),
  get: (target, name) => (name === "now" ? noClock : target[name]),
});

function noClock() {
  throw new Failure("the clock is out of a rule's reach: use `event.time` and `event.now`");
}
