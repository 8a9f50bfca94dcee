"""Processes that die, and such that stand still."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence

import psutil

from perf.chaos.fault import Wound
from perf.chaos.fleet import Running

Pids = Callable[[Running], Sequence[int]]
"""Whom it takes, at the moment in which it is to take them."""


def killed(pids: Pids) -> Wound:
    """`kill -9`. Well again is: the fleet is whole, and others are in their place."""

    @contextlib.contextmanager
    def wound(fleet: Running) -> Iterator[Callable[[], bool]]:
        taken = list(pids(fleet))
        assert taken
        for pid in taken:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        def well() -> bool:
            return fleet.whole() and _others(fleet, pids, taken)

        yield well

    return wound


def stopped(pids: Pids) -> Wound:
    """SIGSTOP, and SIGCONT on exit to those that are still there: a watchdog may have ended some meanwhile."""

    @contextlib.contextmanager
    def wound(fleet: Running) -> Iterator[Callable[[], bool]]:
        taken = [psutil.Process(pid) for pid in pids(fleet)]
        for one in taken:
            one.suspend()
        try:
            yield fleet.whole
        finally:
            for one in taken:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.resume()

    return wound


def part(name: str) -> Pids:
    """A part of the fleet."""

    def pids(fleet: Running) -> list[int]:
        pid = fleet.part(name)["pid"]
        return [] if pid is None else [int(pid)]

    return pids


def balancer(fleet: Running) -> list[int]:
    """nginx and its workers."""
    found = list(part("nginx")(fleet))
    with contextlib.suppress(psutil.NoSuchProcess):
        found += [int(child.pid) for pid in found for child in psutil.Process(pid).children()]
    return found


def stub(model: str, replica: int = 1) -> Pids:
    """A model's processes."""
    return lambda fleet: fleet.stub(replica, model)


def triton(replica: int = 1) -> Pids:
    """A replica's tritonserver, without what watches it."""
    return lambda fleet: [fleet.triton(replica)]


def replica(number: int = 1) -> Pids:
    """All of a replica at once: what watches it, Triton, its models, and the gateway."""

    def pids(fleet: Running) -> list[int]:
        fronts = [fleet.part(f"{name}-{number}")["pid"] for name in ("triton", "gateway")]
        found = [pid for pid in fronts if pid is not None]
        every = [child.pid for pid in found for child in psutil.Process(pid).children(recursive=True)]
        return found + every

    return pids


def _others(fleet: Running, pids: Pids, taken: list[int]) -> bool:
    try:
        found = list(pids(fleet))
    except Exception:  # it is coming up: asked again in a moment
        return False
    return len(found) >= 1 and not set(found) & set(taken)
