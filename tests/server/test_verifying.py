"""What is served is held against its manifests wherever it is loaded, before Triton runs any of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pixelis.cli import app
from pixelis.errors import IntegrityError, Unavailable
from pixelis.settings import Server, Settings
from server.control import Control
from server.doctor import examine
from server.embedded import EmbeddedTriton
from server.loading import Target, load_newest
from server.probes import Prober
from server.repair import Repairer
from server.repository import scan
from server.verifying import verify, verify_all
from tests.published_version import flip, publish

NOBODY = "127.0.0.1:9"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two models that are built and one that is code."""
    folder = tmp_path / "repository"
    for name in ("alpha", "beta"):
        publish(folder, name)
    (folder / "code" / "1").mkdir(parents=True)
    (folder / "code" / "1" / "model.py").touch()
    (folder / "code" / "config.pbtxt").write_text('name: "code" backend: "python"')
    return folder


def configured(repository: Path, verify: bool = True) -> Settings:
    server = Server(http_port=18640, grpc_port=18641, metrics_port=18642, verify=verify)
    return Settings(repository=repository, state=repository.parent / "state", server=server)


def test_a_start_is_refused_before_anything_runs_and_names_every_model(repository: Path) -> None:
    flip(repository / "alpha" / "2" / "model.onnx")
    (repository / "beta" / "2" / "model.py").unlink()
    triton = EmbeddedTriton(config=configured(repository))
    with pytest.raises(IntegrityError, match=r"2 of alpha .*model\.onnx.*2 of beta .*model\.py is missing"):
        triton.start()
    assert not triton.running
    assert not triton.log.exists()
    with pytest.raises(IntegrityError, match="2 of alpha"):
        triton.start(["alpha"])


def test_the_setting_turns_it_off(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(repository / "alpha" / "2" / "model.onnx")
    reached: list[int] = []

    class Reached(Exception):
        pass

    def check(triton: EmbeddedTriton, stubs: int) -> None:
        reached.append(stubs)
        raise Reached

    monkeypatch.setattr(EmbeddedTriton, "_check", check)
    with pytest.raises(Reached):
        EmbeddedTriton(config=configured(repository, verify=False)).start()
    assert reached == [3]
    with pytest.raises(IntegrityError):
        EmbeddedTriton(config=configured(repository)).start()


def test_the_version_that_is_served_counts(repository: Path) -> None:
    flip(repository / "alpha" / "2" / "model.onnx")
    publish(repository, "alpha", 3)
    verify_all(scan(repository), None)
    flip(repository / "alpha" / "3" / "model.onnx")
    with pytest.raises(IntegrityError, match="Version 3 of alpha"):
        verify_all(scan(repository), None)


def test_a_built_model_without_a_manifest_is_none(repository: Path) -> None:
    (repository / "alpha" / "2" / "manifest.json").unlink()
    (model,) = scan(repository, ["alpha"])
    with pytest.raises(IntegrityError, match=r"alpha/2 has no manifest\.json"):
        verify(model, None)


def test_a_repair_does_not_load_what_was_changed(repository: Path, tmp_path: Path) -> None:
    control = Control(NOBODY)
    models = {model.name: model for model in scan(repository)}
    flip(repository / "alpha" / "2" / "model.py")
    untouched = (repository / "alpha" / "2" / "model.py").stat().st_mtime_ns
    with pytest.raises(IntegrityError, match="Version 2 of alpha"):
        Repairer(control, Prober(control), models, 5, tmp_path, "")("alpha")
    assert (repository / "alpha" / "2" / "model.py").stat().st_mtime_ns == untouched
    with pytest.raises(Unavailable):
        Repairer(control, Prober(control), models, 5, tmp_path, "", verify=False)("alpha")
    with pytest.raises(Unavailable):
        Repairer(control, Prober(control), models, 5, tmp_path, "")("beta")
    control.close()


def test_models_load_does_not_ask_for_what_was_changed(repository: Path, tmp_path: Path) -> None:
    flip(repository / "alpha" / "2" / "model.onnx")
    known = Target(NOBODY, "", "", tmp_path, repository)
    with pytest.raises(IntegrityError, match="Version 2 of alpha"):
        load_newest(known, ["alpha"], 5)
    for target, model in ((known, "beta"), (known, "nobody"), (Target(NOBODY, ""), "alpha")):
        with pytest.raises(Unavailable):
            load_newest(target, [model], 5)


def test_the_command_reads_everything_and_says_what_differs(repository: Path) -> None:
    run = CliRunner()

    def said(*more: str) -> tuple[int, dict[str, dict[str, object]]]:
        done = run.invoke(app, ["models", "verify", "--repository", str(repository), "--json", *more])
        return done.exit_code, {f"{row['model']} {row['version']}": row for row in json.loads(done.stdout)["versions"]}

    code, rows = said()
    assert (code, {name: row["state"] for name, row in rows.items()}) == (
        0,
        {"alpha 2": "whole", "beta 2": "whole", "code 1": "code"},
    )
    publish(repository, "alpha", 3)
    flip(repository / "alpha" / "2" / "model.onnx")
    assert said()[0] == 0, "version 2 serves nobody any more"
    code, rows = said("--all")
    assert (code, rows["alpha 2"]["state"], rows["alpha 3"]["state"]) == (1, "changed", "whole")
    assert "pixelis models rollback alpha" in str(rows["alpha 2"]["reason"])
    shutil.rmtree(repository / "alpha" / "3")
    assert said("beta")[0] == 0
    printed = run.invoke(app, ["models", "verify", "--repository", str(repository)])
    assert printed.exit_code == 1
    assert "changed  alpha" in printed.output


def test_doctor_names_what_everybody_may_write(repository: Path) -> None:
    def found() -> tuple[str, str]:
        (finding,) = (one for one in examine(configured(repository)) if one.name == "repository")
        return finding.level, finding.detail

    assert found()[0] == "ok"
    (repository / "alpha" / "2" / "model.onnx").chmod(0o666)
    (repository / "beta" / "config.pbtxt").chmod(0o666)
    level, detail = found()
    assert level == "warning"
    assert f"{repository / 'alpha' / '2' / 'model.onnx'} and 1 more" in detail
