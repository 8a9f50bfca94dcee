"""The real perf_analyzer keeps asking while the artifact is rolled back and forth under it."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from perf.perf_analyzer import PerfAnalyzer
from perf.rollback.scene import Scene
from perf.sweep.stamps import stamps
from pixelis.errors import PixelisError, ServingError
from pixelis.schema import Claim

PACE = 100
"""Requests that tell how fast answers come."""
SETTLE_S = 1.0
"""Before the first rollback and after each: enough requests go to every version."""


def run(
    tool: PerfAnalyzer, scene: Scene, data: dict[str, Any], seconds: float, concurrency: int, rollbacks: int
) -> tuple[list[dict[str, Any]], list[Claim]]:
    """One row for the load and one for each rollback, and the claim that no request failed.

    Raises:
        ServingError: the load ended before the last rollback, so nothing was shown.
    """
    with tempfile.TemporaryDirectory(prefix="pixelis-rollback-") as folder:
        load = _Load(tool, scene, data, concurrency, Path(folder))
        load.last(seconds)
        load.start()
        time.sleep(SETTLE_S)
        rows, order = [], sorted(scene.forms)
        for number in range(rollbacks):
            rows.append({"row": "rollback", **scene.back(order[number % len(order)])})
            if not load.is_alive() and load.failure is None:
                mend = "Let it last longer: --seconds."
                raise ServingError(f"The load ended during rollback {number + 1} of {rollbacks}.", mend=mend)
            time.sleep(SETTLE_S)
        load.join()
        return [load.row(), *rows], [_claim(load, rollbacks)]


class _Load(threading.Thread):
    """perf_analyzer, beside this process."""

    def __init__(
        self,
        tool: PerfAnalyzer,
        scene: Scene,
        data: dict[str, Any],
        concurrency: int,
        folder: Path,
    ) -> None:
        super().__init__()
        self.tool, self.asked, self.requests, self.concurrency = tool, scene.asked, PACE, concurrency
        self.export, self.failure = folder / "requests-answered.json", None
        self.arguments = ["-m", scene.asked, "-i", "grpc", "-u", scene.url]
        self.arguments += ["--concurrency-range", f"{concurrency}:{concurrency}:1"]
        self.arguments += ["--profile-export-file", str(self.export)]
        path = folder / "data.json"
        path.write_text(json.dumps(data))
        self.arguments += ["--input-data", str(path)]

    failure: str | None

    def last(self, seconds: float) -> None:
        """See how fast answers come, and ask for so many that it takes about `seconds`.

        Raises:
            ServingError: requests fail before anything has changed.
        """
        self.run()
        if self.failure is not None:
            raise ServingError(f"Requests fail before any rollback: {self.failure}")
        sent, answered = stamps(self.export)
        self.export.unlink()
        self.requests = max(int(PACE * seconds / ((answered.max() - sent.min()) / 1e9)), PACE)

    def run(self) -> None:
        """Ends with the last answer, or upon the first error."""
        try:
            self.tool.run([*self.arguments, "--request-count", str(self.requests)], 600)
        except PixelisError as error:
            self.failure = error.message

    @property
    def answered(self) -> int:
        """Requests that were answered well."""
        return len(stamps(self.export)[1]) if self.failure is None else 0

    def row(self) -> dict[str, Any]:
        """What the callers saw."""
        row: dict[str, Any] = {
            "row": "load",
            "asked": self.asked,
            "requests": self.requests,
            "concurrency": self.concurrency,
        }
        if self.failure is not None:
            return {**row, "answered": 0, "error": self.failure}
        sent, answered = stamps(self.export)
        took = (answered - sent) / 1e6
        return {
            **row,
            "answered": len(answered),
            "p50_ms": round(float(np.percentile(took, 50)), 3),
            "p99_ms": round(float(np.percentile(took, 99)), 3),
            "max_ms": round(float(took.max()), 3),
        }


def _claim(load: _Load, rollbacks: int) -> Claim:
    failed = load.requests - load.answered
    what = f"requests of perf_analyzer that fail while the artifact is rolled back {rollbacks} times"
    return Claim(claim=what, target=0, measured=failed, unit="requests", met=failed == 0)
