"""YAML that somebody else has written."""

from __future__ import annotations

import itertools
from typing import Any

MOST_BYTES = 2**15
"""Of a file; those that come along have a tenth of that. The reader takes a second for a few hundred kilobytes."""
MOST_DEPTH = 64
"""Brackets within each other; the reader's time grows with the square of it."""
_BRACKETS = {"[": 1, "{": 1, "]": -1, "}": -1}


def loads(text: bytes) -> Any:
    """What `yaml.safe_load` reads, with one error for all that is no YAML.

    Raises:
        ValueError: it is none, no UTF-8, too long, nested too deep, or has a value that is not of its type.
    """
    import yaml

    if len(text) > MOST_BYTES:
        raise ValueError(f"it has {len(text)} bytes, and {MOST_BYTES} are read")
    said = text.decode()
    if max(itertools.accumulate(map(_BRACKETS.get, said, itertools.repeat(0)), initial=0)) > MOST_DEPTH:
        raise ValueError("it is nested too deep")
    try:
        return yaml.load(said, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:  # of dates, numbers, keys
        raise ValueError(f"a value is none ({type(error).__name__}: {error})") from None
