"""One change, and what it does to the experiences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Experience
from python_backends.experience.asked import Asked, Name

Key = NDArray[np.float32]
Record = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A change as it is written down: JSON, and the key `[D]` that it brings, if it brings one."""

    record: Record
    key: Key | None = None


@dataclass(frozen=True)
class Effects:
    """What an entry does; memory and database do the same, in this order.

    Attributes:
        changed: living experiences as they are from now on, their keys untouched.
        removed: ids of experiences that go, their keys included.
        added: a new experience with the entry's key.
        forgotten: names of requests that take no feedback any more.
        noted: a new request with the entry's key.
        judged: a noted request as it is from now on.
    """

    changed: list[Experience] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    added: Experience | None = None
    forgotten: list[Name] = field(default_factory=list)
    noted: Asked | None = None
    judged: Asked | None = None
