"""Operators' orders to forget, as files that every process of a server reads.

<state>/caches/orders/<nanoseconds since the epoch>.json   {"prefix": ..., "version": ...}
"""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pixelis.draft import replace_text

FOLDER = "orders"
_KEPT_NS = 24 * 3600 * 10**9


class Order(BaseModel):
    """What is to be forgotten: of this prefix and this version of a model; none = any."""

    model_config = ConfigDict(extra="forbid")

    prefix: str | None = None
    version: str | None = None


def give(caches: Path, order: Order) -> Path:
    """Write an order, and remove those of more than a day ago.

    Args:
        caches: the folder of the caches.
    """
    folder = caches / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time_ns()
    for old in folder.glob("*.json"):
        if old.stem.isdecimal() and int(old.stem) < now - _KEPT_NS:
            old.unlink(missing_ok=True)
    return replace_text(folder / f"{now}.json", order.model_dump_json())


class Orders:
    """The orders since a moment, each once.

    Only those that lie there when it is made are told by their time: a clock that is set back later hides none.

    Args:
        caches: the folder of the caches.
        since_ns: nanoseconds since the epoch.
    """

    def __init__(self, caches: Path, since_ns: int) -> None:
        self._folder = caches / FOLDER
        self._done = {name for name in self._names() if int(name) <= since_ns}

    def new(self) -> list[Order]:
        """Those not returned before, oldest first; a file that is none is passed over."""
        found = []
        for name in self._names():
            if name in self._done:
                continue
            self._done.add(name)
            try:
                found.append(Order.model_validate_json((self._folder / f"{name}.json").read_bytes()))
            except (OSError, ValueError):  # pydantic's error is one
                continue
        return found

    def _names(self) -> list[str]:
        try:
            return sorted(path.stem for path in self._folder.glob("*.json") if path.stem.isdecimal())
        except OSError:
            return []
