// A machine was too hot three times in a row. See README.md.

import { number, on, rule } from "carpe-sdk";

export default rule({
  about: on("machine.temperature").moment("machine.overheating").action("notify.service"),
  // The operator's, checked; the methods' `this`.
  configuration: { max_celsius: number() },
  // What is remembered of a machine.
  state: { hot: 0 },

  onEvent(event, machine, out) {
    machine.hot = event.number("/celsius") > this.max_celsius ? machine.hot + 1 : 0;
    if (machine.hot === 3) {
      out
        .moment("machine.overheating")
        .why("too hot three times in a row")
        .action("notify.service", { machine: event.key });
    }
  },
});
