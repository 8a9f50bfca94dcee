"""Every planted fault is found, and each finding says how to mend it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.lint import lint
from builder.rules.base import Finding
from builder.spec import pipeline
from builder.store import Store
from builder.storing.layout import HOME, lay_out
from builder.triton_config import parse, text
from tests.builder.conftest import Place
from tests.builder.tiny import write_linear

NOT_BUILT = {"published"}
"""Rules that speak where a repository holds configs and no artifacts."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("laid-out")
    store = Store(root / "repository", root / "state")
    with store.locked():
        lay_out(store, pipeline(), "embedded")
    return store.repository


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """The whole pipeline's configs and shims, nothing built."""
    shutil.copytree(template, tmp_path / "repository")
    return tmp_path / "repository"


def findings(repository: Path) -> list[Finding]:
    return [finding for finding in lint(repository) if finding.rule not in NOT_BUILT]


def test_what_the_builder_writes_has_no_findings(repository: Path) -> None:
    assert findings(repository) == []


def test_the_committed_repository_has_no_findings() -> None:
    assert [finding for finding in lint(HOME) if finding.rule not in {"published", "graph"}] == []


def edit(model: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    """A fault in a model's config, planted through the protobuf."""

    def plant(repository: Path) -> None:
        path = repository / model / "config.pbtxt"
        made = parse(path.read_text())
        change(made)
        path.write_text(text(made))

    return plant


def tensor(made: Any, name: str) -> Any:
    return next(entry for entry in (*made.input, *made.output) if entry.name == name)


def step(made: Any, model: str) -> Any:
    return next(entry for entry in made.ensemble_scheduling.step if entry.model_name == model)


def priority_levels(made: Any) -> None:
    made.dynamic_batching.priority_levels = 2


def queue_size(made: Any) -> None:
    made.dynamic_batching.default_queue_policy.max_queue_size = 10


def patience(made: Any) -> None:
    made.dynamic_batching.max_queue_delay_microseconds = 51_000


def rename_output(made: Any) -> None:
    tensor(made, "EMBEDDING").name = "VECTOR"


def set_dtype(made: Any) -> None:
    tensor(made, "EMBEDDING").data_type = 10  # TYPE_FP16


def set_dims(made: Any) -> None:
    tensor(made, "EMBEDDING").dims[:] = [1000]


def require_options(made: Any) -> None:
    tensor(made, "OPTIONS").optional = False


def drop_options(made: Any) -> None:
    made.input.remove(tensor(made, "OPTIONS"))


def optional_question(made: Any) -> None:
    tensor(made, "QUESTION").optional = True


def not_ragged(made: Any) -> None:
    tensor(made, "IMAGE").allow_ragged_batch = False


def too_ragged(made: Any) -> None:
    tensor(made, "QUESTION").allow_ragged_batch = True


def two_processes(made: Any) -> None:
    made.instance_group[0].count = 2


def two_groups(made: Any) -> None:
    made.instance_group.add(count=1, kind=2)


def automatic(made: Any) -> None:
    made.instance_group[0].kind = 0


def three_versions(made: Any) -> None:
    made.version_policy.latest.num_versions = 3


def no_batching(made: Any) -> None:
    made.ClearField("dynamic_batching")


def other_batch(made: Any) -> None:
    made.max_batch_size = 4


def not_decoupled(made: Any) -> None:
    made.model_transaction_policy.decoupled = False


def other_name(made: Any) -> None:
    made.name = "somebody"


def unknown_step(made: Any) -> None:
    step(made, "recall").model_name = "remember"


def decoupled_step(made: Any) -> None:
    step(made, "reason").model_name = "agent"


def wrong_type(made: Any) -> None:
    step(made, "finish").input_map["KEY"] = "OUTCOME"


def unmapped(made: Any) -> None:
    del step(made, "finish").input_map["OUTCOME"]


def unmade(made: Any) -> None:
    del step(made, "reason").output_map["OUTCOME"]


def no_such_input(made: Any) -> None:
    step(made, "recall").input_map["VIEW"] = "RETRIEVAL_VIEW"


def no_such_output(made: Any) -> None:
    step(made, "recall").output_map["SCORES"] = "SCORES"


def nobody_answers(made: Any) -> None:
    del step(made, "finish").output_map["ANSWER"]


def nobody_asks(made: Any) -> None:
    del step(made, "prepare").input_map["OPTIONS"]


FAULTS = [
    ("vote", priority_levels, "queue-policy", "priority_levels stalls"),
    ("reason", queue_size, "queue-policy", "default_queue_policy stalls"),
    ("dynamics", patience, "waiting", "the ceiling is 50 ms"),
    ("embed_image", rename_output, "contract", "output EMBEDDING is missing"),
    ("embed_image", rename_output, "contract", "output VECTOR is not in the contract"),
    ("embed_image", set_dtype, "contract", "is FP16[1280], the contract says FP32[1280]"),
    ("embed_text", set_dims, "contract", "is FP32[1000], the contract says FP32[384]"),
    ("prepare", require_options, "contract", "OPTIONS must be optional"),
    ("prepare", drop_options, "options", "takes a QUESTION and no OPTIONS"),
    ("prepare", optional_question, "options", "QUESTION is optional"),
    ("reason", not_ragged, "ragged", "IMAGE must allow a ragged batch"),
    ("prepare", too_ragged, "ragged", "QUESTION must not be ragged"),
    ("knn", two_processes, "instances", "has 2 instances, and each would have an index"),
    ("knn", two_groups, "instances", "has 2 instances"),
    ("policy", automatic, "instances", "KIND_AUTO"),
    ("policy", two_processes, "instances", "has 2 instances, the spec says 1"),
    ("embed_image", three_versions, "version-policy", "latest(1)"),
    ("embed_image", no_batching, "batching", "has no dynamic_batching"),
    ("embed_image", other_batch, "batching", "max_batch_size is 4, the spec says 8"),
    ("policy", not_decoupled, "batching", "must be decoupled"),
    ("vote", other_name, "contract", "named 'somebody'"),
    ("pixelis", unknown_step, "ensemble", "remember is not in the repository"),
    ("pixelis", decoupled_step, "ensemble", "agent is decoupled"),
    ("pixelis", wrong_type, "ensemble", "finish takes KEY as FP32[-1], reason makes it BYTES[1]"),
    ("pixelis", unmapped, "ensemble", "input OUTCOME of finish is not mapped"),
    ("pixelis", unmade, "ensemble", "OUTCOME, which finish takes as OUTCOME, is made by no earlier step"),
    ("pixelis", no_such_input, "ensemble", "recall has no input VIEW"),
    ("pixelis", no_such_output, "ensemble", "recall has no output SCORES"),
    ("pixelis", nobody_answers, "ensemble", "No step makes the output ANSWER"),
    ("pixelis", nobody_asks, "ensemble", "No step takes the input OPTIONS"),
]


@pytest.mark.parametrize(("model", "change", "rule", "message"), FAULTS)
def test_a_fault_in_a_config(
    repository: Path, model: str, change: Callable[[Any], None], rule: str, message: str
) -> None:
    edit(model, change)(repository)
    found = findings(repository)
    assert any(f.rule == rule and message in f.message and f.mend for f in found), found
    assert any(f.model == model and f.rule == "config-drift" for f in found)


def test_an_optional_input_that_a_step_needs(repository: Path) -> None:
    edit("prepare", require_options)(repository)
    assert any("OPTIONS is optional, but prepare needs" in f.message for f in findings(repository))


def test_a_config_that_is_missing_or_unreadable(repository: Path) -> None:
    (repository / "vote" / "config.pbtxt").unlink()
    (repository / "dynamics" / "config.pbtxt").write_text("name: {")
    found = {(f.model, f.rule) for f in findings(repository)}
    assert {("vote", "config"), ("dynamics", "config"), ("finish", "children"), ("reward", "children")} <= found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "1/model.py is missing"),
        ("# long\n" * 41, "has 41 lines, at most 40"),
        ("class TritonPythonModel:\n", "is not Python"),
        ("x = 1\n", "names no TritonPythonModel"),
        ("from python_backends.nowhere import X as TritonPythonModel\n", "nowhere, which does not exist"),
        ("from python_backends.artifacts import X as TritonPythonModel\n", "imports X from python_backends.artifacts"),
    ],
)
def test_a_fault_in_a_shim(repository: Path, content: str | None, message: str) -> None:
    path = repository / "vote" / "1" / "model.py"
    path.unlink() if content is None else path.write_text(content)
    found = [f for f in findings(repository) if f.rule == "shim"]
    assert any(message in f.message and f.model == "vote" for f in found), found


