"""`pixelis build`, `models` and `lint` from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import builder.build
import builder.commands
from builder.commands import app
from builder.spec import pipeline
from pixelis.errors import GateFailed, NotFound, SetupError
from tests.builder.conftest import Place
from tests.builder.tiny import linear_spec


@pytest.fixture
def here(built: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The tiny pipeline as the configured one."""
    configured = builder.commands.settings().model_copy(
        update={"repository": built.store.repository, "state": built.store.state}
    )
    for module in ("builder.commands", "builder.build", "builder.lint", "builder.layout"):
        monkeypatch.setattr(f"{module}.settings", lambda: configured)
    for module in ("builder.commands", "builder.build", "builder.lint"):
        monkeypatch.setattr(f"{module}.pipeline", lambda: built.known)
    return built


def run(*arguments: str) -> Result:
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
    monkeypatch.setattr("builder.build.pipeline", lambda: wrong)
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


@pytest.mark.parametrize("command", [["build"], ["lint"], ["models", "list"], ["models", "show"]])
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
