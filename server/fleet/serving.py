"""The life of a fleet: from the first process to the last, with orders in between."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pixelis.errors import PixelisError, SetupError, Unavailable
from pixelis.settings import Settings
from server import checks
from server.fleet.clock import Clock
from server.fleet.fleet import LOOK_S, Fleet, Steps
from server.fleet.orders import Orders, Taken, order
from server.fleet.places import Places
from server.fleet.status import status


def serve(config: Settings, asked: threading.Event, say: Callable[[str], None], ready: Callable[[Fleet], None]) -> None:
    """Until `asked`; whatever was started has ended then.

    Args:
        config: this process's settings.
        asked: set by whoever wants it to end.
        say: takes a line for people.
        ready: called once, when requests are taken.

    Raises:
        SetupError: something is not installed, a port is taken, a fleet of this state folder runs already.
        Unavailable: a part does not come up.
    """
    fleet = Fleet(config, say)
    _require_alone(fleet.places)
    _require_ports(fleet)
    with contextlib.ExitStack() as stack:
        stack.callback(fleet.stop)
        fleet.run(_until(asked, fleet.start()))
        if asked.is_set():
            return
        orders = Orders(fleet.places.socket)
        stack.callback(orders.close)
        ready(fleet)
        _watch(fleet, orders, asked, say)


class _Told(Protocol):
    """Whoever is told what comes of something that takes time."""

    def say(self, line: str) -> None:
        """Something to tell."""

    def end(self, found: dict[str, Any] | None = None, error: PixelisError | None = None) -> None:
        """That was all."""


@dataclass(frozen=True)
class _People:
    """Nobody ordered it: the fleet's own output."""

    say: Callable[[str], None]

    def end(self, found: dict[str, Any] | None = None, error: PixelisError | None = None) -> None:
        if error is not None:
            self.say(str(error))


def _watch(fleet: Fleet, orders: Orders, asked: threading.Event, say: Callable[[str], None]) -> None:
    under_way: list[tuple[_Told, Steps]] = []
    clock = Clock()
    while not asked.wait(LOOK_S):
        fleet.look()
        if back := clock.set_back():
            # Timers of gRPC in Triton 2.51 wait until a time of day: streams hang for as long as it was set back.
            say(f"the clock was set back by {back:.0f} s: each replica is started anew, one after the other")
            under_way.append((_People(say), fleet.roll()))
        while not orders.taken.empty():
            taken = orders.taken.get()
            if taken.order.what == "status":
                taken.end(status(fleet))
            else:
                under_way.append((taken, _steps(fleet, taken)))
        if under_way and not _further(*under_way[0]):
            under_way.pop(0)
    for told, _ in under_way:
        told.end(error=Unavailable("The fleet ends."))


def _steps(fleet: Fleet, taken: Taken) -> Steps:
    numbers = taken.order.numbers
    if taken.order.what == "add":
        return fleet.add()
    if taken.order.what == "remove":
        return _each(fleet, numbers)
    return fleet.roll(numbers)


def _each(fleet: Fleet, numbers: list[int]) -> Steps:
    for number in numbers:
        yield from fleet.remove(number)


def _further(told: _Told, steps: Steps) -> bool:
    """One step; whether there are more."""
    try:
        line = next(steps)
    except StopIteration:
        told.end()
        return False
    except PixelisError as error:
        told.end(error=error)
        return False
    if line is not None:
        told.say(line)
    return True


def _until(asked: threading.Event, steps: Steps) -> Iterator[str | None]:
    for line in steps:
        if asked.is_set():
            return
        yield line


def _require_alone(places: Places) -> None:
    places.state.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PixelisError):
        list(order(places.socket, "status", []))
        raise _Runs
    # What a fleet that was killed had started ends by itself; its ports are free a moment later.


class _Runs(SetupError):
    def __init__(self) -> None:
        super().__init__("A fleet of this state folder runs already.", mend="`pixelis fleet status` shows it.")


def _require_ports(fleet: Fleet) -> None:
    places, config = fleet.places, fleet.config.fleet
    wanted: dict[str, Any] = {
        "balancer": (config.host, config.port),
        "balancer's gRPC": (config.host, config.grpc_port),
    }
    if config.cache_url is None:
        wanted["cache"] = ("127.0.0.1", places.cache_port)
    if config.log_url is None:
        wanted["log"] = ("127.0.0.1", places.log_port)
    if fleet.watcher.part is not None:
        wanted["prometheus"] = ("127.0.0.1", places.prometheus_port)
    for name, (host, port) in wanted.items():
        _require_port(name, host, port)


def _require_port(name: str, host: str, port: int, patience_s: float = 5.0) -> None:
    end = time.monotonic() + patience_s
    while True:
        found = checks.port(name, host, port)
        if found.level == "ok":
            return
        if time.monotonic() > end:
            raise SetupError(
                f"The {name}'s port {port} is taken.",
                mend="Choose others: PIXELIS_FLEET__PORT, PIXELIS_FLEET__GRPC_PORT, PIXELIS_FLEET__BASE_PORT.",
            )
        time.sleep(0.2)
