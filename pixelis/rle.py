"""COCO's text for run lengths: what a mask's `counts` are."""

from __future__ import annotations

from pixelis.errors import InvalidOperation


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

    Raises:
        InvalidOperation: text that is no such code.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 30:
            raise InvalidOperation("The mask's `counts` is not COCO's run-length text.")
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            if code & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise InvalidOperation("The mask's `counts` is cut short.")
    return counts
