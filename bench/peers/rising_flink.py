"""The rule `rising` in Flink SQL, on a cluster within one JVM, without checkpoints: rising_flink.py FILE"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from pyflink import java_gateway
from pyflink.table import EnvironmentSettings, TableEnvironment

# The JVM is kept, so that it can be waited for and its time counts.
launched = []


def launch(env, args, start=java_gateway.launch_gateway_server_process):
    launched.append(start(env, args))
    return launched[-1]


java_gateway.launch_gateway_server_process = launch


def main():
    folder = Path(tempfile.mkdtemp())
    out = folder / "out"
    # A cluster leaves its libraries behind.
    os.environ["JVM_ARGS"] = f"-Djava.io.tmpdir={folder}"
    try:
        run(Path(sys.argv[1]).resolve(), out)
        # Parts that are not finished begin with a dot.
        for part in sorted(out.glob("[!.]*")):
            sys.stdout.write(part.read_text())
    finally:
        shutil.rmtree(folder)


def run(file, out):
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    # The file is one split, read in order by one task; what follows it uses both cores.
    table.get_config().set("parallelism.default", "2")
    # Fewer hand-overs between threads and, with that, the most throughput.
    table.get_config().set("pipeline.object-reuse", "true")
    sql = (Path(__file__).parent / "rising_flink.sql").read_text()
    for statement in sql.replace("'FILE'", f"'{file}'").replace("'OUT'", f"'{out}'").split(";\n"):
        if statement.strip():
            result = table.execute_sql(statement)
    result.wait()
    java_gateway.get_gateway().shutdown()
    for jvm in launched:
        jvm.stdin.close()
        jvm.wait()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # Threads of the gateway wait for a JVM that is gone.
    os._exit(0)
