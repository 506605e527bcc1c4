"""The rule `rising` in plain Python: rising.py FILE"""

import json
import sys


def main():
    gauges = {}
    write = sys.stdout.write
    with open(sys.argv[1], "rb") as events:
        for line in events:
            event = json.loads(line)
            if event["type"] != "gauge.level":
                continue
            name, data = event["subject"], event["data"]
            level = data["level"]
            cm, rises = gauges.get(name, (0, 0))
            rises = rises + 1 if 0 < cm < level else 0
            gauges[name] = (level, rises)
            if rises >= 3 and level > 400:
                alert = {"gauge": name, "level": level, "n": data["n"]}
                write(json.dumps(alert, separators=(",", ":")) + "\n")


main()
