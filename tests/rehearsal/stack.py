"""A project folder with everything in it that docker-compose.yml needs, all of it up, and Prometheus' word on it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from server import remains, stubs
from tests.deploy.compose import MODELS, PASSWORDS
from tests.deploy.tools import DEPLOY, ROOT
from tests.rehearsal.compose import Compose
from tests.rehearsal.engine import Engine
from tests.rehearsal.page import Hand
from tests.triton.built import link_repository

FASTER = 30
"""Windows of alerts are so much shorter, and Prometheus looks the more often; what is not a window stays as it is."""
SCRAPE_S = 1
STEADY_S = 3.0
"""So long an alert must have no reason to be over."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Stack:
    """What runs.

    Attributes:
        compose: the containers.
        hand: types what the runbook says.
        folder: the project's.
    """

    compose: Compose
    hand: Hand
    folder: Path

    @property
    def repository(self) -> Path:
        """Of models."""
        return self.folder / ".pixelis" / "ngc"

    @property
    def url(self) -> str:
        """`host:port` of nginx."""
        return f"{self.compose.network.addresses['nginx']}:8080"

    def set(self, name: str, value: str) -> None:
        """A line of `.env`."""
        path = self.folder / ".env"
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(f"{name}=")]
        path.write_text("\n".join([*lines, f"{name}={value}", ""]), encoding="utf-8")

    def edit(self, name: str, there: str, here: str) -> None:
        """Other words in a file of the project."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert there in text, (name, there)
        path.write_text(text.replace(there, here), encoding="utf-8")

    def processes(self, service: str, name: str) -> list[psutil.Process]:
        """Of a service, by the program's name."""
        return [one for one in self.compose.containers[service].processes() if name in one.name()]

    def model(self, service: str, model: str) -> list[psutil.Process]:
        """A model's processes."""
        inside = self.compose.containers[service].processes()
        marks = {mark for mark, pids in remains.marked().items() if {one.pid for one in inside} & set(pids)}
        found = [one.pid for mark in marks for one in stubs.find(mark).get(model, [])]
        return [psutil.Process(pid) for pid in found]

    def asked(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus finds."""
        found: list[dict[str, Any]] = self._got("query", query=expression)["result"]
        return found

    def reasons(self, alert: str) -> list[dict[str, str]]:
        """Labels under which an alert has a reason."""
        found = self._got("alerts")["alerts"]
        return [one["labels"] for one in found if one["labels"]["alertname"] == alert]

    def await_reason(self, alert: str, within_s: float) -> None:
        """Until Prometheus has one. Raises `AssertionError`."""
        assert until(lambda: bool(self.reasons(alert)), within_s), f"no reason for {alert} within {within_s:.0f} s"

    def await_none(self, alert: str, within_s: float) -> None:
        """Until it has had none for a while. Raises `AssertionError` with those that there are."""
        end = time.monotonic() + within_s
        since = time.monotonic()
        while time.monotonic() - since < STEADY_S:
            found = self.reasons(alert)
            since = time.monotonic() if found else since
            assert time.monotonic() < end, f"{alert} after {within_s:.0f} s: {found}"
            time.sleep(0.2)

    def _got(self, what: str, **said: str) -> Any:
        address = f"http://{self.compose.network.addresses['prometheus']}:9090/api/v1/{what}"
        with urllib.request.urlopen(f"{address}?{urllib.parse.urlencode(said)}", timeout=20) as response:
            return json.loads(response.read())["data"]


@contextlib.contextmanager
def running(folder: Path, *names: str, before: Callable[[Stack], None] = lambda _: None) -> Iterator[Stack]:
    """Everything of the profile `cpu`, or what is named, healthy.

    Args:
        folder: becomes the project's.
        names: services.
        before: changes what is there before anything starts.
    """
    _laid_out(folder)
    compose = Compose(folder, "cpu")
    engine = Engine(compose, folder / "engine", folder / "disk" / "spare")
    stack = Stack(compose, Hand(folder, folder / "engine"), folder)
    try:
        with compose.network:
            try:
                before(stack)
                stack.hand.types(f"docker compose --profile cpu up --detach {' '.join(names)}")
                for name in names or compose.services:
                    compose.until_healthy(name, 120)
                yield stack
            finally:
                compose.close()
    finally:
        engine.close()


def _laid_out(folder: Path) -> None:
    """A checkout's files, as far as they are used."""
    shutil.copy(ROOT / "docker-compose.yml", folder)
    shutil.copytree(DEPLOY, folder / "deploy")
    for path in link_repository(folder / ".pixelis" / "ngc").rglob("*"):
        if path.is_symlink():  # what it leads to is not in a container
            there = path.resolve()
            path.unlink()
            shutil.copyfile(there, path)
    lines = [f"{name}={value}" for name, value in {**PASSWORDS, **MODELS}.items()]
    (folder / ".env").write_text("\n".join([*lines, ""]), encoding="utf-8")
    path = folder / "deploy" / "prometheus" / "prometheus.yml"
    made = yaml.safe_load(path.read_text(encoding="utf-8"))
    made["global"] = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
    path.write_text(yaml.safe_dump(made), encoding="utf-8")
    path = folder / "deploy" / "prometheus" / "alerts.yml"
    path.write_text(faster(path.read_text(encoding="utf-8")), encoding="utf-8")


def faster(rules: str) -> str:
    """Rules with shorter windows, and without the patience that follows a reason."""
    rules = re.sub(r"(?m)^ +for: .*\n", "", rules)
    return re.sub(r"(\[|offset )(\d+)([smhd])\b", lambda found: f"{found[1]}{_shorter(found[2], found[3])}s", rules)


def _shorter(number: str, unit: str) -> int:
    return max(4 * SCRAPE_S, int(number) * _UNITS[unit] // FASTER)


def until(true: Callable[[], bool], within_s: float, every_s: float = 0.2) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(every_s)
    return true()
