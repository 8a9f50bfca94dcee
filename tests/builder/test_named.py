"""A checkpoint that is published by name, beside the default one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builder.building.build import build
from builder.checkpoint_view import View
from builder.commands.build import app
from builder.named.remove import remove
from builder.named.specs import in_repository, refused, specs_of, with_named
from builder.pipeline import Pipeline
from builder.spec import pipeline
from builder.store import Store
from builder.storing.layout import lay_out
from builder.triton_config import config, parse
from pixelis.errors import NotFound
from python_backends.checkpoints import PAIR, models_of, names
from tests.builder.tiny import linear_spec, write_shims, write_weights

LARGE = View(width=224, height=224, tokens=64, hidden=256)


@pytest.fixture
def tiny(tmp_path: Path) -> Pipeline:
    """Two tiny models that stand for the pair."""
    for seed, name in enumerate(PAIR):
        write_weights(tmp_path / f"{name}.npy", seed)
    known = Pipeline(models=tuple(linear_spec(name, tmp_path / f"{name}.npy") for name in PAIR))
    write_shims(tmp_path / "repository", known)
    return known


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "repository", tmp_path / "state")


def published(known: Pipeline, store: Store, name: str) -> Pipeline:
    """The pipeline with the pair under a name, all of it published."""
    copies = (known[model].model_copy(update={"name": full}) for model, full in zip(PAIR, models_of(name), strict=True))
    whole = Pipeline(models=(*known.models, *copies))
    write_shims(store.repository, whole)
    for models in (PAIR, models_of(name)):
        report = build(models, repository=store.repository, state=store.state, spec=whole)
        assert not report.failed, report.failed
    return whole


def test_an_artifact_is_built_once_for_both_names(tiny: Pipeline, store: Store) -> None:
    whole = published(tiny, store, "large")
    for model, full in zip(PAIR, models_of("large"), strict=True):
        ours, theirs = store.manifest(model), store.manifest(full)
        assert (ours.key, ours.digest) == (theirs.key, theirs.digest)
        assert (ours.model, theirs.model) == (model, full)
        assert store.faults(full, 2) == []
    assert names(store.repository) == ["large"]
    again = build(models_of("large"), repository=store.repository, state=store.state, spec=whole)
    assert [outcome.state for outcome in again.models] == ["up to date", "up to date"]


def test_it_leaves_by_its_name_alone(tiny: Pipeline, store: Store) -> None:
    published(tiny, store, "large")
    assert remove("large", repository=store.repository, state=store.state) == list(models_of("large"))
    assert names(store.repository) == []
    assert store.latest("policy") == 2
    with pytest.raises(NotFound, match="Named ones: none"):
        remove("large", repository=store.repository, state=store.state)


def test_its_tensors_are_of_its_own_views() -> None:
    known = pipeline()
    policy, encoder = specs_of(known, "large", LARGE)
    made = config(encoder, "embedded")
    assert [list(tensor.dims) for tensor in (*made.input, *made.output)] == [[224, 224, 3], [64, 256]]
    assert made.parameters["load"].string_value == "on demand"
    assert "load" not in config(known["vision_encoder"], "embedded").parameters
    assert policy.candidates == known["policy"].candidates


def test_views_are_read_from_what_was_published(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "state")
    for model in models_of("large"):
        (tmp_path / model / "2").mkdir(parents=True)
    vision = {"patch_size": 14, "spatial_merge_size": 2, "out_hidden_size": 512}
    folder = tmp_path / "policy.large" / "2"
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl", "vision_config": vision}))
    (folder / "pixelis.json").write_text(json.dumps({"view": [280, 140]}))
    known = in_repository(pipeline(), store)
    assert [tensor.dims for tensor in known["vision_encoder.large"].outputs] == [(50, 512)]
    assert with_named(known, store) is known
    lay_out(store, known, "embedded")
    written = parse((tmp_path / "policy.large" / "config.pbtxt").read_text())
    assert written.name == "policy.large"
    assert (tmp_path / "policy.large" / "1" / "model.py").is_file()


@pytest.mark.parametrize("name", ["Large", "a.b", "-x", "default", "a/b", "a" * 64])
def test_another_name_is_wrong_usage(name: str) -> None:
    assert refused(name)
    done = CliRunner().invoke(app, ["build", "--checkpoint", "x", f"--name={name}"])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    "more", [["--formats", "onnx"], ["--optimize", "latency"], ["embed_image"], ["--segmenter", "none"]]
)
def test_what_does_not_go_with_a_name_is_wrong_usage(more: list[str]) -> None:
    done = CliRunner().invoke(app, ["build", *more, "--checkpoint", "x", "--name", "large"])
    assert done.exit_code == 2
    assert CliRunner().invoke(app, ["build", "--name", "large"]).exit_code == 2
