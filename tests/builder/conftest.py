"""A repository of two tiny models."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.building.build import BuildReport, build
from builder.model_spec import ModelSpec
from builder.spec import Pipeline
from builder.store import Store
from tests.builder.tiny import linear_spec, write_shims, write_weights

NAMES = ("alpha", "beta")


@dataclass
class Place:
    """A repository, its state, and what is built in it."""

    root: Path
    known: Pipeline

    @property
    def store(self) -> Store:
        return Store(self.root / "repository", self.root / "state")

    def build(self, *models: str, known: Pipeline | None = None, force: bool = False) -> BuildReport:
        return build(
            models,
            force=force,
            repository=self.root / "repository",
            state=self.root / "state",
            spec=known or self.known,
        )

    def with_model(self, spec: ModelSpec) -> Pipeline:
        """The pipeline with `spec` instead of the model of its name."""
        return Pipeline(models=tuple(spec if m.name == spec.name else m for m in self.known.models))

    def leftovers(self) -> list[Path]:
        """Half-written things, wherever they could be."""
        return [*self.root.rglob(".tmp-*"), *self.root.rglob("*.draft")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def make_pipeline(root: Path) -> Pipeline:
    return Pipeline(models=tuple(linear_spec(name, root / f"{name}.npy") for name in NAMES))


def make_place(root: Path) -> Place:
    for seed, name in enumerate(NAMES):
        write_weights(root / f"{name}.npy", seed)
    known = make_pipeline(root)
    write_shims(root / "repository", known)
    return Place(root, known)


@pytest.fixture(scope="session")
def built_template(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Built once; tests that change something take a copy (`built`)."""
    made = make_place(tmp_path_factory.mktemp("built"))
    report = made.build()
    assert not report.failed, report.failed
    return made


@pytest.fixture
def built(built_template: Place, tmp_path: Path) -> Place:
    """Both models published as version 2, in a folder of the test's own."""
    shutil.copytree(built_template.root, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path, make_pipeline(tmp_path))
