// Lines for the operator's log.

import { wellFormed } from "./utf8.js";

let sink = (level, message) => {
  if (typeof process === "object") process.stderr.write(`${level}: ${message}\n`);
};

/** Where lines go: for the guest, and for the test kit. Returns where they went before. */
export function sendLinesTo(next) {
  const before = sink;
  sink = next;
  return before;
}

function write(level, message) {
  sink(level, wellFormed(typeof message === "string" ? message : String(message)));
}

export const log = Object.freeze({
  debug: (message) => write("debug", message),
  info: (message) => write("info", message),
  warn: (message) => write("warn", message),
  error: (message) => write("error", message),
});
