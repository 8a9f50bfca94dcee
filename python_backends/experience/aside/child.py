"""`python -m python_backends.experience.aside.child`: one job, as JSON on stdin; its answer, as JSON, on stdout.

It ends with its parent. A job that fails ends it with status 1 and the reason on stderr.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

from pixelis.index_config import IndexConfig
from python_backends.experience.aside.block import mapped
from python_backends.experience.aside.learn import learn, write
from python_backends.experience.tuning.choice import Limits
from python_backends.experience.tuning.grid import Grid
from python_backends.experience.tuning.retune import chosen

NICE = 5
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read the job, do it, answer."""
    job = json.load(sys.stdin)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job["parent"]:  # it went before that was asked for
        sys.exit(1)
    if job["idle"]:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # whoever else wakes up has the core at once
    else:
        os.nice(NICE)
    blocks = [mapped(block["descriptor"], block["count"], block["width"]) for block in job["blocks"]]
    json.dump(_done(job, blocks), sys.stdout)


def _done(job: dict[str, Any], blocks: list[Any]) -> dict[str, Any]:
    if job["task"] == "learn":
        write(learn(IndexConfig.model_validate(job["config"]), blocks[0]), job["result"])
        return {}
    grids = [Grid.model_validate(grid) for grid in job["grids"]]
    found = chosen(blocks[0], blocks[1], Limits.model_validate(job["limits"]), grids)
    return {"config": found.model_dump(mode="json") if found is not None else None}


if __name__ == "__main__":
    main()
