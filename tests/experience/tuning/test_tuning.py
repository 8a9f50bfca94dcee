"""The tuner: recall is checked before speed is looked at, and what nothing reaches is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pixelis.errors import GateFailed, InvalidRequest
from pixelis.index_config import Flat, Hnsw, IndexConfig, IvfFlat, Storage
from python_backends.experience.aside import Aside
from python_backends.experience.indexes import open_index
from python_backends.experience.tuning import GRIDS, Grid, Limits, Split, Trial, Truth, choose, pareto, tune
from python_backends.experience.tuning.retune import retuner
from python_backends.experience.tuning.trial import low
from python_backends.experience.tuning.truth import fill
from tests.experience.indexes.configs import clustered, recall

SPLIT = Split(clustered(3000, 1), clustered(150, 2))
SMALL = (
    Grid(kind="flat"),
    Grid(kind="ivf_flat", built={"lists": [32]}, searched={"probes": [1, 4, 32]}),
    Grid(
        kind="hnsw",
        built={"m": [8]},
        searched={"ef_search": [10, 60]},
        pca=[0, 12],
        refine=[Storage.FLOAT32],
        factors=[1, 8],
    ),
)


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    return tune(SPLIT, 10, SMALL)


def trial(recall: float, p50_ms: float, mib: float, m: int = 16) -> Trial:
    return Trial(IndexConfig(index=Hnsw(m=m)), recall, recall - 0.01, p50_ms, 2 * p50_ms, int(mib * 2**20), 1.0)


def test_recall_is_what_brute_force_says(trials: list[Trial]) -> None:
    truth = np.argsort(-(SPLIT.queries @ SPLIT.stored.T), axis=1)[:, :10]
    assert [one.config.index.kind for one in trials].count("ivf_flat") == 3
    for one in trials:
        index = fill(open_index(one.config, SPLIT.width), SPLIT.stored)
        assert one.recall == pytest.approx(recall(index.search(SPLIT.queries, 10)[1], truth), abs=2e-3)
        assert one.recall_low < one.recall or one.recall == 1
        assert one.size_bytes >= SPLIT.stored.nbytes
        assert 0 < one.p50_ms <= one.p99_ms
    flat, *_ = trials
    assert (flat.config.exact, flat.recall) == (True, 1.0)
    probes = [one for one in trials if one.config.index.kind == "ivf_flat"]
    assert probes[0].recall < probes[1].recall < probes[2].recall == 1.0


def test_what_is_chosen_finds_enough_and_is_the_fastest_that_does(trials: list[Trial]) -> None:
    limits = Limits(recall=0.9)
    chosen = choose(trials, limits)
    assert chosen.recall_low >= 0.9
    assert chosen.p50_ms == min(one.p50_ms for one in trials if one.recall_low >= 0.9)
    poor = min(trials, key=lambda one: one.recall_low)
    assert poor.recall_low < 0.9
    assert choose([*trials, replace(poor, p50_ms=1e-9)], limits) == chosen, "however fast it is"
    index = fill(open_index(chosen.config, SPLIT.width), SPLIT.stored)
    fresh = Split(SPLIT.stored, clustered(400, 77))
    assert Truth(fresh, 10).recalls(index.search(fresh.queries, 10)[1]).mean() >= 0.89


def test_limits_and_refusals() -> None:
    tried = [trial(0.99, 5, 100), trial(0.97, 1, 200), trial(0.9, 0.2, 20), trial(0.97, 2, 50)]
    assert choose(tried, Limits()).p50_ms == 1
    assert choose(tried, Limits(memory_mib=120)).p50_ms == 2
    assert choose(tried, Limits(recall=0.975)).p50_ms == 5
    assert choose(tried, Limits(recall=0.8)).p50_ms == 0.2
    for limits, words in (
        (Limits(recall=0.995), r"recall 0.995.*recall 0.9800 is reached"),
        (Limits(latency_ms=0.5), r"0.5 ms.*recall 0.8900 is reached.*Allow 1 ms"),
        (Limits(memory_mib=30), r"30 MiB.*recall 0.8900 is reached.*Allow 50 MiB"),
        (Limits(latency_ms=1.5, memory_mib=120), r"Allow 2 ms.*Allow 200 MiB"),
        (Limits(latency_ms=0.1, memory_mib=10), r"takes 1 ms and 200 MiB"),
    ):
        with pytest.raises(GateFailed, match=words):
            choose(tried, limits)
    with pytest.raises(GateFailed, match="Try other settings"):
        choose([], Limits())


def test_the_lower_bound_of_recall_counts_and_not_the_mean() -> None:
    certain, lucky = np.full(100, 0.96), np.tile([1.0, 0.92], 8)
    assert low(certain) == pytest.approx(0.96)
    assert low(lucky) < 0.95 < lucky.mean()
    assert low(np.ones(1)) == 0.0
    assert [Limits().finds(one) for one in (trial(0.96, 1, 1), trial(0.955, 1, 1))] == [True, False]


def test_the_front_holds_what_nothing_is_better_than() -> None:
    tried = [trial(0.9, 1, 10), trial(0.9, 2, 10), trial(0.99, 3, 10), trial(0.9, 3, 5), trial(0.8, 3, 10)]
    assert pareto(tried) == [tried[0], tried[2], tried[3]]


def test_grids_fit_the_number_and_the_width() -> None:
    grids = [config for grid in GRIDS for config in grid.builds(100_000, 512)]
    labels = [config.label for config in grids]
    assert len(set(labels)) == len(labels)
    assert {"flat", "pca128,flat+float32", "ivf256", "hnsw32", "lsh512+float32"} <= set(labels)
    assert {"ivf1024,pq128x4fs+float32", "pca128,ivf1024,pq64x4fs+float32", "hnsw16-int8+float32"} <= set(labels)
    assert not {config.index.lists for config in grids if isinstance(config.index, IvfFlat)} & {64, 4096}
    small = [config for grid in GRIDS for config in grid.builds(1000, 50)]
    assert all(config.transform is None or config.transform.width < 50 for config in small)
    assert {config.index.lists for config in small if isinstance(config.index, IvfFlat)} == set()
    assert any(isinstance(config.index, Flat) for config in small)


def test_held_out_queries_are_not_stored() -> None:
    vectors = clustered(500, 4)
    split = Split.held_out(vectors, 30)
    assert (split.stored.shape, split.queries.shape) == ((470, 24), (30, 24))
    stored = {row.tobytes() for row in split.stored}
    assert not stored & {row.tobytes() for row in split.queries}
    with pytest.raises(InvalidRequest, match="too few"):
        Split.held_out(vectors[:99], 30)
    with pytest.raises(InvalidRequest, match="5 vectors and 150 queries"):
        tune(Split(SPLIT.stored[:5], SPLIT.queries), 10)


def test_ties_count_as_found() -> None:
    stored = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    truth = Truth(Split(stored, np.eye(4, dtype=np.float32)[:1]), 2)
    assert truth.recalls(np.array([[2, 1]])).tolist() == [1.0]
    assert truth.recalls(np.array([[2, 2]])).tolist() == [0.5]
    assert truth.recalls(np.array([[2, -1]])).tolist() == [0.5]
    assert truth.recalls(np.array([[9, 5]])).tolist() == [0.0]


def test_it_can_be_given_up() -> None:
    calls = 0

    def between() -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(SPLIT, 10, SMALL, between=between)


@pytest.mark.long
def test_a_live_index_is_tuned_on_what_it_holds_and_was_asked() -> None:
    base = fill(open_index(IndexConfig(), SPLIT.width), SPLIT.stored)
    chosen = retuner(Limits(recall=0.9), SMALL)(base, SPLIT.queries[:64], Aside(), lambda: None)
    assert chosen is not None
    index = fill(open_index(chosen, SPLIT.width), SPLIT.stored)
    assert Truth(SPLIT, 10).recalls(index.search(SPLIT.queries, 10)[1]).mean() >= 0.88
    without = retuner(Limits(recall=0.9), SMALL)(base, SPLIT.queries[:0], Aside(), lambda: None)
    assert without is not None
    assert retuner(Limits(recall=0.9, memory_mib=0.01), SMALL)(base, SPLIT.queries, Aside(), lambda: None) is None
