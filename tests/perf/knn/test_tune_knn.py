"""`pixelis tune knn`: what it chooses, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from perf.knn.tuned import read_grids
from perf.tune_knn import app
from pixelis.errors import GateFailed, InvalidRequest, SetupError
from pixelis.index_config import Hnsw, IndexConfig, Pca, Refine
from pixelis.schema import Measurement
from pixelis.settings import Retrieval, settings
from python_backends.experience import ExperienceStore
from python_backends.experience import chosen as choice
from tests.experience.conftest import experience
from tests.experience.indexes.configs import clustered

GRID = [
    {"kind": "flat"},
    {"kind": "hnsw", "built": {"m": [8]}, "searched": {"ef_search": [10, 80]}},
    {"kind": "ivf_flat", "built": {"lists": [16]}, "searched": {"probes": [1, 16]}},
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a grid and vectors, the state of this machine in it."""
    (tmp_path / "grid.json").write_text(json.dumps(GRID))
    np.save(tmp_path / "vectors.npy", clustered(2000, 1))
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path / "state"))
    settings.cache_clear()
    return tmp_path


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    settings.cache_clear()


def tuned(place: Path, *words: str) -> Measurement:
    arguments = ["--grid", str(place / "grid.json"), "--output", str(place / "out"), "--threads", "1", "--json", *words]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return Measurement.model_validate_json(done.stdout)


def test_the_fastest_that_reaches_the_recall_is_chosen_and_written(place: Path) -> None:
    measured = tuned(place, "--data", str(place / "vectors.npy"), "--recall", "0.9", "--write")
    (chosen,) = [row for row in measured.rows if row["chosen"]]
    assert chosen["p50_ms"] == min(row["p50_ms"] for row in measured.rows if row["recall_low"] >= 0.9)
    assert {"vectors": 1800, "queries": 200, "width": 24}.items() <= chosen.items()
    assert next(claim.met for claim in measured.claims)
    assert Measurement.model_validate_json((place / "out" / "knn.json").read_text()).rows == measured.rows
    assert (place / "out" / "knn.png").read_bytes().startswith(b"\x89PNG")
    written = choice.read(place / "state" / "experiences")
    assert written == IndexConfig.model_validate(chosen["config"])


def test_nothing_that_reaches_the_recall_is_refused_and_shown(place: Path) -> None:
    with pytest.raises(GateFailed, match=r"recall 0.95 and 0.1 MiB.*Allow 0.\d+ MiB"):
        tuned(place, "--data", str(place / "vectors.npy"), "--memory-mb", "0.1")
    measured = Measurement.model_validate_json((place / "out" / "knn.json").read_text())
    assert not any(row["chosen"] for row in measured.rows)
    assert measured.claims == []
    assert not (place / "state" / "experiences" / "index.json").exists()


def test_on_the_experiences_of_this_machine(place: Path) -> None:
    with pytest.raises(InvalidRequest, match="no experiences"):
        tuned(place)
    store = ExperienceStore(place / "state" / "experiences", Retrieval(cold_start_threshold=0))
    rng = np.random.default_rng(0)
    for i in range(120):
        key = rng.standard_normal(1664).astype(np.float32)
        store.insert(experience(str(i)), key / np.linalg.norm(key))
    store.snapshot()
    (place / "grid.json").write_text(json.dumps(GRID[:2]))
    measured = tuned(place, "--recall", "0.5")
    assert {(row["vectors"], row["width"], row["queries"]) for row in measured.rows} == {(108, 1664, 12)}
    store.close()


def test_what_was_chosen_is_served(place: Path) -> None:
    directory = place / "experiences"
    config = IndexConfig(index=Hnsw(m=8), transform=Pca(width=4), refine=Refine())
    assert choice.write(directory, config) == directory / "index.json"
    store = ExperienceStore(directory, Retrieval(cold_start_threshold=0), width=8)
    assert store.stats()["index"]["wanted"] == config.label
    store.close()
    other = ExperienceStore(directory, Retrieval(cold_start_threshold=0, index=IndexConfig()), width=8)
    assert other.stats()["index"]["wanted"] == "flat"
    other.close()
    with pytest.raises(InvalidRequest, match="keeps codes only"):
        choice.write(directory, IndexConfig(index=Hnsw(), transform=Pca(width=4)))
    (directory / "index.json").write_text("{")
    with pytest.raises(SetupError, match="says no index"):
        choice.read(directory)


def test_data_and_grids_that_are_none(place: Path) -> None:
    np.save(place / "flat.npy", np.zeros(5))
    (place / "bad.json").write_text('[{"kind": "flat", "speed": 9}]')
    for words, says in (
        (["--data", str(place / "nothing.npy")], "no data set"),
        (["--data", str(place / "flat.npy")], r"\[5\]"),
        (["--data", str(place / "vectors.npy"), "--grid", str(place / "bad.json")], "holds no grids"),
    ):
        with pytest.raises(InvalidRequest, match=says):
            tuned(place, *words)


def test_the_grid_in_the_docs_is_one(place: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "retrieval.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith('{"kind"')]
    (place / "grid.json").write_text(f"[{line}]")
    (grid,) = read_grids(place / "grid.json")
    assert len(list(grid.builds(5000, 512))) == 4
