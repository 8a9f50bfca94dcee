"""The characters of a line, and the full-width forms of East Asian typesetting among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

FORMS = range(0xFF01, 0xFF5F)
"""Full-width forms of the ASCII characters, in their order (Unicode's block "Halfwidth and Fullwidth Forms")."""
TO_ASCII = 0xFEE0
EAST_ASIAN = range(0x2E80, 0xFF00)
"""Ideographs, kana and hangul: where there are any, full-width forms are meant."""
WITH_BLANK = ":;,!?"
"""Marks whose full-width form has the blank behind it in itself."""


@dataclass(frozen=True)
class Letter:
    """One character of a line.

    Attributes:
        text: the character.
        at: where its middle is, as a share of the line's width from its beginning.
        confidence: its probability.
    """

    text: str
    at: float
    confidence: float


def narrowed(letters: Sequence[Letter]) -> list[Letter]:
    """Full-width forms as ASCII, in a line without East Asian characters.

    The recogniser, which knows both, tells `：` from `: ` by the blank alone: a mark that had it keeps it as a space,
    but not between two digits, as in a time.
    """
    if any(ord(letter.text) in EAST_ASIAN for letter in letters if len(letter.text) == 1):
        return list(letters)
    out: list[Letter] = []
    for index, letter in enumerate(letters):
        if len(letter.text) != 1 or ord(letter.text) not in FORMS:
            out.append(letter)
            continue
        mark = replace(letter, text=chr(ord(letter.text) - TO_ASCII))
        out.append(mark)
        after = letters[index + 1] if index + 1 < len(letters) else None
        if mark.text in WITH_BLANK and after is not None and after.text.isalnum() and not _in_number(out, after):
            out.append(Letter(" ", (mark.at + after.at) / 2, mark.confidence))
    return out


def _in_number(before: Sequence[Letter], after: Letter) -> bool:
    return len(before) > 1 and before[-2].text.isdigit() and after.text.isdigit()
