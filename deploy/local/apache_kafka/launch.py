"""Format the log directory on the first start, then replace this process with the broker.

Usage: `launch.py CONFIG LOG CLUSTER JAVA…`. Imports only the standard library. A directory that was left half
formatted by a kill is deleted and formatted again.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def main(config: str, log: Path, cluster: str, java: list[str]) -> None:
    formatted = log.with_name("formatted")
    if not formatted.exists():
        shutil.rmtree(log, ignore_errors=True)
        tool = [*java, "kafka.tools.StorageTool", "format"]
        subprocess.run([*tool, f"--cluster-id={cluster}", "-c", config], check=True)  # an id may begin with -
        formatted.touch()
    os.execv(java[0], [*java, "kafka.Kafka", config])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
