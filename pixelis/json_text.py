"""JSON that somebody else may have written."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """What `json.loads` reads, with one error for all that is no JSON.

    Raises:
        ValueError: it is none, no text, or nested deeper than Python's reader goes.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
