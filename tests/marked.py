"""Of cases that are alike one is part of `make test`, and all of them of `make test-long`."""

from __future__ import annotations

from typing import Any

import pytest


def long(*values: Any, id: str | None = None) -> Any:
    """A case of `pytest.mark.parametrize` for `make test-long` alone."""
    return pytest.param(*values, id=id, marks=pytest.mark.long)
