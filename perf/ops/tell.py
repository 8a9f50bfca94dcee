"""How quality commands say what they measured."""

from __future__ import annotations

import json
from typing import Any


def tell(made: dict[str, Any], as_json: bool) -> None:
    """One JSON object, or a line for every row of numbers."""
    print(json.dumps(made, indent=2) if as_json else "\n".join(_lines(made)))


def _lines(made: dict[str, Any], name: str = "") -> list[str]:
    plain = {key: value for key, value in made.items() if not isinstance(value, dict)}
    first = (
        [f"{name or 'all':32} " + "  ".join(f"{key}={_short(value)}" for key, value in plain.items())] if plain else []
    )
    return first + [
        line
        for key, value in made.items()
        if isinstance(value, dict)
        for line in _lines(value, f"{name}.{key}".strip("."))
    ]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
