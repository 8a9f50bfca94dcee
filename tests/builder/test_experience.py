"""The seeds of `knn` pass the gate whole, and every fault of theirs is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from builder.gate import Verdict, judge
from builder.model_spec import ModelSpec
from builder.sources.experience import EXPERIENCES, KEYS, Experiences
from builder.spec import pipeline
from pixelis.errors import BuildError
from pixelis.schema import Experience

COUNT, WIDTH = 70, 32


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    folder.mkdir()
    keys = np.random.default_rng(0).normal(size=(COUNT, WIDTH))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    keys[5] = keys[6]  # two episodes on one picture: either finds the first
    np.save(folder / KEYS, keys.astype(np.float16))
    lines = [
        Experience(
            experience_id=f"e{i}", question="What?", answer=str(i), confidence=0.9, created_at=0
        ).model_dump_json()
        for i in range(COUNT)
    ]
    (folder / EXPERIENCES).write_text("\n".join(lines) + "\n")
    return folder


def spec() -> ModelSpec:
    return pipeline()["knn"]


def verdict(seeds: Path, change: Callable[[Path], None] = lambda artifact: None) -> Verdict:
    source, artifact = Experiences(str(seeds)), seeds.parent / "artifact"
    artifact.mkdir()
    source.export_onnx(artifact)
    change(artifact)
    return judge(source, artifact, spec())


def test_seeds_find_themselves(seeds: Path) -> None:
    found = verdict(seeds)
    assert found.passed, found.reasons
    assert found.outputs["INDEX"].against_source.elements == COUNT
    assert len(found.batch_sizes) > 1


def _keys(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / KEYS, change(np.load(folder / KEYS)))


def _lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    path = lambda folder: folder / EXPERIENCES  # noqa: E731
    return lambda folder: path(folder).write_text("\n".join(change(path(folder).read_text().splitlines()))) and None


def _nan(keys: np.ndarray) -> np.ndarray:
    keys[3, 0] = np.nan
    return keys


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_keys(lambda keys: keys[::-1]), "INDEX: share of equal elements"),
        (_keys(lambda keys: keys * np.float16(1.1)), "70 keys are not finite and of length 1"),
        (_keys(_nan), "1 keys are not finite and of length 1, the first is 3"),
        (_keys(lambda keys: keys[:-1]), "70 experiences have 69 keys"),
        (_keys(lambda keys: keys[0]), "not keys [n, D]"),
        (_lines(lambda lines: [*lines[:-1], lines[0]]), "the id e0 occurs twice"),
        (_lines(lambda lines: [*lines[:-1], "{}"]), "line 70: Field required"),
        (_lines(lambda lines: lines[:-1]), "69 experiences have 70 keys"),
    ],
)
def test_faulty_seeds(seeds: Path, change: Callable[[Path], None], reason: str) -> None:
    try:
        reasons = verdict(seeds, change).reasons
    except BuildError as error:
        reasons = [str(error)]
    assert any(reason in text for text in reasons), reasons


def test_no_seeds_is_missing_files(tmp_path: Path) -> None:
    source = Experiences(str(tmp_path))
    assert [path.name for path in source.missing()] == [EXPERIENCES, KEYS]


def test_both_files_are_the_source(seeds: Path) -> None:
    before = Experiences(str(seeds)).digest()
    copy = seeds.parent / "copy"
    shutil.copytree(seeds, copy)
    assert Experiences(str(copy)).digest() == before
    (copy / EXPERIENCES).write_text("")
    assert Experiences(str(copy)).digest() != before
