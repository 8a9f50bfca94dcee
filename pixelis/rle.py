"""COCO's text for run lengths: what a mask's `counts` are."""

from __future__ import annotations

import numpy as np

from pixelis.errors import InvalidOperation

MOST_CHARACTERS = 7
"""Of one run: 35 bits; sums of 4 million such runs stay within 64."""


def pack(counts: list[int]) -> str:
    """COCO's text for the lengths of runs: differences to the run before last, 5 bits a character, least first."""
    text = []
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text.append(chr((bits | 0x20 if more else bits) + 48))
            if not more:
                break
    return "".join(text)


def unpack(text: str) -> list[int]:
    """Lengths of the runs, from COCO's text.

    Whatever the text says, time and memory are in proportion to its length. Lengths may be negative or too long
    for their picture.

    Raises:
        InvalidOperation: text that is no such code.
    """
    try:
        codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise _no_code() from None
    if not len(codes):
        return []
    if codes.min() < 0 or codes.max() >= 64:
        raise _no_code()
    ends = np.flatnonzero(codes & 0x20 == 0)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise InvalidOperation("The mask's `counts` is cut short.")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > MOST_CHARACTERS:
        raise _no_code()
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 0x1F) << 5 * places, starts)
    values -= np.where(codes[ends] & 0x10, 1 << 5 * lengths, 0)
    for first in (1, 2):  # from the fourth run on they are differences to the run before last
        values[first::2] = np.cumsum(values[first::2])
    counts: list[int] = values.tolist()
    return counts


def _no_code() -> InvalidOperation:
    return InvalidOperation("The mask's `counts` is not COCO's run-length text.")
