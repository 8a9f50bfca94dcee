"""When each request was sent and answered, out of perf_analyzer's export."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError

_STAMPS = re.compile(rb'"timestamp":(\d+)|"response_timestamps":\[(?:\d+,)*(\d+)\]')
_BLOCK = 1 << 20

Nanoseconds = NDArray[np.int64]


def stamps(export: Path) -> tuple[Nanoseconds, Nanoseconds]:
    """Send and last-response time of every request, in nanoseconds, in the order sent.

    The export holds the raw inputs, so it is neither small nor always valid JSON: only the stamps are taken out. Inside
    a JSON string a quote is escaped, so an input cannot look like one.
    """
    sent: list[int] = []
    answered: list[int] = []
    for begin, end in _matches(export):
        if begin:
            sent.append(int(begin))
        else:
            answered.append(int(end))
    if not answered or len(sent) != len(answered):
        raise ServingError(f"perf_analyzer exported {len(sent)} requests and {len(answered)} responses.")
    order = np.argsort(np.array(sent))
    return np.array(sent)[order], np.array(answered)[order]


def _matches(export: Path) -> Iterator[tuple[bytes, bytes]]:
    rest = b""
    with export.open("rb") as file:
        while block := file.read(_BLOCK):
            text, last = rest + block, 0
            # A stamp that touches the end of the block may go on in the next one.
            for found in _STAMPS.finditer(text, 0, len(text)):
                if found.end() == len(text):
                    break
                yield found.groups(default=b"")  # type: ignore[misc]
                last = found.end()
            rest = text[max(last, len(text) - 512) :]
