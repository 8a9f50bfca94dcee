"""Every kind of index, plain and behind what can stand around it, against an exact model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, NotFound, SetupError
from pixelis.index_config import Hnsw, IndexConfig, IvfFlat, IvfPq, Opq, Pca, Refine, Storage
from python_backends.experience.indexes import FaissIndex, open_index, read_index
from tests.experience.indexes.configs import CONFIGS, RECALL, WIDTH, clustered, recall

COUNT = 2000
STORED = clustered(COUNT, 1)
QUERIES = clustered(100, 2)
IDS = np.arange(COUNT, dtype=np.int64) * 3 + 2**40
TRUTH = np.argsort(-(QUERIES @ STORED.T), axis=1)[:, :10]
every = pytest.mark.parametrize("name", CONFIGS)


def filled(name: str) -> FaissIndex:
    index = open_index(CONFIGS[name], WIDTH)
    index.add(IDS, STORED)
    return index


@pytest.fixture(scope="module")
def whole() -> dict[str, FaissIndex]:
    return {name: filled(name) for name in CONFIGS}


@every
def test_recall_and_scores(whole: dict[str, FaissIndex], name: str) -> None:
    index = whole[name]
    scores, found = index.search(QUERIES, 10)
    assert len(index) == COUNT
    assert recall(found, IDS[TRUTH]) >= RECALL[name]
    assert (np.diff(scores, axis=1) <= 1e-6).all(), "best first"
    exact = np.take_along_axis(QUERIES @ STORED.T, (found - 2**40) // 3, 1)
    np.testing.assert_allclose(scores, exact, atol=1e-5 if CONFIGS[name].verbatim else 0.25)


@every
def test_a_batch_finds_what_its_queries_find_alone(whole: dict[str, FaissIndex], name: str) -> None:
    index = whole[name]
    batch = index.search(QUERIES[:7], 5)[1]
    assert [index.search(query[None], 5)[1][0].tolist() for query in QUERIES[:7]] == batch.tolist()


@every
def test_what_is_removed_is_never_found_and_what_is_added_is(whole: dict[str, FaissIndex], name: str) -> None:
    index = whole[name].clone()
    gone = IDS[TRUTH[:, :3].ravel()]
    assert index.remove(np.append(gone, 5)) == len(np.unique(gone))
    assert index.remove(gone) == 0
    living = COUNT - len(np.unique(gone))
    assert len(index) == living
    found = index.search(QUERIES, 10)[1]
    assert not np.isin(found, gone).any()
    left = np.setdiff1d(np.arange(COUNT), TRUTH[:, :3])
    truth = IDS[left[np.argsort(-(QUERIES @ STORED[left].T), axis=1)[:, :10]]]
    assert recall(found, truth) >= RECALL[name] - 0.05
    new = np.arange(2**41, 2**41 + 50)
    index.add(new, clustered(50, 3))
    assert len(index) == living + 50
    itself = (index.search(clustered(50, 3), 10)[1] == new[:, None]).any(axis=1)
    assert itself.mean() >= RECALL[name]


@every
def test_to_disk_and_back(whole: dict[str, FaissIndex], name: str, tmp_path: Path) -> None:
    index = whole[name].clone()
    index.remove(IDS[:100])
    index.save(tmp_path / "index")
    again, by_kind = open_index(CONFIGS[name], WIDTH), read_index(tmp_path / "index")
    again.load(tmp_path / "index")
    for back in (again, by_kind):
        assert len(back) == COUNT - 100
        assert back.search(QUERIES, 10)[1].tolist() == index.search(QUERIES, 10)[1].tolist()
        assert back.remove(IDS[:150]) == 50
    assert by_kind.parameters() | {"dead": 0} == index.parameters() | {"dead": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    with pytest.raises(SetupError, match="width 24, not 48"):
        open_index(CONFIGS["flat"] if name == "flat" else IndexConfig(), 2 * WIDTH).load(tmp_path / "index")
    with pytest.raises(SetupError, match="was built as"):
        open_index(CONFIGS["lsh" if name != "lsh" else "flat"], WIDTH).load(tmp_path / "index")


@every
def test_a_clone_goes_its_own_way(whole: dict[str, FaissIndex], name: str) -> None:
    first = whole[name]
    before = first.search(QUERIES, 5)[1].tolist()
    copy = first.clone()
    copy.remove(IDS[:1000])
    copy.add(np.array([2**50]), clustered(1, 9))
    assert (len(first), len(copy)) == (COUNT, 1001)
    assert first.search(QUERIES, 5)[1].tolist() == before


@every
def test_vectors_come_back_bit_for_bit_or_not_at_all(whole: dict[str, FaissIndex], name: str) -> None:
    index, some = whole[name], np.array([1999, 3, 700])
    if not CONFIGS[name].verbatim:
        with pytest.raises(InvalidRequest, match="keeps codes"):
            index.vectors(IDS[some])
        return
    assert (index.vectors(IDS[some]) == STORED[some]).all()
    with pytest.raises(NotFound):
        index.vectors(np.array([IDS[0], 17]))


@every
def test_an_empty_index_finds_nothing(name: str) -> None:
    index = open_index(CONFIGS[name], WIDTH)
    assert index.search(QUERIES[:2], 3)[1].tolist() == [[-1] * 3] * 2
    index.train(STORED[:400])
    assert index.search(QUERIES[:2], 3)[1].tolist() == [[-1] * 3] * 2
    index.add(IDS[:2], STORED[:2])
    scores, found = index.search(STORED[:1], 5)
    assert sorted(found[0].tolist()) == [-1, -1, -1, *IDS[:2]]
    assert np.isneginf(scores[0, 2:]).all()
    assert index.remove(IDS[:2]) == 2
    assert index.search(STORED[:1], 5)[1].tolist() == [[-1] * 5]


@every
def test_bad_input_is_refused_and_changes_nothing(whole: dict[str, FaissIndex], name: str) -> None:
    index = whole[name]
    bad: list[tuple[NDArray[np.float32], str]] = [
        (QUERIES[:1, :5], "shape"),
        (QUERIES[0], "shape"),
        (np.where(np.arange(WIDTH) == 3, np.nan, QUERIES[:1]).astype(np.float32), "finite"),
        (np.where(np.arange(WIDTH) == 3, np.inf, QUERIES[:1]).astype(np.float32), "finite"),
        (np.zeros((1, WIDTH), np.float32), "zero"),
    ]
    for vector, words in bad:
        with pytest.raises(InvalidRequest, match=words):
            index.search(vector, 1)
        with pytest.raises(InvalidRequest, match=words):
            index.add(np.array([1]), vector)
    for k in (0, -1):
        with pytest.raises(InvalidRequest, match="at least 1"):
            index.search(QUERIES[:1], k)
    for ids in (IDS[:1], np.array([-7])):
        with pytest.raises(InvalidRequest, match="given out before"):
            index.add(ids, QUERIES[:1])
    with pytest.raises(InvalidRequest, match="given out before"):
        index.add(np.array([5, 5]), QUERIES[:2])
    with pytest.raises(InvalidRequest, match="2 numbers for 1"):
        index.add(np.array([5, 6]), QUERIES[:1])
    assert len(index) == COUNT
    assert index.search(STORED[:1], 1)[1].shape == (1, 1)


def test_search_parameters_can_be_set(whole: dict[str, FaissIndex]) -> None:
    narrow = CONFIGS["ivf_flat"].model_copy(update={"index": IvfFlat(lists=8, probes=1)})
    index = whole["ivf_flat"].clone()
    before = recall(index.search(QUERIES, 10)[1], IDS[TRUTH])
    index.adjust(narrow)
    assert recall(index.search(QUERIES, 10)[1], IDS[TRUTH]) < before - 0.1
    assert index.parameters()["index"]["probes"] == 1
    with pytest.raises(InvalidRequest, match="built as ivf8"):
        index.adjust(IndexConfig(index=IvfFlat(lists=9)))
    short = IndexConfig(index=Hnsw(ef_search=4), transform=Pca(width=6), refine=Refine(factor=1))
    index = open_index(short, WIDTH)
    index.add(IDS, STORED)
    few = recall(index.search(QUERIES, 10)[1], IDS[TRUTH])
    index.adjust(short.model_copy(update={"refine": Refine(factor=20)}))
    assert recall(index.search(QUERIES, 10)[1], IDS[TRUTH]) > few + 0.1


def test_too_few_to_learn_from() -> None:
    for name, needed in (("ivf_pq", 256), ("ivf_flat", 8), ("ivf_pq+opq+refine", 256)):
        index = open_index(CONFIGS[name], WIDTH)
        assert not index.trained
        with pytest.raises(InvalidRequest, match=f"at least {needed} vectors"):
            index.add(IDS[: needed - 1], STORED[: needed - 1])
        assert not index.trained
        assert len(index) == 0
        index.add(IDS[:needed], STORED[:needed])
        assert index.trained


def test_the_dead_go_when_they_are_half(whole: dict[str, FaissIndex]) -> None:
    for name, config in CONFIGS.items():
        index = whole[name].clone()
        index.remove(IDS[:900])
        moves = name.startswith(("flat", "lsh"))
        assert index.dead_share == pytest.approx(0 if moves else 0.45)
        index.remove(IDS[900:1100])
        kept = moves or config.verbatim
        assert index.dead_share == pytest.approx(0 if kept else 0.55)
        assert len(index) == 900
        found = index.search(QUERIES, 10)[1]
        assert not np.isin(found, IDS[:1100]).any()


def test_configurations_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="4 bits"):
        IvfPq(bits=8, fast_scan=True)
    with pytest.raises(ValueError, match="product quantisation"):
        IndexConfig(index=Hnsw(), transform=Opq(width=8))
    with pytest.raises(ValueError, match="do not divide"):
        IndexConfig(index=IvfPq(subquantizers=5), transform=Pca(width=12))
    with pytest.raises(InvalidRequest, match="do not divide"):
        open_index(IndexConfig(index=IvfPq(lists=4, subquantizers=5)), WIDTH).train(STORED)
    with pytest.raises(InvalidRequest, match="must not be wider"):
        open_index(IndexConfig(transform=Pca(width=25)), WIDTH).train(STORED)
    assert IndexConfig(index=Hnsw(storage=Storage.INT8), refine=Refine()).verbatim
    assert not IndexConfig(index=Hnsw(), transform=Pca(width=4)).verbatim


def test_a_damaged_file_is_seen(whole: dict[str, FaissIndex], tmp_path: Path) -> None:
    """A flipped bit in the archive's own dates changes nothing; anywhere else it is an error."""
    path = tmp_path / "index"
    whole["ivf_pq-fast"].save(path)
    good, found = path.read_bytes(), whole["ivf_pq-fast"].search(QUERIES, 10)[1].tolist()
    seen = 0
    for at in np.random.default_rng(0).integers(0, len(good), 60).tolist():
        path.write_bytes(good[:at] + bytes([good[at] ^ (1 << (at % 8))]) + good[at + 1 :])
        try:
            assert read_index(path).search(QUERIES, 10)[1].tolist() == found
        except SetupError:
            seen += 1
    assert seen > 50
    for end in (0, 1, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:end])
        with pytest.raises(SetupError, match="Build the index again"):
            read_index(path)
    with pytest.raises(SetupError):
        read_index(tmp_path / "absent")
