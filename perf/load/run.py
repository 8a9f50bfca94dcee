"""locust as a process of its own, and what it counted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.load.scenario import Scenario
from pixelis.errors import ServingError

FILE = Path(__file__).with_name("locustfile.py")
STOP_S = 30
"""Requests that are under way at the end have so long."""


@dataclass(frozen=True)
class Plan:
    """What `pixelis load` was asked for.

    Attributes:
        name: of the scenario, or its file.
        scenario: what is in it.
        users: at most.
        seconds: of the run.
        grpc: `host:port`; none = the settings' server.
        gateway: `host:port`.
        html: where locust's own report goes; none = nowhere.
    """

    name: str
    scenario: Scenario
    users: int
    seconds: float
    grpc: str | None
    gateway: str
    html: Path | None


def run(plan: Plan, tick: Callable[[float], None]) -> list[dict[str, Any]]:
    """A row for each kind of request.

    Args:
        plan: what to do.
        tick: called with the seconds that have gone, now and then.

    Raises:
        ServingError: locust failed, or nothing was asked.
    """
    with tempfile.TemporaryDirectory(prefix="pixelis-load-") as folder:
        counted = Path(folder) / "counted"
        with (Path(folder) / "log").open("w+b") as log:
            process = subprocess.Popen(
                _command(plan, counted),
                env=_environment(plan),
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours: locust is asked to end and its answers are waited for
            )
            try:
                _wait(process, tick)
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):  # then it is killed below
                    process.wait(STOP_S + 5)
                raise
            finally:
                if process.poll() is None:
                    process.kill()
            log.seek(0)
            said = log.read().decode(errors="replace")
        found = counted.with_name("counted.json")
        if process.returncode not in (0, 1) or not found.exists():  # 1 = some requests failed
            raise ServingError(f"locust ended with {process.returncode}: {said.strip()[-400:]}")
        rows = [_row(one) for one in json.loads(found.read_text(encoding="utf-8"))]
    if not rows:
        raise ServingError(f"Nothing was asked: {said.strip()[-400:]}", mend="Raise --seconds.")
    return sorted(rows, key=lambda row: row["name"])


def _wait(process: subprocess.Popen[bytes], tick: Callable[[float], None]) -> None:
    begun = time.monotonic()
    while process.poll() is None:
        tick(time.monotonic() - begun)
        time.sleep(0.2)


def _command(plan: Plan, counted: Path) -> list[str]:
    line = [sys.executable, "-m", "locust", "--locustfile", str(FILE), "--headless", "--skip-log-setup"]
    line += ["--json-file", str(counted), "--stop-timeout", str(STOP_S), "--run-time", f"{plan.seconds:g}s"]
    if not plan.scenario.stages:
        line += ["--users", str(plan.users), "--spawn-rate", str(plan.users)]
    if plan.html is not None:
        line += ["--html", str(plan.html.absolute())]
    return line


def _environment(plan: Plan) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    name = str(Path(plan.name).absolute()) if Path(plan.name).is_file() else plan.name
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "PIXELIS_LOAD_SCENARIO": name,
        "PIXELIS_LOAD_USERS": str(plan.users),
        "PIXELIS_LOAD_SECONDS": str(plan.seconds),
        "PIXELIS_LOAD_GRPC": plan.grpc or "",
        "PIXELIS_LOAD_GATEWAY": plan.gateway,
    }


def _row(one: dict[str, Any]) -> dict[str, Any]:
    """Of what locust counts: times in milliseconds, as often as each occurred."""
    times = sorted((float(ms), int(count)) for ms, count in one["response_times"].items())
    answered, seconds = one["num_requests"], one["last_request_timestamp"] - one["start_time"]
    row = {"row": "requests", "name": one["name"], "kind": one["method"], "requests": answered}
    row |= {"failed": one["num_failures"], "per_s": round(answered / seconds, 2) if seconds > 0 else 0.0}
    return row | {f"p{share}_ms": _percentile(times, share / 100) for share in (50, 90, 95, 99)}


def _percentile(times: list[tuple[float, int]], share: float) -> float:
    left = share * sum(count for _, count in times)
    for ms, count in times:
        left -= count
        if left <= 0:
            return ms
    return times[-1][0] if times else 0.0
