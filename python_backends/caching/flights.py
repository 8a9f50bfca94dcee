"""One computation of a value at a time in this process; whoever comes meanwhile waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence


class Flight:
    """A computation under way."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._value: bytes | None = None

    def land(self, value: bytes | None) -> None:
        """It ended with a value, or with none: then those who wait see to themselves. Only the first end counts."""
        if not self._over.is_set():
            self._value = value
            self._over.set()

    def wait(self, seconds: float) -> bytes | None:
        """The value; none where it failed or takes longer."""
        return self._value if self._over.wait(max(0.0, seconds)) else None


class Flights:
    """What is being computed. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, Flight] = {}

    def join(self, names: Sequence[str]) -> tuple[dict[str, Flight], dict[str, Flight]]:
        """Those that are the caller's to compute from now on, and those that others compute.

        The caller must `land` each of his own, whatever happens, before he waits for any other.
        """
        with self._lock:
            theirs = {name: self._flying[name] for name in names if name in self._flying}
            mine = {name: Flight() for name in names if name not in theirs}
            self._flying.update(mine)
        return mine, theirs

    def land(self, name: str, flight: Flight, value: bytes | None) -> None:
        """End one's own; one that has ended stays as it is, and so does the one that another began since."""
        with self._lock:
            if self._flying.get(name) is flight:
                del self._flying[name]
        flight.land(value)
