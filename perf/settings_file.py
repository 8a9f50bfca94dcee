"""Settings that were found by measuring, as a file: for `PIXELIS_CONFIG`, or for the state folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w


def toml(changes: Mapping[str, Any]) -> str:
    """Settings, as nested objects, as TOML."""
    return tomli_w.dumps(changes)
