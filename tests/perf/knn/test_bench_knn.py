"""`pixelis bench knn`: what it compares, on vectors small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perf.knn import bench
from perf.knn.bench import Asked, measure
from perf.knn.claims import claims
from perf.knn.contenders import LIBRARIES, plans
from perf.knn.contenders.plans import installed
from perf.knn.crossover import crossed, crossover
from perf.knn.data import Dataset
from perf.knn.data.datasets import unit
from perf.knn.data.kept import kept
from perf.knn.data.pictures import crops, questions
from perf.knn.data.projected import projected
from perf.knn.duel import between
from perf.knn.picture import edge
from perf.knn.sweep import K, batched, sweep
from pixelis.errors import InvalidRequest
from pixelis.schema import Measurement
from python_backends.experience.tuning import Split, Truth
from tests.experience.indexes.configs import clustered

DATA = Dataset("small", "made for a test", Split(clustered(2500, 1, 48), clustered(60, 2, 48)))


@pytest.mark.parametrize("library", [name for name in LIBRARIES if installed(name)])
def test_every_library_finds_positions_and_more_of_them_by_better_settings(library: str) -> None:
    truth = Truth(DATA.split, K)
    swept = sweep(plans(2500, 48, [library], quick=True), DATA.split, truth, 0.9, 1, lambda _: None)
    assert swept.best[library].row["recall"] >= 0.9
    for label in {row["index"] for row in swept.rows}:
        found = [row["recall"] for row in swept.rows if row["index"] == label]
        assert found == sorted(found), label
    best = swept.best[library]
    best.contender.set(best.setting)
    found = best.contender.search(DATA.split.queries, K)
    assert (found.shape, found.dtype) == ((60, K), np.dtype(np.int64))
    one = [best.contender.search(DATA.split.queries[i : i + 1], K)[0].tolist() for i in range(5)]
    assert one == found[:5].tolist()
    assert best.contender.size_bytes() > 0
    assert (batched(best.contender, DATA.split.queries) > 0).all()


def test_the_whole_bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "load", lambda *_: DATA)
    monkeypatch.setattr(bench, "WIDTH", 48)
    monkeypatch.setattr(bench, "served", lambda data, config, _: [{"vectors": 7, "index": config.label}])
    monkeypatch.setattr(bench, "live", lambda data, config, seconds, *_: ([{"phase": "idle", "config": config}], []))
    asked = Asked(["small"], LIBRARIES, [], bench.PARTS, None, 0.9, 1, 1, True, tmp_path, "pixelis bench knn --quick")
    measured = measure(asked, tmp_path, lambda _: None)
    again = Measurement.model_validate(measured.model_dump(exclude={"rows"}) | {"rows": measured.rows})
    kinds = {row["row"] for row in again.rows}
    assert {"sweep", "duel", "crossover", "crossed", "live", "compact", "served"} <= kinds
    (small,) = [row for row in again.rows if row["row"] == "compact"]
    assert small["recall"] >= 0.9
    assert small["file_mib"] < 0.7 * DATA.split.stored.nbytes / 2**20
    assert small["memory_mib"] >= 0
    absent = {row["library"] for row in again.rows if row["row"] == "absent"}
    assert absent == {name for name in LIBRARIES if not installed(name)}
    duelled = {row["library"]: row for row in again.rows if row["row"] == "duel"}
    assert duelled["exact"]["recall"] == 1.0
    assert all(row["recall"] >= 0.9 for row in duelled.values())
    assert (tmp_path / "knn-small.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_of_some_indexes_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "load", lambda *_: DATA)
    asked = Asked(["small"], LIBRARIES, ["exact", "ivf64"], ["sweep"], None, 0.5, 1, 1, True, None, "pixelis bench knn")
    swept = [row["index"] for row in measure(asked, tmp_path, lambda _: None).rows if row["row"] == "sweep"]
    assert set(swept) == {"exact (flat)", "ivf64"}


def test_claims_are_of_what_was_measured() -> None:
    def row(library: str, p50: float, batch: float) -> dict[str, object]:
        return {"library": library, "p50_ms": p50, "equal_ms": p50, "equal_batch32_ms": batch}

    rows = [row("exact", 10, 8), row("pixelis", 0.8, 0.4), row("usearch", 1.0, 0.3)]
    made = claims("d", 100_000, 512, 0.95, rows)
    assert [(c.target, c.measured, c.met) for c in made] == [(95, 92, False), (1, 1.25, True), (1, 0.75, False)]
    assert [c.target for c in claims("d", 1_000_000, 128, 0.9, rows)] == [90, 1, 1]
    assert [c.target for c in claims("d", 100_000, 50, 0.9, rows)] == [1, 1]
    assert claims("d", 100_000, 512, 0.95, rows[:1]) == []


def test_times_are_compared_at_one_recall() -> None:
    assert between(0.95, [0.95, 0.9], [2.0, 1.0]) == pytest.approx(2)
    assert between(0.95, [0.96, 0.94], [4.0, 1.0]) == pytest.approx(2)
    assert between(0.95, [0.97], [3.0]) == 3


def test_crossover() -> None:
    rows = crossover(DATA, 0.9, 1, lambda _: None, sizes=(300, 1000, 9999))
    assert [row["vectors"] for row in rows] == [300, 1000]
    assert all(row["exact_ms"] > 0 and row["recall"] >= 0.9 for row in rows)
    for faster, expected in (([0.5, 2, 3], 2), ([2, 0.5, 0.9], None), ([2, 3, 4], 1), ([None, 1.5, 1.5], 2)):
        assert crossed([{"vectors": i + 1, "faster": f} for i, f in enumerate(faster)]) == expected


def test_the_edge_holds_what_nothing_beats() -> None:
    def row(recall: float, qps: float) -> dict[str, float]:
        return {"recall": recall, "qps": qps}

    rows = [row(0.9, 10), row(0.95, 8), row(0.93, 7), row(0.4, 90), row(0.95, 8.5)]
    assert edge(rows) == [row(0.9, 10), row(0.95, 8.5)]


def test_crops_are_the_same_every_time_and_the_sides_have_none_in_common() -> None:
    first, again = (list(crops("held_out", 6, 1)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all(crop.shape[0] == crop.shape[1] and crop.shape[2] == 3 for crop in first)
    assert len(set(questions())) == len(questions()) > 250


def test_what_is_kept_is_made_once_and_anew_when_it_depends_on_something_else(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"a": np.arange(3)}

    path = tmp_path / "deep" / "a.npz"
    for depends_on, times in (("x", 1), ("x", 1), ("y", 2)):
        assert kept(path, depends_on, make)["a"].tolist() == [0, 1, 2]
        assert len(made) == times
    path.write_bytes(b"broken")
    assert kept(path, "y", make)["a"].tolist() == [0, 1, 2]
    assert len(made) == 3


def test_projections_keep_inner_products_as_far_as_they_can(tmp_path: Path) -> None:
    whole = DATA.split
    made = projected(lambda *_: whole, 40)(tmp_path, 0, 0, lambda _: None)
    assert made.stored.shape == (2500, 40)
    before, after = whole.queries @ whole.stored.T, made.queries @ made.stored.T
    assert np.abs(before - after).mean() < 0.02
    assert np.linalg.norm(unit(made.stored), axis=1) == pytest.approx(1, abs=1e-5)


def test_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="There are keys, keys-512"):
        bench.load("nothing", tmp_path)
