"""Every way in which a version can differ from what was published is found, and each says the file and both digests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pixelis import integrity, published, verified
from pixelis.errors import IntegrityError, SetupError
from pixelis.integrity import Verdict, open_to_all, verify
from tests.published_version import CONTENT, flip, keep_times, publish, write_manifest

SIZE = sum(map(len, CONTENT.values()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish(tmp_path / "repository")


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were changed a moment ago are remembered all the same."""
    monkeypatch.setattr(verified, "CALM_S", -60.0)


def test_a_whole_version_passes(folder: Path) -> None:
    assert verify(folder) == Verdict(size=SIZE, hashed=SIZE)


def test_a_changed_byte_names_the_file_both_digests_and_the_mend(folder: Path) -> None:
    flip(folder / "model.onnx")
    made = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    with pytest.raises(IntegrityError) as caught:
        verify(folder)
    error = caught.value
    assert isinstance(error, SetupError), "whoever starts a server catches it as it does a missing library"
    wanted = hashlib.sha256(CONTENT["model.onnx"]).hexdigest()
    for part in ("Version 2 of alpha", "model.onnx", made, wanted):
        assert part in error.message
    for part in ("pixelis models rollback alpha", "pixelis build alpha", "PIXELIS_SERVER__VERIFY=false"):
        assert part in str(error.mend)


