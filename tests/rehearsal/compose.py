"""What Compose does with docker-compose.yml, as far as the runbook asks for it; docker-compose reads the file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.container import Container
from tests.rehearsal.images import PATH, image
from tests.rehearsal.network import Network
from tests.rehearsal.plan import Mounts, Plan, plain, plan, seconds

Services = dict[str, dict[str, Any]]
EXEC_S = 60.0
"""Longer than a command of the runbook may take."""


class Compose:
    """The services of a folder with a docker-compose.yml and an .env.

    Args:
        folder: the project's.
        profile: which services there are.
    """

    def __init__(self, folder: Path, profile: str) -> None:
        self.folder, self._profile = folder, profile
        self.services = self.read({})
        self.containers: dict[str, Container] = {}
        self.more: dict[str, Mounts] = {}
        """Mounts of a service beside those of the file."""
        self._healthy: dict[str, float] = {}
        self.network = Network(self.services, folder / "hosts")

    def read(self, environment: Mapping[str, str]) -> Services:
        """Services that are run here, names filled in. Raises `ValueError` with what docker-compose says."""
        words = ["docker-compose", "--profile", self._profile, "config"]
        known = {"PATH": PATH, "HOME": str(self.folder), **environment}
        done = subprocess.run(words, cwd=self.folder, env=known, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(done.stderr.strip())
        found: Services = yaml.safe_load(done.stdout)["services"]
        ours = {name: one for name, one in found.items() if self._profile in one.get("profiles", [])}
        return {name: one for name, one in ours.items() if image(one["image"]) is not None}

    def up(self, names: Sequence[str], environment: Mapping[str, str], *, force: bool = False) -> None:
        """Those that are not there, that are made from another text now, or all of them by `force`; and their like.

        Who depends on the health of another one waits for it.
        """
        self.services = self.read(environment)
        wanted = list(names) or list(self.services)
        needed = [one for name in wanted for one in self.services[name].get("depends_on", {}) if one not in wanted]
        first = sorted({*needed, *wanted} & {"redis-cache", "redis-log"})
        for batch in (first, [name for name in wanted if name not in first]):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda name: self._renew(name, force=force and name in wanted), batch))
            for name in batch if batch is first else []:
                self.until_healthy(name, 30)

    def _renew(self, name: str, *, force: bool) -> None:
        made, there = self._plan(name), self.containers.get(name)
        if there is not None and there.plan.told == made.told and not force:
            if there.stopped:
                there.start()
            return
        if there is not None:
            there.stop()
            there.log.unlink(missing_ok=True)
        fresh = Container(made, self.network.space(name), self.folder / "containers" / name, self.network.hosts)
        self.containers[name] = fresh
        fresh.start()

    def restart(self, names: Sequence[str]) -> None:
        """The same containers again; what the file says now is not looked at."""
        self.stop(names)
        for name in names:
            self.containers[name].start()

    def stop(self, names: Sequence[str] = ()) -> None:
        """Until they are started again."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: self.containers[name].stop(), list(names) or list(self.containers)))

    def execute(self, name: str, command: Sequence[str], timeout_s: float = EXEC_S) -> tuple[int, str]:
        """A command in a container: how it ends, and what it prints."""
        return self.containers[name].entered(command, timeout_s)

    def logs(self, names: Sequence[str], tail: int, *, prefix: bool = True) -> str:
        """The last lines of each."""
        found = []
        for name in names:
            text = self.containers[name].log.read_text(encoding="utf-8", errors="replace")
            found += [f"{name}  | {line}" if prefix else line for line in text.splitlines()[-tail:]]
        return "\n".join([*found, ""])

    def ps(self) -> str:
        """What is up, and how it is."""
        running = [name for name, one in self.containers.items() if not one.stopped]
        with ThreadPoolExecutor(8) as pool:
            states = list(pool.map(self.state, running))
        lines = [f"{name:<22}{state}" for name, state in zip(running, states, strict=True)]
        return "\n".join([f"{'SERVICE':<22}STATUS", *lines, ""])

    def state(self, name: str) -> str:
        """As `docker compose ps` says it. Health is asked now, not every ten seconds."""
        one = self.containers[name]
        since_s = time.monotonic() - one.since
        if one.pid is None:
            return f"Exited ({one.code})" if one.stopped else f"Restarting ({one.code}) {since_s:.0f} seconds ago"
        return f"Up {since_s:.0f} seconds ({self.health(name)})"

    def health(self, name: str) -> str:
        """`healthy`, `unhealthy`, or `starting` for as long as it may."""
        check, one = self.services[name]["healthcheck"], self.containers[name]
        kind, *words = check["test"]
        command = ["sh", "-c", plain(words[0])] if kind == "CMD-SHELL" else words
        code, _ = one.entered(command, seconds(check["timeout"]))
        if code == 0:
            self._healthy[name] = one.since
            return "healthy"
        young = time.monotonic() - one.since < seconds(check.get("start_period", "0s"))
        return "starting" if young and self._healthy.get(name) != one.since else "unhealthy"

    def until_healthy(self, name: str, within_s: float) -> None:
        """Waits. Raises `TimeoutError` with its last words."""
        end = time.monotonic() + within_s
        while self.containers[name].pid is None or self.health(name) != "healthy":
            if time.monotonic() > end:
                raise TimeoutError(f"{name} is not healthy after {within_s:.0f} s:\n{self.logs([name], 20)}")
            time.sleep(0.3)

    def close(self) -> None:
        """All of it ends."""
        self.stop()
        for one in self.containers.values():
            one.forget()

    def _plan(self, name: str) -> Plan:
        return plan(name, self.services[name], self.folder / "volumes", self.more.get(name, ()))
