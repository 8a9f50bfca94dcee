"""One at a time loads or unloads a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelis.errors import Unavailable
from pixelis.loading import alone, folder
from server import remains


def test_one_at_a_time_of_a_model_and_a_server(tmp_path: Path) -> None:
    with alone(tmp_path, "policy", 1, "pixelis-1-"):
        with (
            pytest.raises(Unavailable, match="is being loaded by somebody else"),
            alone(tmp_path, "policy", 0.1, "pixelis-1-"),
        ):
            pass
        with alone(tmp_path, "policy.large", 1, "pixelis-1-"), alone(tmp_path, "policy", 1, "pixelis-2-"):
            pass
    with alone(tmp_path, "policy", 0.1, "pixelis-1-"):
        pass


def test_the_locks_go_with_their_server(tmp_path: Path) -> None:
    for server in ("pixelis-1-", "pixelis-2-"):
        with alone(tmp_path, "policy", 1, server):
            pass
    remains.forget(tmp_path / "servers" / "pixelis-1-.json")
    assert [path.name for path in folder(tmp_path).iterdir()] == ["pixelis-2-policy.lock"]
