"""A fleet that is started to be broken: `pixelis up` as a process of its own, and what it says of its parts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pixelis.errors import PixelisError, SetupError, Unavailable
from pixelis.fleet_config import STEP
from server import remains, stubs
from server.fleet.orders import order

READY_S = 300.0
_PORTS = 20 + 4 * STEP


@dataclass(frozen=True)
class Running:
    """A fleet under test.

    Attributes:
        process: `pixelis up`.
        state: its folder.
        rest: URL of REST.
        grpc: `host:port` of Triton's gRPC, of the balancer.
        log: what it prints.
    """

    process: subprocess.Popen[bytes]
    state: Path
    rest: str
    grpc: str
    log: Path

    def ordered(self, what: str, *numbers: int) -> dict[str, Any]:
        """What comes of an order, without what is said meanwhile. Raises what the fleet says."""
        lines = order(self.state / "fleet" / "orders.sock", what, list(numbers))
        return next((line for line in lines if isinstance(line, dict)), {})

    def part(self, name: str) -> dict[str, Any]:
        """What a part does: `state`, `pid`, `restarts`. A fleet that does not answer has none."""
        with contextlib.suppress(PixelisError):
            for one in self.ordered("status")["parts"]:
                if one["part"] == name:
                    return dict(one)
        return {"state": "unknown", "pid": None, "restarts": 0}

    def replicas(self) -> list[dict[str, Any]]:
        """Each with its addresses, and whether it gets requests."""
        return list(self.ordered("status")["replicas"])

    def whole(self) -> bool:
        """Whether every part is ready and every replica gets requests."""
        try:
            found = self.ordered("status")
        except PixelisError:
            return False
        parts = all(part["state"] == "ready" for part in found["parts"])
        return parts and all(replica["gets_requests"] for replica in found["replicas"])

    def server_id(self, replica: int) -> str:
        """The mark of a replica's Triton."""
        records = remains.records(self.state / "fleet" / f"replica-{replica}" / "servers").values()
        alive = [one.server_id for one in records if one.alive]
        if not alive:
            raise Unavailable(f"Replica {replica} has no server.")
        return alive[0]

    def stub(self, replica: int, model: str) -> list[int]:
        """Process ids of a model."""
        return [one.pid for one in stubs.find(self.server_id(replica)).get(model, [])]

    def triton(self, replica: int) -> int:
        """Process id of a replica's tritonserver."""
        for pid in remains.marked().get(self.server_id(replica), []):
            with contextlib.suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).name() == "tritonserver":
                    return pid
        raise Unavailable(f"Replica {replica} has no tritonserver.")


@contextlib.contextmanager
def running(state: Path, environment: Mapping[str, str], *, before: Sequence[str] = ()) -> Iterator[Running]:
    """A fleet of two replicas, ready; ended afterwards.

    Args:
        state: its folder.
        environment: settings beside this process's.
        before: a command in front, which runs the rest in surroundings of its own.

    Raises:
        SetupError: it does not start, with what it said.
    """
    port = _free()
    told = {
        "PIXELIS_STATE": str(state),
        "PIXELIS_FLEET__PORT": str(port),
        "PIXELIS_FLEET__GRPC_PORT": str(port + 1),
        "PIXELIS_FLEET__BASE_PORT": str(port + 2),
        **environment,
    }
    state.mkdir(parents=True, exist_ok=True)
    log = state / "up.log"
    command = [*before, sys.executable, "-m", "pixelis", "up", "--json"]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    try:
        found = _announced(process, log)
        yield Running(process, state, found["endpoints"]["rest"], found["endpoints"]["grpc"], log)
    finally:
        _end(process)


def _announced(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()  # ends with the process where that ends first
    if not line:
        said = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
        raise SetupError(f"The fleet did not start: {said}")
    found: dict[str, Any] = json.loads(line)
    if "error" in found:
        raise SetupError(f"The fleet did not start: {found['error']}", mend=found.get("mend"))
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free() -> int:
    """The first of a row of free ports of loopback."""
    for first in range(20_000, 30_000, _PORTS + 2):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + _PORTS + 2):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise SetupError("No row of free ports was found.")


def until(true: Any, within_s: float, every_s: float = 0.05) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(every_s)
    return bool(true())
