"""The rule `rising` in Bytewax, with one worker and no recovery store: rising_bytewax.py FILE"""

import json
import sys
from datetime import timedelta

import bytewax.operators as op
from bytewax.connectors.files import FileSource
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main


def reading(line):
    event = json.loads(line)
    if event["type"] != "gauge.level":
        return None
    data = event["data"]
    return event["subject"], (data["level"], data["n"])


def rising(gauge, reading):
    cm, rises = gauge or (0, 0)
    level, _ = reading
    rises = rises + 1 if 0 < cm < level else 0
    alert = reading if rises >= 3 and level > 400 else None
    return (level, rises), alert


def line(alert):
    gauge, found = alert
    if found is None:
        return None
    level, n = found
    return json.dumps({"gauge": gauge, "level": level, "n": n}, separators=(",", ":"))


flow = Dataflow("rising")
# A large batch, for throughput.
lines = op.input("lines", flow, FileSource(sys.argv[1], batch_size=10_000))
readings = op.filter_map("readings", lines, reading)
found = op.stateful_map("rising", readings, rising)
op.output("alerts", op.filter_map("print", found, line), StdOutSink())

# As `python -m bytewax.run` has it without recovery.
cli_main(flow, epoch_interval=timedelta(seconds=10))