def link_elsewhere(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(folder / "nowhere")


def pipe(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")


def swap(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "x")
    (folder / "parts" / "more.bin").rename(folder / "model.onnx")
    (folder / "x").rename(folder / "parts" / "more.bin")


def linked_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "extra").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: flip(folder / "model.onnx", 0), "model.onnx is not the file that was published"),
        (lambda folder: flip(folder / "model.py"), "model.py is not the file that was published"),
        (lambda folder: flip(folder / "parts" / "more.bin"), "parts/more.bin is not the file"),
        (lambda folder: (folder / "model.onnx").write_bytes(b""), "model.onnx is not the file"),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
        (link_elsewhere, "model.onnx is missing"),
        (pipe, "model.onnx is no file"),
        (swap, "parts/more.bin is not the file"),
        (lambda folder: (folder / "sitecustomize.py").touch(), "sitecustomize.py is not in the manifest"),
        (lambda folder: (folder / "parts" / ".hidden").touch(), "parts/.hidden is not in the manifest"),
        (linked_folder, "extra is not in the manifest"),
        (lambda folder: shutil.rmtree(folder / "parts"), "parts/more.bin is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json is not a manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "it is no object"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "is not a manifest"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff"), "is not a manifest"),
        (lambda folder: write_manifest(folder, "alpha", 3), "its manifest is of alpha version 3"),
        (lambda folder: write_manifest(folder, "beta", 2), "its manifest is of beta version 2"),
    ],
)
def test_damage(folder: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(folder)
    with pytest.raises(IntegrityError, match=said.replace(".", r"\.")):
        verify(folder)


def test_no_byte_of_a_manifest_changes_unseen(folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    fields = json.loads(whole)
    for at in range(len(whole)):
        flip(path, at)
        try:
            published.Published.read(folder)
        except IntegrityError:
            continue
        finally:
            changed = path.read_bytes()
            path.write_bytes(whole)
        assert json.loads(changed) == fields, "a byte between its words, which says nothing"


def test_swapped_versions_are_told(folder: Path) -> None:
    other = publish(folder.parents[1], version=3, content={**CONTENT, "model.onnx": b"other weights"})
    folder.rename(folder.parent / "x")
    other.rename(folder)
    (folder.parent / "x").rename(other)
    for version, manifest in ((2, 3), (3, 2)):
        with pytest.raises(IntegrityError, match=f"its manifest is of alpha version {manifest}"):
            verify(folder.parent / str(version))


def test_half_a_character_is_no_manifest(folder: Path) -> None:
    """It was read, and could not be written again."""
    path = folder / "manifest.json"
    fields = {**published.read(path), "notes": {"why": "\ud800"}}
    path.write_text(published.sealed(json.loads(json.dumps(fields))).replace("\ud800", "\\ud800"))
    with pytest.raises(IntegrityError, match="is not a manifest"):
        published.read(path)


def test_an_older_manifest_has_no_seal_and_is_taken(folder: Path) -> None:
    path = folder / "manifest.json"
    fields = json.loads(path.read_text())
    del fields["seal"], fields["schema_version"]
    path.write_text(json.dumps(fields))
    assert verify(folder).size == SIZE
    flip(folder / "model.onnx")
    with pytest.raises(IntegrityError):
        verify(folder)


def test_a_manifest_whose_seal_was_taken_off_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    fields = json.loads(path.read_text())
    del fields["seal"]
    path.write_text(json.dumps(fields))
    with pytest.raises(IntegrityError, match="its seal is None"):
        verify(folder)


def test_a_newer_layout_is_refused_with_what_to_do(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": published.SCHEMA + 1}))
    with pytest.raises(IntegrityError, match=r"is of layout 3; .* up to 2") as caught:
        verify(folder)
    assert "Use the version that wrote it" in str(caught.value.mend)


def test_code_alone_passes_unless_the_model_is_one_that_is_built(tmp_path: Path) -> None:
    folder = tmp_path / "prepare" / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").touch()
    assert verify(folder) == Verdict()
    with pytest.raises(IntegrityError, match=r"prepare/1 has no manifest\.json"):
        verify(folder, needed=True)


def test_links_are_followed(folder: Path, tmp_path: Path) -> None:
    """Tests and operators put big files elsewhere: what counts is what is read."""
    linked = tmp_path / "linked" / "alpha" / "2"
    (linked / "parts").mkdir(parents=True)
    for name in (*CONTENT, "manifest.json"):
        (linked / name).symlink_to(folder / name)
    assert verify(linked).size == SIZE
    (tmp_path / "whole").symlink_to(folder.parents[1])
    assert verify(tmp_path / "whole" / "alpha" / "2").size == SIZE
    inner = publish(tmp_path / "inner")
    (inner / "parts").rename(tmp_path / "parts")
    (inner / "parts").symlink_to(tmp_path / "parts")
    assert verify(inner).size == SIZE
    flip(folder / "parts" / "more.bin")
    with pytest.raises(IntegrityError, match=r"more\.bin"):
        verify(linked)


def test_python_s_own_caches_are_nothing(folder: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.cpython-311.pyc").touch()
    assert verify(folder).size == SIZE


@pytest.mark.usefixtures("calm")
def test_what_was_verified_is_not_read_again(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert [verify(folder, state).hashed for _ in range(2)] == [SIZE, 0]
    os.utime(folder / "model.py")
    assert verify(folder, state).hashed == len(CONTENT["model.py"])
    assert verify(folder).hashed == SIZE, "without a state folder everything is read"


@pytest.mark.usefixtures("calm")
def test_a_change_that_puts_size_and_time_back_is_seen(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    verify(folder, state)
    keep_times(folder / "model.onnx", b"WEIGHTS OF A MODEL")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        verify(folder, state)


@pytest.mark.usefixtures("calm")
def test_another_file_in_its_place_is_seen(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    verify(folder, state)
    before = (folder / "model.onnx").stat()
    other = folder / "other"
    other.write_bytes(b"WEIGHTS OF A MODEL")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(folder / "model.onnx")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        verify(folder, state)


@pytest.mark.usefixtures("calm")
def test_a_new_manifest_is_held_against_what_is_known(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    verify(folder, state)
    path = folder / "manifest.json"
    fields = json.loads(path.read_text())
    del fields["seal"]
    fields["files"]["model.onnx"]["sha256"] = "0" * 64
    path.write_text(published.sealed(fields))
    with pytest.raises(IntegrityError, match=r"model\.onnx.*the manifest says 0000"):
        verify(folder, state)


def test_what_may_still_change_within_a_tick_is_not_remembered(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert [verify(folder, state).hashed for _ in range(2)] == [SIZE, SIZE]


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"model.onnx": 3}', '{"model.onnx": [["a"], "b"]}'])
def test_a_broken_memory_is_none(folder: Path, tmp_path: Path, text: str) -> None:
    state = tmp_path / "state"
    verify(folder, state)
    (remembered,) = (state / verified.FOLDER).iterdir()
    remembered.write_text(text)
    assert verify(folder, state).hashed == SIZE


@pytest.mark.usefixtures("calm")
def test_a_state_folder_that_cannot_be_written_costs_time_alone(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("a file")
    assert [verify(folder, state).hashed for _ in range(2)] == [SIZE, SIZE]


def test_what_everybody_may_write_is_named(folder: Path) -> None:
    assert open_to_all(folder) == []
    (folder / "model.onnx").chmod(0o666)
    folder.chmod(0o777)
    assert open_to_all(folder) == [str(folder), str(folder / "model.onnx")]


def test_a_sealed_manifest_reads_as_it_was_written(tmp_path: Path) -> None:
    fields = {"model": "alpha", "version": None, "files": {}, "cost": {"ms": 1e-07, "n": 3}, "notes": {"é": "ü"}}
    (tmp_path / "manifest.json").write_text(published.sealed(fields), encoding="utf-8")
    assert published.read(tmp_path / "manifest.json") == fields


def test_faults_are_all_told(folder: Path) -> None:
    files = published.Published.read(folder).files
    (folder / "model.onnx").unlink()
    (folder / "new").touch()
    assert integrity.faults(folder, files) == ["model.onnx is missing", "new is not in the manifest"]
