"""`pixelis build`, `models` and `lint` from a shell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import builder.building.build
import builder.commands.options
from builder.building.making import Watch
from builder.candidate import Candidate, Exclusion
from builder.commands.build import app
from builder.commands.models import app as models_app
from builder.costing.timing import Turns
from builder.measure import Plan
from builder.model_spec import ModelSpec
from builder.spec import Pipeline, pipeline
from builder.store import Store
from builder.storing.manifest import Manifest, records
from pixelis.errors import BuildError, GateFailed, NotFound, SetupError
from pixelis.machine import this_machine
from tests.builder.conftest import Place
from tests.builder.tiny import linear_spec, write_weights

PIPELINE = (
    "builder.commands.modes",
    "builder.choosing.optimise",
    "builder.commands.models",
    "builder.building.build",
    "builder.building.candidates",
    "builder.lint",
    "builder.storing.rollback",
    "builder.storing.prune",
)
SETTINGS = (
    "builder.commands.options",
    "builder.commands.modes",
    "builder.choosing.optimise",
    "builder.commands.models",
    "builder.building.build",
    "builder.building.candidates",
    "builder.lint",
    "builder.storing.layout",
    "builder.storing.rollback",
    "builder.storing.prune",
)


@pytest.fixture
def here(built: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The tiny pipeline as the configured one."""
    configured = builder.commands.options.settings().model_copy(
        update={"repository": built.store.repository, "state": built.store.state}
    )
    for module in SETTINGS:
        monkeypatch.setattr(f"{module}.settings", lambda: configured)
    for module in PIPELINE:
        monkeypatch.setattr(f"{module}.pipeline", lambda: built.known)
    return built


def run(*arguments: str) -> Result:
    if arguments[0] == "models":
        return CliRunner().invoke(models_app, arguments[1:])
    return CliRunner().invoke(app, arguments)


def test_build_says_that_there_is_nothing_to_do(here: Place) -> None:
    result = run("build")
    assert result.exit_code == 0, result.output
    assert "Nothing to do: everything is up to date" in result.output
    report = json.loads(run("build", "--json").stdout)
    assert [(m["model"], m["state"], m["version"]) for m in report["models"]] == [
        ("alpha", "up to date", 2),
        ("beta", "up to date", 2),
    ]


