// The rule `rising` in plain Node: node rising.mjs FILE
import { createReadStream } from "node:fs";

const gauges = new Map();
let alerts = "";

function take(line) {
  const { type, subject, data } = JSON.parse(line);
  if (type !== "gauge.level") return;
  let gauge = gauges.get(subject);
  if (gauge === undefined) gauges.set(subject, (gauge = { cm: 0, rises: 0 }));
  const { level, n } = data;
  gauge.rises = gauge.cm > 0 && level > gauge.cm ? gauge.rises + 1 : 0;
  gauge.cm = level;
  if (gauge.rises >= 3 && level > 400) {
    alerts += `${JSON.stringify({ gauge: subject, level, n })}\n`;
  }
}

// Lines are split here: a little faster than `readline`.
let rest = "";
for await (const chunk of createReadStream(process.argv[2], { encoding: "utf8", highWaterMark: 1 << 18 })) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop();
  for (const line of lines) take(line);
  if (alerts !== "") process.stdout.write(alerts);
  alerts = "";
}
if (rest !== "") take(rest);
process.stdout.write(alerts);
