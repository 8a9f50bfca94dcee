"""The plan's sizes are those of what is then written; the command checks, says and leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from builder.candidate import Candidate
from builder.checkpoints.architecture import read_architecture
from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.plan import Plan, plan
from builder.checkpoints.room import available_memory, check_room, disk_use
from builder.checkpoints.sizes import decoder_bytes, parameters, table_bytes
from builder.commands.build import app
from builder.optimization import OptimizationConfig
from builder.sources.checkpoint import NANO
from builder.sources.emission.emit import emit
from builder.sources.emission.form import Form
from builder.spec import pipeline
from pixelis.errors import BuildError
from pixelis.settings import Settings, settings
from tests.builder.checkpoints.test_architecture import small

BLOCKS = OptimizationConfig(group_size=32)
FORMS = (
    Candidate(format="onnx"),
    Candidate(format="onnx", precision="fp16"),
    Candidate(format="onnx", precision="int8", quantization="weights", optimization=BLOCKS),
    Candidate(format="onnx", precision="int4", quantization="weights", optimization=BLOCKS),
)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("plan")
    shapes = ("qwen2.5-vl-3b", "qwen2.5-vl-7b", "qwen3-vl-8b")
    return {shape: small(root / shape, shape, max_position_embeddings=512) for shape in shapes}


@pytest.mark.parametrize("shape", ["qwen2.5-vl-3b", "qwen2.5-vl-7b", "qwen3-vl-8b"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.label)
def test_sizes_are_those_of_what_is_written(
    directories: dict[str, Path], tmp_path: Path, shape: str, form: Candidate
) -> None:
    emit(directories[shape], tmp_path, Form.of_candidate(form))
    written = sum(path.stat().st_size for pattern in ("*.bin", "*.npy") for path in tmp_path.glob(pattern))
    padding = 4096 * 60  # each tensor begins at a page
    said = decoder_bytes(read_architecture(directories[shape]), form) + table_bytes(
        read_architecture(directories[shape]), form
    )
    assert said * 0.97 < written < said * 1.03 + padding


def test_numbers_are_counted(directories: dict[str, Path]) -> None:
    found = check_checkpoint(directories["qwen2.5-vl-7b"])
    assert 2 * sum(parameters(found.architecture)) == found.weights.total_bytes


def made(directory: Path, jobs: int = 1) -> Plan:
    known = pipeline(Settings(checkpoint=directory))
    forms = {name: [known[name].candidate] for name in ("vision_encoder", "policy")}
    return plan(check_checkpoint(directory), known, [], forms, Settings(), published=True, jobs=jobs)


def test_two_at_the_same_time_take_the_memory_of_both() -> None:
    rows = made(NANO).models
    assert made(NANO).memory_bytes == max(row.memory_bytes for row in rows)
    assert made(NANO, jobs=2).memory_bytes == sum(row.memory_bytes for row in rows)


def test_keys_and_values(directories: dict[str, Path]) -> None:
    found = made(NANO).serving
    assert found.token_bytes == 2 * 4 * 2 * 32 * 4
    assert found.request_bytes == found.token_bytes * 2048
    assert found.requests == 16
    assert made(directories["qwen3-vl-8b"]).serving.max_len == 512


def test_no_room_is_said_before_any_work(tmp_path: Path) -> None:
    found = made(NANO)
    check_room(found, tmp_path)
    with pytest.raises(BuildError, match="of memory"):
        check_room(found, tmp_path, free_memory=2**20)
    with pytest.raises(BuildError, match="of disk"):
        check_room(found.model_copy(update={"disk_bytes": 2**60}), tmp_path / "not" / "there")
    judged = [row.model_copy(update={"scratch_bytes": 2**60}) for row in found.models]
    with pytest.raises(BuildError, match="of disk"):
        check_room(found.model_copy(update={"models": judged}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_looked_up() -> None:
    found = available_memory()
    assert found is None or found > 2**20


def test_a_file_under_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert disk_use([tmp_path]) == 4


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state and a repository that are not there yet."""
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PIXELIS_REPOSITORY", str(tmp_path / "repository"))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["build", *arguments])


def test_a_dry_run_prints_the_plan_and_writes_nothing(directories: dict[str, Path], place: Path) -> None:
    directory = directories["qwen2.5-vl-7b"]
    result = run("--checkpoint", str(directory), "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    found = Plan.model_validate_json(result.stdout)
    assert [(row.model, row.candidate) for row in found.models] == [
        ("vision_encoder", "onnx-fp32"),
        ("policy", "onnx-fp32"),
    ]
    assert "embed_image" in found.others
    assert found.disk_bytes == sum(row.disk_bytes for row in found.models)
    forms = run("policy", "--checkpoint", str(directory), "--dry-run", "--json", "--formats", "onnx")
    labels = [row["candidate"] for row in json.loads(forms.stdout)["models"]]
    assert labels == ["onnx-fp32", "onnx-fp16", "onnx-int8-dynamic", "onnx-int8-weights", "onnx-int4"]
    small = run(
        "policy", "--checkpoint", str(directory), "--dry-run", "--json", "--formats", "onnx", "--precisions", "int4"
    )
    (row,) = json.loads(small.stdout)["models"]  # which the vision encoder is not built in
    assert row["scratch_bytes"] > row["artifact_bytes"]
    words = run("--checkpoint", str(directory), "--dry-run")
    assert "224x224 pixels: 64 tokens" in words.output
    assert list(place.iterdir()) == []
    assert settings().checkpoint is None


def test_what_is_wrong_with_it_ends_the_command_at_once(directories: dict[str, Path], place: Path) -> None:
    for options in ((), ("--dry-run",)):
        result = run("--checkpoint", str(place / "nowhere"), *options)
        assert isinstance(result.exception, BuildError)
        assert result.exception.mend
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dry-run",),
        ("--checkpoint", str(NANO), "--segmenter", "none"),
        ("--checkpoint", str(NANO), "--dry-run", "--optimize", "latency"),
    ],
)
def test_wrong_usage(place: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
