"""The call alone, in Extism: handle_extism.py PLUGIN BATCH...

Each BATCH is a file of what the plug-in takes. Prints the nanoseconds of CPU time of one call for each. The batch is
not made anew for a call, and its effects are not taken apart: that would measure Python.
"""

import sys
import time
from pathlib import Path

import extism

EACH_NANOSECONDS = 100_000_000


def nanoseconds(plugin, batch):
    def call():
        return plugin.call("handle", batch)

    assert len(call()) > 8
    begun = time.process_time_ns()
    call()
    once = max(time.process_time_ns() - begun, 1_000)
    count = max(EACH_NANOSECONDS // once, 1)
    begun = time.process_time_ns()
    for _ in range(count):
        call()
    return (time.process_time_ns() - begun) / count


def main():
    plugin = extism.Plugin(Path(sys.argv[1]).read_bytes())
    for batch in sys.argv[2:]:
        print(nanoseconds(plugin, Path(batch).read_bytes()))


main()
