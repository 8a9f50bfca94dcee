"""JSON that somebody else may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic_core import ValidationError, from_json

LONGEST = 200
"""Characters of a reason."""


def loads(text: str | bytes) -> Any:
    """What JSON says, with one error for all that is none; what is read can be written again.

    Raises:
        ValueError: it is no JSON, no UTF-8, holds half of a surrogate pair, or is nested deeper than 200 levels.
    """
    return from_json(text.encode() if isinstance(text, str) else text)


def finite(text: str | bytes) -> Any:
    """The same without numbers that are none: NaN, infinities, and 1e999, which no float holds. Raises as `loads`."""
    found = from_json(text.encode() if isinstance(text, str) else text, allow_inf_nan=False)
    json.dumps(found, allow_nan=False)
    return found


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else.
    """
    found = loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no object")
    return found


def reason(error: Exception) -> str:
    """Why a file could not be read, on one line; of pydantic's errors the first, and where it is."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:8])
        said = f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
    else:
        said = (str(error).splitlines() or [type(error).__name__])[0]
    return said[:LONGEST]
