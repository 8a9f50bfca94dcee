"""Words of the command line as values."""

from __future__ import annotations

from builder.choosing.choose import GOALS, Goal
from pixelis.errors import InvalidRequest


def parse_goal(text: str) -> Goal:
    """`text` as a goal.

    Raises:
        InvalidRequest: it is none.
    """
    for goal in GOALS:
        if text == goal:
            return goal
    raise InvalidRequest(f"There is no goal {text!r}.", mend=f"There are {', '.join(GOALS)}.")


def parse_names(text: str) -> tuple[str, ...]:
    """Names with commas between.

    Raises:
        InvalidRequest: there is none.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InvalidRequest("There is no name.", mend="Say `all`, or names with commas between.")
    return names
