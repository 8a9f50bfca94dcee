"""Numbers between bounds, as they may be written in JSON."""

from __future__ import annotations

from dataclasses import dataclass

from python_backends.policy.calls.pattern import Chars, Pattern, Times, any_of, text
from python_backends.policy.calls.states import State, States

DIGIT = Chars.of("09")
_FRACTION = Times(text(".") + Times(DIGIT, 1, 6), 0, 1)


def whole(low: int, high: int) -> Pattern:
    """The whole numbers from `low`, which is 0 or 1, to `high`, without leading zeros."""
    digits = str(high)
    if high < 10:
        return Chars.of(f"{low}{high}")
    least = [1] + [0] * (len(digits) - 1)
    same = [
        text(digits[:i]) + Chars.of(f"{least[i]}{int(digit) - 1}") + _digits(len(digits) - i - 1)
        for i, digit in enumerate(digits)
        if int(digit) > least[i]
    ]
    shorter = Chars.of("19") + Times(DIGIT, 0, len(digits) - 2)
    return any_of(([text("0")] if low == 0 else []) + [shorter, *same, text(digits)])


def _digits(count: int) -> Pattern:
    return Times(DIGIT, count, count)


@dataclass(frozen=True)
class Counted(Pattern):
    """The number of one of `count` things; the count differs between requests.

    All requests share one automaton: there, the first is the only number on a shortest way, and any other is a longer
    one.

    Attributes:
        count: how many there are.
        base: the number of the first, 0 or 1.
    """

    count: int
    base: int = 1

    @property
    def regex(self) -> str:
        """See `Pattern`."""
        return whole(self.base, self.count - 1 + self.base).regex

    def build(self, states: States, after: int) -> int:
        """See `Pattern`."""
        any_number = Chars.of("19") + Times(DIGIT, 0, 9)
        return states.add(
            State(same=[text(str(self.base)).build(states, after)], longer=[(any_number.build(states, after), 0)])
        )


def below(end: int) -> Pattern:
    """From 0 to `end`, which is not among them, with up to six decimals."""
    return whole(0, end - 1) + _FRACTION


def upto(end: int) -> Pattern:
    """From 0 to `end`, which is among them, with up to six decimals."""
    return below(end) | (text(str(end)) + Times(text(".0"), 0, 1))


def positive() -> Pattern:
    """More than 0 and less than 10 000."""
    small = text("0.") + Times(text("0"), 0, 5) + Chars.of("19") + Times(DIGIT, 0, 5)
    return (Chars.of("19") + Times(DIGIT, 0, 3) + _FRACTION) | small
