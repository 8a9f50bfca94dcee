"""What the watchdog knows of each model, as a file: for `pixelis doctor`, and for whoever collects metrics.

`state/health/<http port>.json` is the whole; `<http port>.prom` says which models live and how often each was repaired,
in Prometheus' text form, as the textfile collector of node_exporter takes it. Both are written by one rename, and go
when the server stops.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from pixelis.draft import replace_text

State = Literal["healthy", "repairing", "dead"]

_REPAIRS = (
    "# HELP pixelis_repairs_total times that the watchdog loaded a model again",
    "# TYPE pixelis_repairs_total counter",
)
_HEALTHY = (
    "# HELP pixelis_model_healthy 1 = it answers, 0 = it is dead, or is being loaded again",
    "# TYPE pixelis_model_healthy gauge",
)


@dataclass
class ModelHealth:
    """One model.

    Attributes:
        state: `dead` is: a repair failed, another one follows.
        reason: of the last trouble.
        repairs: how often it was loaded again since the server started.
        repaired_at: when the last repair ended, in seconds since the epoch.
        repair_s: from the noticing of the last trouble to a good answer.
    """

    state: State = "healthy"
    reason: str | None = None
    repairs: int = 0
    repaired_at: float | None = None
    repair_s: float | None = None


class Health:
    """The health of one server's models. Safe to share between threads.

    Args:
        folder: `state/health`.
        port: the server's HTTP port.
        models: their names.
    """

    def __init__(self, folder: Path, port: int, models: list[str]) -> None:
        self._json, self._prom = folder / f"{port}.json", folder / f"{port}.prom"
        self._server = f"{socket.gethostname()}:{port}"  # files of several servers are collected together
        self._lock = threading.Lock()
        self._models = {name: ModelHealth() for name in models}
        self._write()

    def know(self, name: str) -> None:
        """One more model, which was loaded on demand; known before or not."""
        with self._lock:
            if name not in self._models:
                self._models[name] = ModelHealth()
                self._write()

    def __getitem__(self, name: str) -> ModelHealth:
        return self._models[name]

    def trouble(self, name: str, state: State, reason: str) -> None:
        """A model has died, or a repair of it has failed."""
        with self._lock:
            self._models[name].state, self._models[name].reason = state, reason
            self._write()

    def repaired(self, name: str, seconds: float) -> None:
        """A model answers again."""
        with self._lock:
            model = self._models[name]
            model.state, model.repair_s, model.repaired_at = "healthy", round(seconds, 3), time.time()
            model.repairs += 1
            self._write()

    def healthy(self, name: str) -> None:
        """A model answers again, or was unloaded on purpose, without a repair of ours."""
        with self._lock:
            if self._models[name].state != "healthy":
                self._models[name].state = "healthy"
                self._write()

    def forget(self) -> None:
        """The server has stopped."""
        for path in (self._json, self._prom):
            path.unlink(missing_ok=True)

    def _write(self) -> None:
        replace_text(
            self._json, json.dumps({name: asdict(model) for name, model in self._models.items()}, indent=1) + "\n"
        )
        replace_text(self._prom, "\n".join([*self._told()]) + "\n")

    def _told(self) -> Iterator[str]:
        labels = {name: f'{{model="{name}",server="{self._server}"}}' for name in self._models}
        yield from _REPAIRS
        yield from (f"pixelis_repairs_total{labels[name]} {model.repairs}" for name, model in self._models.items())
        yield from _HEALTHY
        for name, model in self._models.items():
            yield f"pixelis_model_healthy{labels[name]} {int(model.state == 'healthy')}"


def read(folder: Path, port: int) -> dict[str, ModelHealth]:
    """What the watchdog of the server on `port` has written; empty where there is none."""
    try:
        fields = json.loads((folder / f"{port}.json").read_text(encoding="utf-8"))
        found = {name: ModelHealth(**model) for name, model in fields.items()}
        return found if all(model.state in get_args(State) for model in found.values()) else {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # no watchdog, or one of another version: `doctor` asks the models itself
