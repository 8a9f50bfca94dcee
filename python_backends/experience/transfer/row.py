"""One experience in a file."""

from __future__ import annotations

from typing import NamedTuple

from pixelis.schema import Experience
from python_backends.experience.entry import Key


class Row(NamedTuple):
    """An experience and its key `[D]`, float32."""

    experience: Experience
    key: Key
