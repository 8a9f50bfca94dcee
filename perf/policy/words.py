"""Words of the command line as values."""

from __future__ import annotations

from collections.abc import Sequence

from perf.formats.words import parse_names
from pixelis.errors import InvalidRequest


def parse_among(text: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """The names in `text`, in the order of `known`; `all` for all of them.

    Raises:
        InvalidRequest: there is no such one.
    """
    if text == "all":
        return tuple(known)
    names = parse_names(text)
    for name in names:
        if name not in known:
            raise InvalidRequest(f"There is no {what} {name!r}.", mend=f"There are {', '.join(known)}, and `all`.")
    return tuple(name for name in known if name in names)
