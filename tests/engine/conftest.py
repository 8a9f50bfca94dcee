"""What the tests of every engine start from: each has a `directory` with an artifact of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from python_backends.engine import Engine, load_engine


@pytest.fixture
def engine(directory: Path) -> Engine:
    return load_engine(directory, threads=1)
