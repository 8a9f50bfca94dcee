"""`pixelis bench cache`: its yardsticks, and a short run of the parts that need no server."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations, product
from pathlib import Path

import pytest

from perf.cache.admission import belady
from perf.cache.traffic import repeating, zipf
from pixelis.schema import Measurement

ROOT = Path(__file__).resolve().parents[2]


def best(asked: tuple[int, ...], room: int) -> int:
    """The most hits of any sequence of decisions, by trying all."""
    reach: dict[frozenset[int], int] = {frozenset(): 0}
    for number in asked:
        after: dict[frozenset[int], int] = {}
        for held, hits in reach.items():
            hits += number in held
            have = held | {number}
            for size in range(min(room, len(have)) + 1):
                for kept in combinations(sorted(have), size):
                    after[frozenset(kept)] = max(after.get(frozenset(kept), 0), hits)
        reach = after
    return max(reach.values())


def test_the_offline_optimum_is_the_optimum() -> None:
    for asked in product(range(3), repeat=6):
        assert round(belady(asked, 1, 0) * 6) == best(asked, 1), asked
    for asked in list(product(range(4), repeat=6))[::13]:
        assert round(belady(asked, 2, 0) * 6) == best(asked, 2), asked


def test_traffic() -> None:
    asked = zipf(20_000, distinct=100)
    assert asked.count(0) / asked.count(9) == pytest.approx(10, rel=0.2)
    asked = repeating(5000)
    new = [number for place, number in enumerate(asked) if number not in set(asked[:place])]
    assert new == list(range(len(new)))
    assert len(new) / 5000 == pytest.approx(0.2, abs=0.02)


def test_a_short_run() -> None:
    command = [sys.executable, "-m", "pixelis", "bench", "cache", "--quick", "--parts", "repeats", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = Measurement.model_validate_json(done.stdout)
    (row,) = measured.rows
    assert row["hits"] == row["eligible_repeats"] > 1500
    assert [claim.met for claim in measured.claims] == [True, True]
    assert json.loads(done.stdout)["command"].startswith("pixelis bench cache")
