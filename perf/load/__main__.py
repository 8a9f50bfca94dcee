"""`python -m perf.load`: locust with our scenarios, for several machines.

Arguments are locust's own (`--master`, `--worker`, `--users`, …); which scenario and whom it asks the environment says,
as for `locustfile.py`. On one machine `pixelis load` does all of this by itself.
"""

from __future__ import annotations

import os
import sys

from perf.load.run import FILE


def main() -> None:
    """Become locust."""
    os.execv(sys.executable, [sys.executable, "-m", "locust", "--locustfile", str(FILE), *sys.argv[1:]])


if __name__ == "__main__":
    main()
