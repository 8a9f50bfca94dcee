"""What workers counted, read from their files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from clients.gateway.ledger import Standing
from clients.gateway.metrics import Metrics
from clients.metrics import parse

COUNTS = """
from pathlib import Path
from clients.gateway.metrics import Metrics
metrics = Metrics(Path({folder!r}))
metrics.answered(True)
metrics.seconds.labels("/infer", "ok").observe(0.02)
"""


def test_counts_of_processes_that_have_ended_add_up(tmp_path: Path) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNTS.format(folder=str(tmp_path))], env=environment, check=True)
    (tmp_path / "counter_1.db").touch()  # of a worker that was killed in the moment in which it began
    metrics = Metrics(tmp_path)
    assert (metrics.cached(), metrics.requests()) == ({"hit": 2, "miss": 0}, {"/infer": {"ok": 2}})
    found = parse(metrics.text(Standing(3, 1, 2, 9.0, {"0": 0})).decode())
    assert found['pixelis_gateway_request_seconds_bucket{le="0.025",outcome="ok",route="/infer"}'] == 2
    assert (found["pixelis_gateway_in_flight"], found["pixelis_gateway_workers"]) == (3, 1)
    assert found['pixelis_gateway_waiting{class="ordinary"}'] == 2
    assert not [name for name in found if "process" in name]  # there is no such process
