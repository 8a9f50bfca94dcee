"""A scenario for locust: `PIXELIS_LOAD_SCENARIO` names it.

Several machines: `python -m perf.load --master` on one, `--worker --master-host` on the others.
"""

# ruff: noqa: E402
from __future__ import annotations

import grpc.experimental.gevent

grpc.experimental.gevent.init_gevent()  # before any channel: gRPC's threads would hold up all users of the process

import os
import time

from locust import LoadTestShape

from perf.load.scenario import load
from perf.load.users import classes

SCENARIO = load(os.environ.get("PIXELIS_LOAD_SCENARIO", "mixed"))
MOST = int(os.environ.get("PIXELIS_LOAD_USERS", "16"))
SECONDS = float(os.environ.get("PIXELIS_LOAD_SECONDS", "60"))

globals().update(
    classes(
        SCENARIO,
        os.environ.get("PIXELIS_LOAD_GRPC") or None,
        os.environ.get("PIXELIS_LOAD_GATEWAY", "127.0.0.1:8080"),
    )
)

if SCENARIO.stages:

    class Stages(LoadTestShape):
        """As many users as the scenario's stage has."""

        def tick(self) -> tuple[int, float] | None:
            """Users, and how many more of them a second."""
            users = SCENARIO.users_at((time.perf_counter() - self.start_time) / SECONDS, MOST)
            return None if users is None else (users, float(MOST))
