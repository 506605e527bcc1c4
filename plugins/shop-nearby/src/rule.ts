// Somebody walks past a shop: they are shown an offer, with their consent and seldom, and it is taken back when they
// have gone. See README.md.

import { bool, Failure, integer, list, number, object, on, rule, string } from "carpe-sdk";
import type { Event, Instant, Output, Status, Values } from "carpe-sdk";
import { metresBetween } from "./distance.ts";

/** A fix that is older by this much than the timeline is no news, and one that is this far ahead comes from a wrong clock. */
const MAX_OFF_MS = 60_000;
const HOUR_MS = 3_600_000;

const shop = {
  id: string({ minLength: 1, maxLength: 100 }),
  name: string({ minLength: 1, maxLength: 200 }),
  lat: number({ min: -90, max: 90 }),
  lon: number({ min: -180, max: 180 }),
  offer: string({ minLength: 1, maxLength: 500 }),
};

const settings = {
  shops: list(object(shop, { strict: true }), { minLength: 1, maxLength: 500 }),
  enter_m: number({ min: 1, max: 1_000, default: 40, description: "Nearer than this is at the shop..." }),
  leave_m: number({ min: 1, max: 2_000, default: 70, description: "...until they are farther than this." }),
  max_accuracy_m: number({ min: 1, default: 50, description: "A fix that is less accurate is ignored." }),
  max_m_per_s: number({ min: 0.5, default: 3, description: "Who is faster does not walk." }),
  cooldown_hours: number({ min: 0, max: 8_760, default: 24, description: "No second offer of a shop to the same person before." }),
  silence_seconds: integer({ min: 10, max: 86_400, default: 600, description: "Who is not heard of for so long has gone." }),
  offer_seconds: integer({ min: 10, max: 86_400, default: 900, description: "For how long an offer is worth showing." }),
};

type Settings = Values<typeof settings>;
type Shop = Settings["shops"][number];

const fix = {
  lat: number({ min: -90, max: 90 }),
  lon: number({ min: -180, max: 180 }),
  accuracy_m: number({ min: 0, default: null }),
  // What is not said is no consent.
  consent: bool({ default: false }),
};

type Fix = Values<typeof fix>;

interface Offered {
  shop: string;
  at: Instant;
  /** What became of it; null: that is not known yet, or was not asked for by an earlier version. */
  became: Status | null;
}

/** What is remembered of a person. Without their consent, where they are is not. */
interface Walk {
  /** The latest fix: what is not later is no news. */
  time: Instant;
  /** Where that was. */
  at: { lat: number; lon: number } | null;
  /** The shops that they are at. */
  near: string[];
  /** The shop whose offer they see, or will see. */
  open: string | null;
  /** Whether that offer is on its way: nobody knows yet if they will see it. */
  awaited: boolean;
  /** Why that offer is to be taken back as soon as that is known. */
  gone: string | null;
  /** When they were last made each shop's offer, as long as that keeps them from another. */
  offered: Offered[];
}

export default rule({
  about: on("pedestrian.position")
    .moment("shop.nearby")
    .moment("shop.left")
    .action("offer.show")
    .action("offer.withdraw"),
  configuration: settings,
  state: { time: 0, at: null, near: [], open: null, awaited: false, gone: null, offered: [] } as Walk,

  check() {
    if (this.leave_m <= this.enter_m) {
      throw new Error(`\`leave_m\` is ${this.leave_m}: it must be above \`enter_m\`, ${this.enter_m}`);
    }
    const ids = this.shops.map((shop) => shop.id);
    const twice = ids.find((id, index) => ids.indexOf(id) !== index);
    if (twice !== undefined) throw new Error(`\`shops\` has ${twice} twice`);
  },

  onEvent(event, walk, out) {
    const found = event.data(fix);
    if (event.time > event.now + MAX_OFF_MS) throw new Failure("the fix is more than a minute ahead: is the clock wrong?");
    if (event.time <= walk.time || event.time < event.now - MAX_OFF_MS) return;
    if (!found.consent) {
      walk.time = event.time;
      withdraw(this, walk, event, "they have taken their consent back", out);
      rest(this, walk, event.now, out);
      return;
    }
    if (found.accuracy_m !== null && found.accuracy_m > this.max_accuracy_m) return;
    moved(this, walk, event, found, out);
  },

  onTimer(timer, walk, out) {
    if (timer.name === "silence") {
      withdraw(this, walk, timer, "they were not heard of any more", out);
      rest(this, walk, timer.now, out);
    } else {
      forgetLapsed(this, walk, timer.now, out);
    }
  },

  onOutcome(outcome, walk, out) {
    const offered = walk.offered.find((offered) => reference(offered) === outcome.reference);
    if (offered !== undefined) offered.became = outcome.status;
    if (!walk.awaited) return;
    walk.awaited = false;
    // Of one that failed, nobody knows whether they see it.
    const isSeen = outcome.status === "delivered" || outcome.status === "failed";
    if (!isSeen) walk.open = null;
    if (walk.gone !== null) withdraw(this, walk, outcome, walk.gone, out);
    walk.gone = null;
    forgetLapsed(this, walk, outcome.now, out);
  },
});

