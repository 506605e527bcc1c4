// What a component exports. For `carpe build`, which writes a file that calls it; not for authors.

import host from "carpe:rule/log@0.1.0";
import { messageOf } from "./failure.js";
import { sendLinesTo } from "./log.js";
import { forbid } from "./pure.js";
import { descriptionOf } from "./rule.js";
import { Runner } from "./runner.js";
import { wellFormed } from "./utf8.js";

// The rule's modules come after this one: what they would read of the clock while the component is built would stay in it.
forbid();

/** The contract's interfaces, for a rule and what its package.json says of it. */
export function guest(rule, about, migrates) {
  if (rule?.about === undefined || rule.fields === undefined) {
    throw new TypeError("the package exports no rule: write `export default rule({ .. })`");
  }
  if ((rule.migrate !== undefined) !== migrates) {
    throw new TypeError(
      migrates
        ? 'package.json says "carpe": { "migrates": true }, but the rule has no `migrate`'
        : 'the rule has `migrate`: say "carpe": { "migrates": true } in its package.json',
    );
  }
  const description = descriptionOf(rule, about);
  // Nothing can be logged while the component is built.
  sendLinesTo(() => {});
  let runner;
  const loaded = () => {
    if (runner === undefined) throw new Error("`init` was not called, or it failed");
    return runner;
  };
  return {
    rule: {
      init: told((configuration) => {
        sendLinesTo((level, message) => host.write(level, message));
        runner = new Runner(rule, configuration);
        return description;
      }),
      handle: told((batch) => loaded().handle(batch)),
    },
    migration: { migrate: told((fromVersion, key, state) => loaded().migrate(fromVersion, key, state)) },
  };
}

/** What is thrown reaches the host as a plain error: anything else would be a bare trap, or a message without its place. */
function told(work) {
  return (...given) => {
    try {
      return work(...given);
    } catch (error) {
      throw new Error(wellFormed(messageOf(error)));
    }
  };
}