def test_a_failure_is_an_error_and_with_json_an_object(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = here.with_model(linear_spec("alpha", Path(here.known["alpha"].arguments["weights"]), "Wrong"))
    monkeypatch.setattr("builder.building.build.pipeline", lambda: wrong)
    result = run("build", "alpha")
    assert isinstance(result.exception, GateFailed)
    assert "alpha: " in str(result.exception)
    result = run("build", "alpha", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["models"][0]["state"] == "failed"


def test_wrong_usage(here: Place) -> None:
    assert run("build", "--target", "gpu").exit_code == 2
    assert isinstance(run("build", "nobody").exception, NotFound)
    result = run("build", "--target", "ngc")
    assert "--repository" in str(result.exception)


def test_a_repository_for_ngc(here: Place) -> None:
    elsewhere = here.root / "ngc"
    result = run("build", "--target", "ngc", "--repository", str(elsewhere), "--json")
    assert [m["state"] for m in json.loads(result.stdout)["models"]] == ["from cache", "from cache"]
    assert 'platform: "onnxruntime_onnx"' in (elsewhere / "alpha" / "config.pbtxt").read_text()
    assert sorted(path.name for path in (elsewhere / "alpha" / "2").iterdir()) == ["manifest.json", "model.onnx"]
    again = run("build", "--target", "ngc", "--repository", str(elsewhere), "--json")
    assert [m["state"] for m in json.loads(again.stdout)["models"]] == ["up to date", "up to date"]
    assert json.loads(run("lint", "--target", "ngc", "--repository", str(elsewhere), "--json").stdout)["findings"] == []


def test_models_list_and_show(here: Place) -> None:
    rows = json.loads(run("models", "list", "--json").stdout)["models"]
    assert [(row["model"], row["version"], row["gate"]) for row in rows] == [
        ("alpha", 2, "passed"),
        ("beta", 2, "passed"),
    ]
    assert "passed" in run("models", "list").output
    shown = json.loads(run("models", "show", "alpha", "--json").stdout)
    assert shown["digest"] == rows[0]["digest"]
    assert shown["gate"]["outputs"]["SCORES"]["against_source"]["max_abs"] >= 0
    printed = run("models", "show", "alpha").output
    for part in (
        shown["digest"],
        "passed (3 samples, batch sizes [1, 3, 8]",
        "SCORES",
        "model.onnx",
        shown["source_digest"],
    ):
        assert part in printed
    assert isinstance(run("models", "show", "nobody").exception, NotFound)
    assert isinstance(run("models", "show", "alpha", "--version", "9").exception, NotFound)


def test_lint_exits_with_one_on_errors(here: Place) -> None:
    assert run("lint").exit_code == 0
    (here.store.folder("alpha", 2) / "model.onnx").unlink()
    result = run("lint")
    assert result.exit_code == 1
    assert "error alpha (published): Version 2: model.onnx is missing. Run `pixelis build alpha`." in " ".join(
        result.output.split()
    )
    assert json.loads(run("lint", "--json").stdout)["errors"] == 1


@pytest.mark.parametrize(
    "command",
    [["build"], ["lint"], ["models", "list"], ["models", "show"], ["models", "rollback"], ["models", "prune"]],
)
def test_help_has_an_example(command: list[str]) -> None:
    assert "Example" in run(*command, "--help").output


def test_a_repository_that_is_not_there(here: Place) -> None:
    for words in (["lint"], ["models", "list"], ["models", "show", "alpha"]):
        result = run(*words, "--repository", str(here.root / "absent"))
        assert isinstance(result.exception, SetupError)
        assert "There is no model repository" in str(result.exception)


def test_the_list_of_models_fits_an_ordinary_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "repository").mkdir()
    printed = run("models", "list", "--repository", str(tmp_path / "repository")).output
    assert all(name in printed for name in pipeline().names)


def test_candidates_have_a_row_each_and_the_excluded_ones_their_reason(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    excluded = Exclusion(format="torchscript", reason="it is no PyTorch module")
    known = here.with_model(here.known["alpha"].model_copy(update={"exclusions": (excluded,)}))
    monkeypatch.setattr("builder.building.candidates.pipeline", lambda: known)
    monkeypatch.setattr("builder.commands.modes.pipeline", lambda: known)
    result = run("build", "--models", "alpha", "--formats", "all", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["candidate"]: row for row in json.loads(result.stdout)["rows"]}
    assert (rows["onnx-fp32"]["state"], rows["onnx-fp32"]["gate"]) == ("from cache", "passed")
    assert rows["torchscript"]["reason"] == excluded.reason
    printed = run("build", "alpha", "--formats", "all", "--force").output
    assert "alpha torchscript (excluded): it is no PyTorch module" in printed
    assert "1 built, 1 excluded" in printed
    refused = run("build", "alpha", "--formats", "torchscript")
    assert "it is no PyTorch module" in str(refused.exception)
    assert "alpha is built as onnx-fp32" in str(refused.exception)
    assert here.store.versions("alpha") == [1, 2]


def test_a_form_that_there_is_not(here: Place) -> None:
    for words in (["--formats", "onxx"], ["--precisions", "fp64"]):
        error = run("build", "alpha", *words).exception
        assert isinstance(error, BuildError)
        assert "There are " in str(error)
    error = run("build", "alpha", "--publish", "openvino-int8-static").exception
    assert "alpha is not built as openvino-int8-static" in str(error)
    assert "It is built as onnx-fp32" in str(error)
    for words in (
        ["--publish", "onnx-fp32"],
        ["alpha", "--publish", "onnx-fp32", "--default"],
        ["alpha", "--formats", "all", "--publish", "onnx-fp32"],
        ["alpha", "--max-accuracy-drop", "0.1"],
        ["alpha", "--optimize", "beauty"],
        ["alpha", "--preset", "moon"],
        ["alpha", "--preset", "edge"],
        ["alpha", "--output", "folder"],
        ["alpha", "--device", "abacus"],
        ["alpha", "--formats", "onnx", "--target", "ngc", "--repository", "elsewhere"],
        ["alpha", "--optimize", "latency", "--force"],
        ["alpha", "--optimize", "latency", "--publish", "onnx-fp32"],
        ["alpha", "--optimize", "latency", "--target", "ngc", "--repository", "elsewhere"],
    ):
        assert run("build", *words).exit_code == 2


def test_a_published_form_stays_until_the_default_is_asked_for(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    second = Candidate(format="onnx", precision="bf16")
    spec = here.known["alpha"]
    # The same bytes under another name: what is tested is which form is asked for, not what a form does.
    monkeypatch.setattr("builder.building.run.make_cached", fake_making(here))
    for module in PIPELINE:
        known = here.with_model(spec.model_copy(update={"candidates": (second,)}))
        monkeypatch.setattr(f"{module}.pipeline", lambda known=known: known)
    assert run("build", "alpha", "--publish", "onnx-bf16").exit_code == 0
    assert here.store.manifest("alpha").candidate.label == "onnx-bf16"
    (line,) = json.loads(run("build", "alpha", "--json").stdout)["models"]
    assert (line["state"], line["candidate"], line["version"]) == ("up to date", "onnx-bf16", 3)
    assert "--publish onnx-bf16" in line["chosen"]
    assert "alpha: onnx-bf16 is chosen" in run("models", "list").output
    (line,) = json.loads(run("build", "alpha", "--default", "--json").stdout)["models"]
    assert (line["candidate"], line["version"]) == ("onnx-fp32", 4)
    assert "chosen" not in run("models", "list").output


def fake_making(place: Place) -> Callable[..., Manifest]:
    """Puts the published artifact into the cache as if it had been made in the form that is asked for."""

    def make(store: Store, known: Pipeline, spec: ModelSpec, key: str, watch: Watch) -> Manifest:
        staged = store.staging(store.builds / key)
        shutil.copyfile(place.store.folder("alpha", 2) / "model.onnx", staged / "model.onnx")
        changes = {**spec.candidate.model_dump(), "key": key, "version": None, "files": records(staged)}
        changes["optimization"] = spec.optimization
        made = place.store.manifest("alpha", 2).model_copy(update=changes)
        made.write(staged)
        store.keep(staged, key)
        return made

    return make


def test_rollback_and_prune_from_a_shell(here: Place) -> None:
    write_weights(here.root / "alpha.npy", 7)
    assert run("build", "alpha").exit_code == 0
    printed = run("models", "rollback", "alpha").output
    assert "alpha version 4 is the artifact of version 2 (onnx-fp32), in place of version 3" in printed
    assert "pixelis models load alpha" in printed
    built = run("build", "alpha").output
    assert "held" in built
    assert "Nothing to do" in built
    listed = json.loads(run("models", "list", "--all", "--json").stdout)
    assert listed["chosen"]["alpha"]["held"]
    rows = listed["models"]
    assert [row["version"] for row in rows if row["model"] == "alpha"] == [4, 3, 2]
    assert "alpha: version 3 would go" in run("models", "prune", "--keep", "1", "--dry-run").output
    done = json.loads(run("models", "prune", "--keep", "1", "--json").stdout)
    assert done["freed_bytes"] > 0
    assert here.store.versions("alpha") == [1, 2, 4]
    assert isinstance(run("models", "rollback", "nobody").exception, NotFound)


def test_an_unreadable_manifest_is_listed_so(here: Place) -> None:
    (here.store.folder("alpha", 2) / "manifest.json").write_text('{"layout": 1}')
    row = json.loads(run("models", "list", "--json").stdout)["models"][0]
    assert row["gate"].startswith("unreadable: alpha/2/manifest.json is not a manifest")
    assert row["version"] == 2
    built = json.loads(run("build", "alpha", "--json").stdout)["models"][0]
    assert built["version"] == 3
    assert "version 2 is not whole" in built["reason"]


def test_the_best_form_is_measured_and_published(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "builder.choosing.optimise.Plan", lambda: Plan(Turns(rounds=1, turn_s=0.01, calls=3), memory=False)
    )
    printed = run("build", "alpha", "--optimize", "latency").output
    assert "alpha: onnx-fp32: " in printed
    assert "the only form left" in printed
    assert "× speed" in printed
    assert "alpha: latency: " in printed
    report = json.loads(run("build", "alpha", "--preset", "cpu", "--json").stdout)
    assert report["choices"][0]["chosen"] == "onnx-fp32"
    assert report["rows"][0]["cost"]["cases"][0]["speedup"] > 0
    nothing = run("build", "alpha", "--optimize", "latency", "--formats", "coreml")
    assert nothing.exit_code == 1, nothing.output


def test_candidates_are_timed_where_that_is_asked_for(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.measure.Plan", lambda: Plan(Turns(rounds=1, turn_s=0.01, calls=3), memory=False))
    assert "p99 ms" in run("build", "alpha", "--formats", "onnx", "--measure").output
    costs = json.loads(run("build", "alpha", "--formats", "onnx", "--measure", "--json").stdout)["costs"]
    assert costs[0]["cost"]["cases"][0]["timing"]["p50_ms"] > 0
    assert here.store.versions("alpha") == [1, 2]


def test_forms_that_the_device_has_no_use_for_are_skipped_with_the_reason(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = (Candidate(format="coreml"),)
    known = here.with_model(here.known["alpha"].model_copy(update={"candidates": forms}))
    for module in PIPELINE:
        monkeypatch.setattr(f"{module}.pipeline", lambda: known)
    rows = {
        row["candidate"]: row for row in json.loads(run("build", "alpha", "--device", "auto", "--json").stdout)["rows"]
    }
    assert rows["coreml-fp32"]["state"] == "skipped"
    assert rows["coreml-fp32"]["reason"]
    kept = here.store.cached(rows["onnx-fp32"]["key"])
    assert kept is not None
    assert kept.notes["device"] == "runs on any CPU"
    assert not here.leftovers()
    monkeypatch.setattr("builder.building.device.this_machine", lambda: replace(this_machine(), gpus=()))
    refused = run("build", "alpha", "--device", "cuda")
    assert "There is no NVIDIA GPU here to build for." in str(refused.exception)
    assert this_machine().cpu in str(refused.exception)
