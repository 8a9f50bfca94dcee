"""Random insertions, removals, searches, compactions and restarts of every kind of index, against an exact model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python_backends.experience.indexes import open_index, read_index
from tests.experience.indexes.configs import CONFIGS, WIDTH, clustered

POOL = clustered(600, 5)
step = st.one_of(
    st.tuples(st.just("insert"), st.integers(1, 40)),
    st.tuples(st.just("remove"), st.lists(st.integers(0, 500), min_size=1, max_size=30)),
    st.tuples(st.just("search"), st.integers(1, 30)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("compact"), st.none()),
)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, min_size=5, max_size=20))
def test_against_an_exact_model(name: str, steps: list[tuple[str, object]], tmp_path: Path) -> None:
    index = _trained(name)
    living: dict[int, int] = {}
    count = 0
    for what, argument in steps:
        if what == "insert" and isinstance(argument, int):
            new = np.arange(count, count + argument)
            index.add(new * 7, POOL[new % len(POOL)])
            living |= {int(n) * 7: int(n) % len(POOL) for n in new}
            count += argument
        elif what == "remove" and isinstance(argument, list):
            gone = {int(i) * 7 for i in argument}
            assert index.remove(np.array(sorted(gone))) == len(gone & set(living))
            living = {number: row for number, row in living.items() if number not in gone}
        elif what == "restart":
            index.save(tmp_path / name)
            index = read_index(tmp_path / name)
        elif what == "compact" and CONFIGS[name].verbatim:
            index.compact()
            assert index.dead_share == 0
        assert len(index) == len(living)
        _check(index, name, living, argument if what == "search" and isinstance(argument, int) else 10)


_TRAINED = {}  # type: ignore[var-annotated]


def _trained(name):  # type: ignore[no-untyped-def]
    if name not in _TRAINED:
        _TRAINED[name] = open_index(CONFIGS[name], WIDTH)
        _TRAINED[name].train(clustered(1000, 6))
    return _TRAINED[name].clone()


def _check(index, name: str, living: dict[int, int], k: int) -> None:  # type: ignore[no-untyped-def]
    queries = clustered(4, 7)
    scores, found = index.search(queries, k)
    assert found.shape == scores.shape == (4, k)
    for row in found.tolist():
        real = [number for number in row if number >= 0]
        assert set(real) <= set(living), "what was removed is found"
        assert len(set(real)) == len(real)
        assert row == real + [-1] * (k - len(real))
    if CONFIGS[name].exact:
        rows = np.array(list(living.values()), int)
        best = -np.sort(-(queries @ POOL[rows].T), axis=1)[:, :k]
        np.testing.assert_allclose(scores[:, : best.shape[1]], best, atol=1e-5)
        everything = index.search(queries[:1], len(living) + 1)[1][0]
        assert set(everything.tolist()) == {*living, -1}
