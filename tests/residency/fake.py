"""A loader without a server: sizes, and loads that take as long as a test says."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from pixelis.errors import PixelisError, ServingError
from python_backends.residency.kept import Size


@dataclass
class FakeLoader:
    """See `kept.Loader`. `held` loads wait until a test lets them go on."""

    sizes: dict[str, int]
    there: set[str] = field(default_factory=set)
    seconds: float = 0.0
    broken: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    unloads: list[str] = field(default_factory=list)
    most: int = 0
    held: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.held.set()
        self._lock = threading.Lock()
        self._memory = set(self.there)

    def names(self) -> list[str]:
        return sorted(self.sizes)

    def size(self, name: str) -> Size:
        return Size(self.sizes[name], "said by a test")

    def loaded(self, name: str) -> bool:
        return name in self.there

    def load(self, name: str) -> None:
        with self._lock:
            self.loads.append(name)
            assert name not in self._memory, "loaded twice"
            self._memory.add(name)
            self.most = max(self.most, sum(self.sizes[one] for one in self._memory))
        self.held.wait(10)
        time.sleep(self.seconds)
        if name in self.broken:
            with self._lock:
                self._memory.discard(name)
            raise ServingError(f"`{name}` is broken.")
        self.there.add(name)

    def unload(self, name: str) -> None:
        self.there.discard(name)
        self.unloads.append(name)
        time.sleep(self.seconds)
        with self._lock:
            self._memory.discard(name)

    def look(self, name: str) -> None:
        pass


@dataclass
class Told:
    """See `kept.Watch`."""

    said: list[tuple[str, str]] = field(default_factory=list)

    def loaded(self, name: str, seconds: float) -> None:
        self.said.append(("loaded", name))

    def failed(self, name: str, error: PixelisError) -> None:
        self.said.append(("failed", name))

    def unloaded(self, name: str) -> None:
        self.said.append(("unloaded", name))

    def waited(self, name: str, seconds: float) -> None:
        pass

    def expired(self, name: str) -> None:
        self.said.append(("expired", name))
