"""A full disk and Ctrl-C, at every step: a clear error, nothing half written, the old version there."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import builder.store
from builder.building.build import build
from builder.storing.chosen import Chosen
from builder.storing.manifest import Manifest
from builder.storing.rollback import rollback
from pixelis.errors import BuildError
from tests.builder.conftest import Place, make_pipeline, make_place
from tests.builder.test_build import alive, children, states, until
from tests.builder.tiny import linear_spec, write_weights

ROOT = Path(__file__).parents[2]
DRIVER = """
import sys, time
from pathlib import Path
import builder.store
from builder.building.build import build
from builder.spec import Pipeline

root, step = Path(sys.argv[1]), sys.argv[2]

def pause(call):
    def paused(*arguments, **options):
        (root / "reached").touch()
        time.sleep(60)
        return call(*arguments, **options)
    return paused

if step == "publish":  # the artifact is copied and not there yet
    builder.store.move = pause(builder.store.move)
known = Pipeline.model_validate_json((root / "spec.json").read_text())
build(["alpha"], repository=root / "repository", state=root / "state", spec=known)
"""


@pytest.mark.parametrize("step", ["export", "optimise", "gate", "publish"])
def test_ctrl_c_at_every_step(built: Place, step: str) -> None:
    weights = write_weights(built.root / "slow.npy", 5)
    cls = {"export": "HalfWritten", "optimise": "SlowToOptimise", "gate": "SlowToJudge", "publish": "Linear"}[step]
    slow = built.with_model(linear_spec("alpha", weights, cls))
    (built.root / "spec.json").write_text(slow.model_dump_json())
    if step == "publish":  # already in the cache, so that the first rename is the publishing one
        built.build("alpha", known=slow)
        shutil.rmtree(built.store.folder("alpha", 3))
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(built.root), step],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    sign = built.root / "reached" if step == "publish" else weights.with_suffix(".exporting")
    until(lambda: sign.exists() or driver.poll() is not None)
    apart = children(driver.pid)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode != 0
    assert said.strip().endswith("KeyboardInterrupt"), said
    until(lambda: not any(alive(pid) for pid in apart))
    assert built.store.versions("alpha") == [1, 2]
    assert not built.store.faults("alpha", 2)
    assert not built.leftovers()
    assert states(built.build()) == {"alpha": "up to date", "beta": "up to date"}


@pytest.mark.parametrize("words", [["build", "--jobs", "2"], ["build", "alpha", "--formats", "onnx", "--jobs", "2"]])
def test_ctrl_c_on_the_command_line_is_130(built: Place, words: list[str]) -> None:
    """The command, its progress and all: one process group, as a terminal interrupts it."""
    weights = write_weights(built.root / "slow.npy", 5)
    slow = built.with_model(linear_spec("alpha", weights, "HalfWritten"))
    (built.root / "spec.json").write_text(slow.model_dump_json())
    code = (
        "import sys; from pathlib import Path; from builder.spec import Pipeline; import pixelis.cli\n"
        "import builder.building.build, builder.building.candidates, builder.commands.modes\n"
        f"known = Pipeline.model_validate_json(Path({str(built.root / 'spec.json')!r}).read_text())\n"
        "rooms = builder.building.build, builder.building.candidates, builder.commands.modes\n"
        "for room in rooms: room.pipeline = lambda: known\n"
        f"sys.argv[1:] = {words!r}; pixelis.cli.main()"
    )
    places = {"PIXELIS_REPOSITORY": str(built.store.repository), "PIXELIS_STATE": str(built.store.state)}
    command = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **places, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: weights.with_suffix(".exporting").exists() or command.poll() is not None)
    os.killpg(command.pid, signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130, said
    assert "Traceback" not in said
    assert not built.leftovers()
    assert built.store.versions("alpha") == [1, 2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, spare: int) -> None:
    """Leave `spare` bytes."""
    free = shutil.disk_usage(disk).free
    with (disk / "filler").open("wb") as file:
        file.write(b"\0" * max(free - spare, 0))


@pytest.mark.slow
def test_a_really_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """State and repository on a disk with room for less and less: every build fails clearly, or is whole."""
    (tmp_path / "elsewhere").mkdir()
    place = make_place(tmp_path / "elsewhere")
    where: dict[str, Any] = {"state": small_disk / "state", "repository": small_disk / "repository"}
    shutil.copytree(place.store.repository, where["repository"])
    assert not build(["alpha"], spec=place.known, **where).failed
    refused = 0
    for round_, spare in enumerate((0, 4096, 8192, 16384, 24576, 32768, 65536)):
        write_weights(place.root / "alpha.npy", 100 + round_)
        fill(small_disk, spare)
        versions = builder.store.Store(where["repository"], where["state"]).versions("alpha")
        try:
            outcome = build(["alpha"], spec=place.known, **where).models[0]
        except BuildError as error:
            reason = str(error)
        else:
            reason = outcome.reason or ""
        (small_disk / "filler").unlink()
        store = builder.store.Store(where["repository"], where["state"])
        assert all(not store.faults("alpha", version) for version in store.versions("alpha")[1:])
        if store.versions("alpha") == versions:
            refused += 1
            assert "disk is full" in reason, reason
        assert not [path for path in small_disk.rglob(".tmp-*") if path.parent.name != "state"]
    assert refused >= 2, "no moment of a full disk was met"
    assert not build(["alpha"], spec=place.known, **where).failed


@pytest.fixture(scope="module")
def cached_template(built_template: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """As `built`, with an artifact of newer weights in the cache that is not published yet."""
    root = tmp_path_factory.mktemp("cached")
    shutil.copytree(built_template.root, root, dirs_exist_ok=True)
    place = Place(root, make_pipeline(root))
    write_weights(root / "alpha.npy", 7)
    assert not place.build("alpha").failed
    shutil.rmtree(place.store.folder("alpha", 3))
    return place


@pytest.fixture
def cached(cached_template: Place, tmp_path: Path) -> Place:
    shutil.copytree(cached_template.root, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path, make_pipeline(tmp_path))


@pytest.mark.parametrize("call", ["copytree", "copyfile", "fsync", "rename", "mkdtemp"])
@pytest.mark.parametrize("after", range(3))
def test_a_full_disk_while_publishing(cached: Place, monkeypatch: pytest.MonkeyPatch, call: str, after: int) -> None:
    """Each kind of system call fails for want of room, at its first, second and third time."""
    owner = {"copytree": shutil, "copyfile": shutil, "fsync": os, "rename": os}.get(call, builder.store.tempfile)
    real, left = getattr(owner, call), after

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]) if arguments else None)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, call, failing)
    try:
        outcome = cached.build("alpha").models[0]
        reason = outcome.reason or ""
    except BuildError as error:
        reason, outcome = str(error), None
    happened = left < 0
    monkeypatch.undo()
    store = cached.store
    if happened and store.versions("alpha") == [1, 2]:
        assert reason.startswith("The disk is full while building alpha.")
        assert "the old version serves" in reason
    assert all(not store.faults("alpha", version) for version in store.versions("alpha")[1:])
    with store.locked():
        assert not cached.leftovers()
    assert states(cached.build("alpha"))["alpha"] in ("from cache", "up to date")


def test_a_full_disk_while_rolling_back(built: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write_weights(built.root / "alpha.npy", 7)
    built.build("alpha")

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Manifest, "write", full)
    with pytest.raises(BuildError, match="The disk is full while rolling alpha back"):
        rollback("alpha", repository=built.store.repository, state=built.store.state, spec=built.known)
    monkeypatch.undo()
    assert built.store.versions("alpha") == [1, 2, 3]
    assert not built.leftovers()
    assert Chosen(built.store.repository, built.store.state).all() == {}


def test_a_file_that_cannot_be_written_is_named(built: Place) -> None:
    write_weights(built.root / "alpha.npy", 7)
    (built.store.state / "logs" / "build-alpha-onnx-fp32.log").unlink()
    (built.store.state / "logs" / "build-alpha-onnx-fp32.log").mkdir()
    (failed,) = built.build("alpha").failed
    assert (failed.reason or "").startswith("Building alpha failed: Is a directory (")
    assert "build-alpha-onnx-fp32.log" in (failed.reason or "")
