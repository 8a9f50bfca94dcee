"""All calls of a list of forms, as one grammar for llguidance and as one automaton of our own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from python_backends.policy.calls.forms import CLOSE, Form, Pair
from python_backends.policy.calls.pattern import Maybe, Pattern, text
from python_backends.policy.calls.states import END, State, States

_BREAK, SPACE = Maybe(text("\n")), Maybe(text(" "))
ENDING = text("}}") + _BREAK
"""What closes the objects of a call."""
_TAIL = ENDING + text(CLOSE)


@dataclass(frozen=True)
class Between:
    """A place between two arguments.

    Attributes:
        first: none has been written.
        needed: those that must still come.
        optional: others that may.
    """

    first: bool
    needed: frozenset[Pair]
    optional: frozenset[Pair]

    def ways(self) -> Iterator[tuple[Pair, bool, Between]]:
        """Each argument that may come, whether it must, and where it leads."""
        for pair in sorted(self.needed, key=lambda pair: pair.key):
            yield pair, True, Between(False, self.needed - {pair}, self.optional)
        for pair in sorted(self.optional, key=lambda pair: pair.key):
            yield pair, False, Between(False, self.needed, self.optional - {pair})


def begins(forms: Sequence[Form]) -> Iterator[tuple[Pattern, Between]]:
    """How a call of each form begins, and the place after that."""
    for form in forms:
        head = _BREAK + text('{"name":') + SPACE + text(f'"{form.name}",') + SPACE
        yield head + text('"arguments":') + SPACE + text("{"), Between(True, form.needed, form.optional)


def lark(forms: Sequence[Form]) -> str:
    """What follows `<tool_call>` in llguidance's Lark: a terminal for each place, all of them one regular expression.

    Without forcing, any way to spell a text that must come is allowed.
    """
    lines: dict[Between | Pair, str] = {}
    names: dict[Between | Pair, str] = {}

    def name(part: Between | Pair) -> str:
        if part not in names:
            names[part] = f"T{len(names)}"
            lines[part] = _expression(part.pattern) if isinstance(part, Pair) else _between(part)
        return names[part]

    def _between(place: Between) -> str:
        comma = "" if place.first else _expression(text(",") + SPACE) + " "
        ways = [f"{comma}{name(pair)} {name(after)}" for pair, _, after in place.ways()]
        return " | ".join(ways if place.needed else [*ways, _expression(_TAIL)])

    call = " | ".join(f"{_expression(head)} {name(place)}" for head, place in begins(forms))
    terminals = "\n".join(f"{names[part]}: {line}" for part, line in lines.items())
    return f'%llguidance {{"no_forcing": true}}\nstart: CALL\nCALL: {call}\n{terminals}\n'


def _expression(pattern: Pattern) -> str:
    return f"/{pattern.regex}/"


def automaton(forms: Sequence[Form]) -> tuple[States, int]:
    """The same as states, and the one after `<tool_call>`.

    A state knows which of the needed arguments are still to come. Which of the optional ones have been is no matter of
    the shortest way, so it is not in the states but goes along with them (`states.At`).
    """
    states = States()
    keys = sorted({pair.key for form in forms for pair in form.optional})
    made: dict[Between, int] = {}

    def at(place: Between) -> int:
        if place not in made:
            made[place] = states.add(state := State())
            fill(state, place)
        return made[place]

    def fill(state: State, place: Between) -> None:
        for pair, needed, after in place.ways():
            pattern = pair.pattern if place.first else text(",") + SPACE + pair.pattern
            if needed:
                state.same.append(pattern.build(states, at(after)))
            else:
                following = at(Between(False, place.needed, place.optional))
                state.longer.append((pattern.build(states, following), 1 << keys.index(pair.key)))
        if not place.needed:
            state.same.append(_TAIL.build(states, END))

    start = states.add(State(same=[head.build(states, at(place)) for head, place in begins(forms)]))
    return states, start
