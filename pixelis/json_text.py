"""JSON that somebody else may have written."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

LONGEST = 200
"""Characters of a reason."""


def loads(text: str | bytes) -> Any:
    """What `json.loads` reads, with one error for all that is no JSON.

    Raises:
        ValueError: it is none, no text, or nested deeper than Python's reader goes.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def reason(error: Exception) -> str:
    """Why a file could not be read, on one line; of pydantic's errors the first, and where it is."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:8])
        said = f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
    else:
        said = (str(error).splitlines() or [type(error).__name__])[0]
    return said[:LONGEST].encode(errors="replace").decode()
