r"""Texts of a call as patterns, each both a regular expression for llguidance and a piece of an automaton of our own.

The automaton is there to find the shortest way to the end of a call. Where the expression says "at most so many more",
the automaton has a loop: a shortest way never takes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from python_backends.policy.calls.states import State, States


class Pattern(ABC):
    """A set of texts."""

    @property
    @abstractmethod
    def regex(self) -> str:
        """In the syntax of Rust's `regex`, safe to be followed by an operator."""

    @abstractmethod
    def build(self, states: States, after: int) -> int:
        """A state from which each of the texts leads to `after`."""

    def __add__(self, other: Pattern) -> Pattern:
        return Row((self, other))

    def __or__(self, other: Pattern) -> Pattern:
        return Choice((self, other))


@dataclass(frozen=True)
class Chars(Pattern):
    """One ASCII character of several."""

    allowed: frozenset[int]

    @classmethod
    def of(cls, *spans: str) -> Chars:
        """Spans of one character (`a`) or from one to another (`az`)."""
        return cls(frozenset(byte for span in spans for byte in range(ord(span[0]), ord(span[-1]) + 1)))

    @property
    def regex(self) -> str:
        """A class of hexadecimal escapes."""
        return "[" + "".join(rf"\x{byte:02x}" for byte in sorted(self.allowed)) + "]"

    def build(self, states: States, after: int) -> int:
        """See `Pattern`."""
        return states.add(State([(self.allowed, after)]))


@dataclass(frozen=True)
class NotAscii(Pattern):
    """One character beyond ASCII, in UTF-8 (The Unicode Standard, table 3-7, well-formed byte sequences)."""

    LEADS: ClassVar = (
        ((0xC2, 0xDF), ()),
        ((0xE0, 0xE0), ((0xA0, 0xBF),)),
        ((0xE1, 0xEC), ((0x80, 0xBF),)),
        ((0xED, 0xED), ((0x80, 0x9F),)),
        ((0xEE, 0xEF), ((0x80, 0xBF),)),
        ((0xF0, 0xF0), ((0x90, 0xBF), (0x80, 0xBF))),
        ((0xF1, 0xF3), ((0x80, 0xBF), (0x80, 0xBF))),
        ((0xF4, 0xF4), ((0x80, 0x8F), (0x80, 0xBF))),
    )
    """The first byte, and those between it and the last, which is 80 to BF."""

    @property
    def regex(self) -> str:
        """See `Pattern`."""
        return r"[^\x00-\x7f]"

    def build(self, states: States, after: int) -> int:
        """See `Pattern`."""
        start = State()
        for (low, high), between in self.LEADS:
            to = after
            for first, last in ((0x80, 0xBF), *reversed(between)):
                to = states.add(State([(frozenset(range(first, last + 1)), to)]))
            start.edges.append((frozenset(range(low, high + 1)), to))
        return states.add(start)


@dataclass(frozen=True)
class Row(Pattern):
    """One after the other."""

    parts: tuple[Pattern, ...]

    @property
    def regex(self) -> str:
        """See `Pattern`."""
        return f"(?:{''.join(part.regex for part in self.parts)})"

    def build(self, states: States, after: int) -> int:
        """See `Pattern`."""
        for part in reversed(self.parts):
            after = part.build(states, after)
        return after


@dataclass(frozen=True)
class Choice(Pattern):
    """One of several."""

    parts: tuple[Pattern, ...]

    @property
    def regex(self) -> str:
        """See `Pattern`."""
        return f"(?:{'|'.join(part.regex for part in self.parts)})"

    def build(self, states: States, after: int) -> int:
        """See `Pattern`."""
        return states.add(State(same=[part.build(states, after) for part in self.parts]))


@dataclass(frozen=True)
class Maybe(Pattern):
    """There or not. A shortest way may take it: one token may hold it together with what is around it."""

    part: Pattern

    @property
    def regex(self) -> str:
        """See `Pattern`."""
        return f"{self.part.regex}?"

    def build(self, states: States, after: int) -> int:
        """See `Pattern`."""
        return states.add(State(same=[after, self.part.build(states, after)]))


@dataclass(frozen=True)
class Times(Pattern):
    """The same, `least` to `most` times; on a shortest way `least` times."""

    part: Pattern
    least: int
    most: int

    @property
    def regex(self) -> str:
        """See `Pattern`."""
        return f"{self.part.regex}{{{self.least},{self.most}}}"

    def build(self, states: States, after: int) -> int:
        """See `Pattern`."""
        if self.most > self.least:
            loop = State(same=[after])
            after = states.add(loop)
            loop.longer.append((self.part.build(states, after), 0))
        for _ in range(self.least):
            after = self.part.build(states, after)
        return after


def text(written: str) -> Pattern:
    """Exactly this."""
    return Row(tuple(Chars.of(character) for character in written))


def any_of(parts: Iterable[Pattern]) -> Pattern:
    """One of `parts`."""
    return Choice(tuple(parts))
