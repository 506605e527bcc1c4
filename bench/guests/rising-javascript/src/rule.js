// A gauge has risen in three readings in a row, and stands high.

import { integer, on, rule } from "carpe-sdk";

export default rule({
  about: on("gauge.level").moment("flood.rising").action("alert"),
  configuration: { above_cm: integer({}) },
  state: { cm: 0, rises: 0 },

  onEvent(event, gauge, out) {
    const { level, n } = event.data();
    gauge.rises = gauge.cm > 0 && level > gauge.cm ? gauge.rises + 1 : 0;
    gauge.cm = level;
    if (gauge.rises >= 3 && level > this.above_cm) {
      out.moment("flood.rising").why(`${level} cm, and rising`).action("alert", { gauge: event.key, n, level });
    }
  },
});
