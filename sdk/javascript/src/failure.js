// What a rule says when it cannot make sense of an input.

export class Failure extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "Failure";
  }
}

/** The message of what was thrown, for the operator who finds it among the dead letters. */
export function messageOf(thrown) {
  if (!(thrown instanceof Error)) return `it threw ${describe(thrown)}`;
  let message = isExpected(thrown) ? thrown.message : withPlace(thrown);
  for (let cause = thrown.cause, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth += 1) {
    message += `: ${cause.message}`;
  }
  return message || thrown.name;
}

/** Whether it was thrown on purpose, to say that an input makes no sense: not by the engine, for a mistake in the code. */
export function isExpected(thrown) {
  return thrown instanceof Failure || (thrown instanceof Error && Object.getPrototypeOf(thrown) === Error.prototype);
}

/** Where an error came from, innermost first: the functions of the rule, each with its place in the source. */
export function stackOf(error) {
  const frames = [];
  for (const line of String(error.stack ?? "").split("\n")) {
    const place = placeIn(line);
    if (place === undefined || isOfSdk(place)) continue;
    const name = /^\s*at (?:async )?([^\s(]+) \(/.exec(line)?.[1];
    frames.push(name === undefined ? place : `${name} (${place})`);
  }
  return frames.slice(0, 20).join(" < ");
}

function withPlace(error) {
  const text = `${error.name}: ${error.message}`;
  for (const line of String(error.stack ?? "").split("\n")) {
    const place = placeIn(line);
    if (place !== undefined && !isOfSdk(place)) {
      return `${text} (${place})`;
    }
  }
  return text;
}

function isOfSdk(place) {
  return place.includes("carpe-sdk/") || place.includes("sdk/javascript/src/");
}

/** `file:line` of a line of a stack; of a bundle, which one it came from. */
function placeIn(line) {
  const found = /([^\s()]*):(\d+):\d+\)?$/.exec(line.trim());
  if (found === null) return undefined;
  if (globalThis.carpeLines === undefined) return `${found[1].replace(/^file:\/\//, "")}:${found[2]}`;
  // Runs of lines that follow each other in both texts: [line of the bundle, source, line of the source], each from 1.
  const lines = JSON.parse(globalThis.carpeLines);
  const at = Number(found[2]);
  let run;
  for (const next of lines.runs) {
    if (next[0] > at) break;
    run = next;
  }
  return run === undefined || run[1] < 0 ? undefined : `${lines.sources[run[1]]}:${run[2] + at - run[0]}`;
}

function describe(value) {
  try {
    return typeof value === "object" ? (JSON.stringify(value) ?? "something").slice(0, 200) : String(value);
  } catch {
    return "something";
  }
}
