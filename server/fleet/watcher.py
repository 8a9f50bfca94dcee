"""Prometheus over a fleet: Triton's and the gateways' metrics, with the alerts of `deploy/prometheus/`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence

from pixelis.draft import replace_text
from server.fleet.part import Part
from server.fleet.places import Places, deployed
from server.fleet.replica import Replica, status

KEPT = "15d"


class Watcher:
    """Prometheus of a fleet; there is none where it is not installed or not wanted.

    Args:
        places: of the fleet.
    """

    def __init__(self, places: Places) -> None:
        self._folder = places.folder("prometheus").absolute()
        binary = shutil.which("prometheus") if places.config.prometheus else None
        self.missing = places.config.prometheus and binary is None
        self.part: Part | None = None
        if binary is None:
            return
        port = places.prometheus_port
        command = [
            binary,
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--storage.tsdb.retention.time={KEPT}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        environment = {"PATH": os.environ.get("PATH", ""), "GOMAXPROCS": "1"}
        self.part = Part("prometheus", command, environment, places.log("prometheus"), lambda: _ready(port))

    def write(self, replicas: Sequence[Replica]) -> None:
        """Its configuration, and whom it asks; the latter it reads again by itself."""
        targets = [_target("triton", one.metrics, one.number) for one in replicas]
        targets += [_target("gateway", one.gateway, one.number) for one in replicas]
        replace_text(self._folder / "targets.json", json.dumps(targets, indent=1))
        (self._folder / "prometheus.yml").write_text(_config(str(self._folder / "targets.json")), encoding="utf-8")


def _target(job: str, port: int, number: int) -> dict[str, object]:
    return {"targets": [f"127.0.0.1:{port}"], "labels": {"job": job, "replica": str(number)}}


def _config(targets: str) -> str:
    """JSON is YAML, and needs no library here."""
    said = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(deployed("prometheus/alerts.yml"))],
        "scrape_configs": [{"job_name": "pixelis", "file_sd_configs": [{"files": [targets]}]}],
    }
    return json.dumps(said, indent=1)


def _ready(port: int) -> bool:
    return status(port, "/-/ready") == 200
