"""A case can be made and sent again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perf.fuzz.case import case, load
from pixelis.errors import InvalidRequest


def test_cases_are_the_same_again_and_come_back_from_their_file(tmp_path: Path) -> None:
    for number in range(30):
        made = case(2, number)
        assert made == case(2, number)
        assert load(made.saved(tmp_path, "why")) == made
    (tmp_path / "other.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(InvalidRequest, match="no case of a fuzz run"):
        load(tmp_path / "other.json")
