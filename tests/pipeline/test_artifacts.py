"""Which version folder is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelis.errors import NotFound
from python_backends.artifacts import artifact, latest, versions


def test_the_highest_number_wins(tmp_path: Path) -> None:
    for name in ("1", "2", "10", "draft", ".11", "\N{SUPERSCRIPT TWO}"):
        (tmp_path / "policy" / name).mkdir(parents=True)
    assert latest(tmp_path, "policy").name == "10"
    assert versions(tmp_path, ["policy", "absent"]) == {"policy": "10"}
    with pytest.raises(NotFound, match="not built"):
        artifact(tmp_path, "policy")
    (tmp_path / "policy" / "10" / "manifest.json").write_text("{}")
    assert artifact(tmp_path, "policy").name == "10"


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for model in ("empty", "absent"):
        with pytest.raises(NotFound, match=f"pixelis build {model}"):
            latest(tmp_path, model)
