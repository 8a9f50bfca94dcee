"""The folder that is written for vLLM: whole, understood by lint, kept by later builds, and left again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.using import settings_of
from builder.commands.build import app
from builder.lint import lint
from builder.named.specs import in_repository
from builder.rules.base import Finding
from builder.sources.checkpoint import NANO
from builder.spec import pipeline
from builder.store import Store
from builder.triton_config import parse
from builder.vllm.build import build_vllm, planned
from builder.vllm.options import VllmOptions
from builder.vllm.specs import detach
from pixelis.settings import settings
from python_backends.policy.profile import Profile
from python_backends.policy.vllm.engine import EngineFile

MODELS = ["policy", "vision_encoder"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vllm")
    with settings_of(NANO):
        made = planned(check_checkpoint(NANO), VllmOptions(tensor_parallel=2))
        report = build_vllm(made, root / "repository", models=MODELS, state=root / "state")
    assert [(one.model, one.state) for one in report.models] == [(name, "built") for name in MODELS]
    return root


@pytest.fixture
def repository(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "copy")
    return tmp_path / "copy" / "repository"


def findings(repository: Path) -> list[Finding]:
    """But for those about models that this test does not build."""
    found = lint(repository, target="ngc")
    return [one for one in found if one.rule != "published" or one.model in (*MODELS, "policy_vllm")]


def test_the_folder_for_the_backend(written: Path) -> None:
    folder = written / "repository" / "policy_vllm"
    made = parse((folder / "config.pbtxt").read_text(encoding="utf-8"))
    assert (made.backend, made.max_batch_size, made.model_transaction_policy.decoupled) == ("vllm", 0, True)
    (group,) = made.instance_group
    assert (group.count, group.Kind.Name(group.kind)) == (1, "KIND_MODEL")
    assert {entry.name for entry in made.input if not entry.optional} == {"text_input"}
    assert {"image", "stream", "sampling_parameters", "return_logprobs"} < {entry.name for entry in made.input}
    said = json.loads((folder / "1" / "model.json").read_text(encoding="utf-8"))
    assert (said["model"], said["tensor_parallel_size"]) == (str(NANO), 2)
    assert not (folder / "1" / "model.py").exists()


def test_the_two_models_before_it(written: Path) -> None:
    repository = written / "repository"
    policy = parse((repository / "policy" / "config.pbtxt").read_text(encoding="utf-8"))
    assert (policy.backend, policy.parameters["calls"].string_value) == ("python", "policy_vllm")
    assert [entry.name for entry in policy.input] == [tensor.name for tensor in pipeline()["policy"].inputs]
    assert "serving.vllm import VllmPolicy" in (repository / "policy" / "2" / "model.py").read_text(encoding="utf-8")
    encoder = parse((repository / "vision_encoder" / "config.pbtxt").read_text(encoding="utf-8"))
    assert list(encoder.output[0].dims) == [36, 28 * 28 * 3]
    folder = repository / "policy" / "2"
    assert EngineFile.load(folder).arguments.text() == (repository / "policy_vllm" / "1" / "model.json").read_text()
    assert Profile.load(folder).video == "frames"
    assert not list(folder.glob("*.safetensors"))


def test_lint_has_nothing_to_say(written: Path) -> None:
    assert findings(written / "repository") == []


def test_what_was_changed_by_hand_is_found(repository: Path) -> None:
    path = repository / "policy_vllm" / "1" / "model.json"
    path.write_text(path.read_text().replace('"tensor_parallel_size": 2', '"tensor_parallel_size": 4'))
    (found,) = findings(repository)
    assert (found.model, found.rule) == ("policy_vllm", "vllm")
    config = repository / "policy_vllm" / "config.pbtxt"
    config.write_text(config.read_text().replace("KIND_MODEL", "KIND_GPU"))
    assert {one.rule for one in findings(repository)} == {"vllm", "config-drift"}


def test_an_engine_that_the_checkpoint_cannot_have(repository: Path) -> None:
    for path in (repository / "policy" / "2" / "engine.json", repository / "policy_vllm" / "1" / "model.json"):
        said = json.loads(path.read_text())
        said.get("arguments", said)["tensor_parallel_size"] = 4
        path.write_text(json.dumps(said))
    told = {one.message for one in findings(repository) if one.model == "policy_vllm"}
    assert any("6 heads are not a multiple of 4" in message for message in told)


def test_a_policy_without_its_engine_file_is_still_told_of(repository: Path) -> None:
    (repository / "policy" / "2" / "engine.json").unlink()
    assert {one.model for one in findings(repository)} >= {"policy", "policy_vllm"}


def test_later_commands_know_it_and_leaving_ends_it(repository: Path) -> None:
    store = Store(repository, repository.parent / "state")
    known = in_repository(pipeline(), store)
    assert known["policy"].source == "builder.sources.vllm_policy:VllmFiles"
    assert "policy_vllm" in known.names
    with store.locked():
        assert detach(store)
        assert not detach(store)
    again = in_repository(pipeline(), store)
    assert "policy_vllm" not in again.names
    assert again["policy"].source == pipeline()["policy"].source


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["build", *map(str, arguments)])


def test_a_dry_run_shows_it_and_writes_nothing(tmp_path: Path) -> None:
    there = ("--policy-runtime", "vllm", "--target", "ngc", "--repository", tmp_path / "r", "--dry-run")
    result = run(*there, "--checkpoint", NANO, "--tensor-parallel", 2, "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.stdout)
    assert (plan["gpus"], plan["max_model_len"]) == (2, 2048)
    assert json.loads(plan["files"]["policy_vllm/1/model.json"])["tensor_parallel_size"] == 2
    assert 'backend: "vllm"' in plan["files"]["policy_vllm/config.pbtxt"]
    # Half of the text model's numbers and half of the tower's, two bytes each.
    size = check_checkpoint(NANO).weights.total_bytes
    assert abs(plan["weight_bytes"] - size / 2) < 0.05 * size
    assert plan["token_bytes"] == 2 * 4 * 1 * 32 * 2
    assert not (tmp_path / "r").exists()
    shown = run(*there, "--checkpoint", NANO)
    assert "policy_vllm/1/model.json:" in shown.output
    assert "on 1 GPUs" in shown.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy-runtime", "other"), "it is `pixelis` or `vllm`"),
        (("--policy-runtime", "vllm"), "add --target ngc"),
        (("--policy-runtime", "vllm", "--target", "ngc"), "add --target ngc"),
        (("--tensor-parallel", "2"), "goes with --policy-runtime vllm"),
        (("--policy-runtime", "pixelis", "--max-model-len", "512"), "goes with --policy-runtime vllm"),
        (("--policy-runtime", "vllm", "--gpu-memory-utilization", "1.5"), "more than 0 and at most 1"),
        (("--policy-runtime", "vllm", "--target", "ngc", "--repository", "r", "--default"), "goes without"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


def test_too_many_gpus_are_an_error_with_what_would_do(tmp_path: Path) -> None:
    there = ("--policy-runtime", "vllm", "--target", "ngc", "--repository", tmp_path / "r")
    result = run(*there, "--checkpoint", NANO, "--tensor-parallel", 5)
    assert result.exception is not None
    assert "6 heads are not a multiple of 5" in str(result.exception)
    assert not (tmp_path / "r").exists()


def test_the_repository_of_the_embedded_server_is_refused() -> None:
    result = run("--policy-runtime", "vllm", "--target", "ngc", "--repository", settings().repository)
    assert "cannot hold NGC configs" in str(result.exception)