function moved(settings: Settings, walk: Walk, event: Event, to: Fix, out: Output): void {
  const walks = walk.at === null || isWalking(settings, walk, event.time, to);
  walk.time = event.time;
  walk.at = { lat: to.lat, lon: to.lon };
  out.timer("silence", event.now + settings.silence_seconds * 1_000);

  const distances = new Map(settings.shops.map((shop) => [shop.id, metresBetween(shop, to)]));
  // A shop that is no longer configured is infinitely far.
  const isAt = (id: string) => (distances.get(id) ?? Infinity) <= settings.leave_m;
  walk.near = walk.near.filter(isAt);
  if (walk.open !== null && !isAt(walk.open)) withdraw(settings, walk, event, "they have walked on", out);
  if (!walks) return;

  const metres = (shop: Shop) => distances.get(shop.id) ?? Infinity;
  const entered = settings.shops
    .filter((shop) => metres(shop) < settings.enter_m && !walk.near.includes(shop.id))
    // The nearest first; of two that are as near, the one that is configured first.
    .sort((a, b) => metres(a) - metres(b));
  for (const shop of entered) {
    walk.near.push(shop.id);
    if (walk.open === null && !isCoolingDown(settings, walk, shop.id, event.now)) offer(settings, walk, event, shop, metres(shop), out);
  }
}

function offer(settings: Settings, walk: Walk, event: Event, shop: Shop, metres: number, out: Output): void {
  const offered = { shop: shop.id, at: event.now, became: null };
  walk.open = shop.id;
  walk.awaited = true;
  walk.offered = [...walk.offered.filter((earlier) => earlier.shop !== shop.id), offered];
  out
    .moment("shop.nearby")
    .why(`they are ${Math.round(metres)} m from ${shop.name}`)
    .subject(event.key)
    .data({ shop: shop.id, metres: Math.round(metres) })
    // They were there when the fix was taken, and walk on.
    .expiresAt(event.time + settings.offer_seconds * 1_000)
    .action("offer.show", { person: event.key, shop: shop.id, name: shop.name, offer: shop.offer }, { reference: reference(offered) });
  forgetLapsed(settings, walk, event.now, out);
}

/** One for each offer: what became of it is told by this. */
function reference(offered: Offered): string {
  return `${offered.at} ${offered.shop}`;
}

/** Takes the open offer back; one that is on its way, once it is known that there is something to take back. */
function withdraw(settings: Settings, walk: Walk, input: { key: string }, why: string, out: Output): void {
  if (walk.open === null) return;
  if (walk.awaited) {
    walk.gone ??= why;
    return;
  }
  const name = settings.shops.find((shop) => shop.id === walk.open)?.name ?? walk.open;
  out
    .moment("shop.left")
    .why(`${name}: ${why}`)
    .subject(input.key)
    .data({ shop: walk.open })
    .action("offer.withdraw", { person: input.key, shop: walk.open });
  walk.open = null;
}

/** They have gone, or want not to be seen: only what keeps them from too many offers stays, for as long as it does. */
function rest(settings: Settings, walk: Walk, now: Instant, out: Output): void {
  walk.at = null;
  walk.near = [];
  out.cancel("silence");
  forgetLapsed(settings, walk, now, out);
}

/** Forgets offers that are long enough ago; and in the end the person, once no older fix can come. */
function forgetLapsed(settings: Settings, walk: Walk, now: Instant, out: Output): void {
  // What is awaited is kept whatever the cooldown: what becomes of it is still to come.
  const isAwaited = (offered: Offered) => walk.awaited && offered.shop === walk.open;
  walk.offered = walk.offered.filter((offered) => isAwaited(offered) || now < lapses(settings, offered));
  const next = walk.offered.map((offered) => lapses(settings, offered)).filter((lapses) => lapses > now);
  if (next.length > 0) {
    out.timer("forget", Math.min(...next));
  } else if (walk.at === null && !walk.awaited) {
    if (now > walk.time + MAX_OFF_MS) out.forget().cancel("forget");
    else out.timer("forget", walk.time + MAX_OFF_MS + 1);
  }
}

function isCoolingDown(settings: Settings, walk: Walk, shop: string, now: Instant): boolean {
  const last = walk.offered.find((offered) => offered.shop === shop);
  return last !== undefined && now < lapses(settings, last);
}

/** When an offer keeps them from another no more. */
function lapses(settings: Settings, offered: Offered): Instant {
  return Math.ceil(offered.at + settings.cooldown_hours * HOUR_MS);
}

/** Whether they can have walked here since the latest fix. */
function isWalking(settings: Settings, walk: Walk, time: Instant, to: Fix): boolean {
  if (walk.at === null) return true;
  return metresBetween(walk.at, to) <= (settings.max_m_per_s * (time - walk.time)) / 1_000;
}