def test_an_ensemble_has_no_shim(repository: Path) -> None:
    (repository / "pixelis" / "1" / "model.py").write_text("")
    assert [f.model for f in findings(repository) if f.rule == "shim"] == ["pixelis"]


def test_what_is_built_is_whole(built: Place) -> None:
    repository = built.store.repository
    assert lint(repository, built.known) == []
    published = built.store.manifest("alpha", 2).files["model.onnx"].sha256
    (built.store.folder("alpha", 2) / "model.onnx").write_bytes(b"x")
    shutil.rmtree(built.store.folder("beta", 2))
    found = {(f.model, f.rule, f.message) for f in lint(repository, built.known) if f.rule == "published"}
    assert found == {
        (
            "alpha",
            "published",
            "Version 2: model.onnx is not the file that was published: "
            f"its sha256 is {hashlib.sha256(b'x').hexdigest()}, the manifest says {published}.",
        ),
        ("beta", "published", "It has no built version."),
    }


@pytest.mark.parametrize(
    ("names", "batch", "message"),
    [
        (("Y", "SCORES", "CHOICE"), "batch", "the graph has no input X"),
        (("Y", "SCORES", "CHOICE"), "batch", "the graph's input Y is not in config.pbtxt"),
        (("X", "CHOICE", "SCORES"), "batch", "the output SCORES is INT64, config.pbtxt says FP32"),
        (("X", "CHOICE", "SCORES"), "batch", "the output SCORES is fixed at 1 on axis 0, config.pbtxt says 4"),
        (("X", "SCORES", "CHOICE"), 1, "the input X has no batch axis that varies"),
    ],
)
def test_a_graph_that_does_not_fit_its_config(
    built: Place, names: tuple[str, str, str], batch: str | int, message: str
) -> None:
    import numpy as np

    write_linear(built.store.folder("alpha", 2) / "model.onnx", np.zeros((6, 4)), names, batch)
    found = [f.message for f in lint(built.store.repository, built.known) if f.rule == "graph"]
    assert any(message in text for text in found), found


