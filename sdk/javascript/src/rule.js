// The idea that an author writes: a rule.

import { About } from "./about.js";
import { schemaOf } from "./fields.js";
import { parse, write } from "./json.js";

const METHODS = ["check", "onEvent", "onTimer", "onOutcome", "migrate"];
const KNOWN = ["about", "configuration", "state", "stateVersion", ...METHODS];

/** Makes a definition a rule. What is wrong with it is said here: when the rule is built, and in its tests. */
export function rule(definition) {
  for (const name of Object.keys(definition)) {
    if (!KNOWN.includes(name)) throw new TypeError(`a rule has no \`${name}\`: it has ${KNOWN.join(", ")}`);
  }
  if (!(definition.about instanceof About)) {
    throw new TypeError('a rule says what it is given: about: on("event.type").moment("..").action("..")');
  }
  for (const name of METHODS) {
    if (definition[name] !== undefined && typeof definition[name] !== "function") {
      throw new TypeError(`\`${name}\` must be a function`);
    }
  }
  if (definition.onEvent === undefined) throw new TypeError("a rule has a method `onEvent(event, state, out)`");
  const { stateVersion = 1, state = null } = definition;
  if (!Number.isInteger(stateVersion) || stateVersion < 0 || stateVersion >= 2 ** 32) {
    throw new TypeError("`stateVersion` must be a whole number below 2^32");
  }
  const fields = definition.configuration ?? {};
  for (const [name, field] of Object.entries(fields)) {
    if (typeof field?.take !== "function") {
      throw new TypeError(`configuration: \`${name}\` needs a type, e.g. ${name}: number({ min: 0 })`);
    }
  }
  const initial = write(state, "the initial state");
  return Object.freeze({
    about: definition.about.parts,
    fields,
    settings: write(schemaOf(fields, true), "the configuration's schema"),
    initial,
    initialState: parse(initial),
    stateVersion,
    check: definition.check,
    onEvent: definition.onEvent,
    onTimer: definition.onTimer,
    onOutcome: definition.onOutcome,
    migrate: definition.migrate,
  });
}

/** What the host is told of a rule. What it does not say itself, its package does. */
export function descriptionOf(rule, about = {}) {
  const { name = about.name, version = about.version, summary = about.description, subscriptions, moments, actions } = rule.about;
  for (const [field, value] of Object.entries({ name, version })) {
    if (typeof value !== "string" || value === "") throw new TypeError(`the rule has no ${field}: its package.json needs one`);
  }
  return {
    name,
    version,
    summary: summary ?? "",
    settings: rule.settings,
    subscriptions,
    moments,
    actions,
    stateVersion: rule.stateVersion,
  };
}
