"""Words of the command line as values."""

from __future__ import annotations

from collections.abc import Sequence

from perf.formats.words import parse_names
from pixelis.errors import InvalidRequest


def parse_among(text: str, known: Sequence[str], what: str, beside: Sequence[str] = ()) -> tuple[str, ...]:
    """The names in `text`, in the order of `known` and `beside`; `all` for those that are known.

    Raises:
        InvalidRequest: there is no such one.
    """
    if text == "all":
        return tuple(known)
    names = parse_names(text)
    there = (*known, *beside)
    for name in names:
        if name not in there:
            raise InvalidRequest(f"There is no {what} {name!r}.", mend=f"There are {', '.join(there)}, and `all`.")
    return tuple(name for name in there if name in names)


def parse_levels(text: str, what: str = "concurrency", most: int = 256) -> tuple[int, ...]:
    """The numbers in `text`, of requests at once unless something else is meant, each once, ascending.

    Raises:
        InvalidRequest: one of them is no number from 1 to `most`.
    """
    names = parse_names(text)
    if not names or not all(name.isdecimal() and 1 <= int(name) <= most for name in names):
        raise InvalidRequest(f"{text!r} is no {what}.", mend=f"Say numbers from 1 to {most}, for instance 1,16,64.")
    return tuple(sorted({int(name) for name in names}))