def test_an_artifact_that_is_none(built: Place) -> None:
    (built.store.folder("alpha", 2) / "model.onnx").write_bytes(b"x" * 100)
    found = [f.message for f in lint(built.store.repository, built.known) if f.rule == "graph"]
    assert len(found) == 1
    assert found[0].startswith("Version 2: alpha/2/model.onnx cannot be read: ")


def rewrite(place: Place, **changes: object) -> None:
    place.store.manifest("alpha").model_copy(update=changes).write(place.store.folder("alpha", 2))


def test_a_form_that_never_ran_is_not_served(built: Place) -> None:
    gate = built.store.manifest("alpha").gate.model_copy(update={"not_executed": "there is no GPU"})
    rewrite(built, gate=gate)
    (found,) = [f for f in lint(built.store.repository, built.known) if f.rule == "form"]
    assert (found.severity, found.model) == ("error", "alpha")
    assert "Version 2 is onnx-fp32, which never ran here: there is no GPU." in found.message
    assert "pixelis build --default alpha" in found.mend


def test_a_form_that_the_spec_dropped(built: Place) -> None:
    rewrite(built, precision="bf16")
    (found,) = [f for f in lint(built.store.repository, built.known) if f.rule == "form"]
    assert found.severity == "warning"
    assert "Version 2 is onnx-bf16, which the spec no longer builds; it builds onnx-fp32." in found.message


def test_an_artifact_without_its_main_file(built: Place) -> None:
    rewrite(built, format="openvino")
    found = [f.message for f in lint(built.store.repository, built.known) if f.rule == "form"]
    assert "Version 2 is openvino-fp32 and holds no model.xml." in found


def test_libtorch_goes_by_the_order_of_the_config(built: Place) -> None:
    manifest = built.store.manifest("alpha")
    rewrite(built, format="torchscript", outputs=manifest.outputs[::-1])
    found = [f.message for f in lint(built.store.repository, built.known, "ngc") if f.rule == "order"]
    assert found == ["The artifact's outputs are CHOICE, SCORES; config.pbtxt says SCORES, CHOICE."]
    assert [f for f in lint(built.store.repository, built.known) if f.rule == "order"] == []


def test_without_onnx_the_manifest_speaks(built: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = built.store.manifest("alpha")
    manifest.inputs[0].name = "Y"
    manifest.write(built.store.folder("alpha", 2))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = [f.message for f in lint(built.store.repository, built.known) if f.rule == "graph"]
    assert "Version 2: the graph has no input X." in found
