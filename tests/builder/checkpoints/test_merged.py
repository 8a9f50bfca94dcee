"""`--adapter`: refused where it does not fit, merged once where it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.merged import merged
from builder.checkpoints.plan import Plan
from builder.checkpoints.weights import Weights
from builder.commands.build import app
from pixelis.errors import BuildError
from tests.builder.checkpoints.test_architecture import small
from tests.builder.checkpoints.test_lora import adapter, pair

MODULE = "model.layers.0.mlp.up_proj"


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    base = small(tmp_path / "base", "qwen2.5-vl-7b")
    return base, adapter(tmp_path / "adapter", pair(Weights(base), MODULE))


def test_it_is_merged_once(both: tuple[Path, Path], tmp_path: Path) -> None:
    made = merged(*both, tmp_path / "state")
    assert check_checkpoint(made).warnings == ()
    before = {path.name: path.stat().st_mtime_ns for path in made.iterdir()}
    assert merged(*both, tmp_path / "state") == made
    assert {path.name: path.stat().st_mtime_ns for path in made.iterdir()} == before
    (both[1] / "note.txt").write_text("another adapter now")
    assert merged(*both, tmp_path / "state") != made


def test_a_dry_run_looks_at_it_and_merges_nothing(
    both: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path / "state"))
    base, own = (str(path) for path in both)
    arguments = ["build", "--checkpoint", base, "--dry-run", "--json", "--adapter"]
    result = CliRunner().invoke(app, [*arguments, own])
    assert result.exit_code == 0, result.output
    Plan.model_validate_json(result.stdout)
    (both[1] / "adapter_model.safetensors").rename(both[1] / "adapter_model.bin")
    assert isinstance(CliRunner().invoke(app, [*arguments, own]).exception, BuildError)
    assert not (tmp_path / "state").exists()


def test_it_goes_with_a_checkpoint_alone(both: tuple[Path, Path]) -> None:
    assert CliRunner().invoke(app, ["build", "--adapter", str(both[1])]).exit_code == 2
