// Write rules for Carpe in JavaScript or TypeScript. See README.md.

export { on } from "./about.js";
export { Failure } from "./failure.js";
export { any, bool, choice, integer, list, number, object, string } from "./fields.js";
export { log } from "./log.js";
export { INSTANT_LIMIT } from "./output.js";
export { rule } from "./rule.js";
