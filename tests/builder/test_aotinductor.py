"""AOTInductor: compiled, judged in the engine that serves, and bound to its CPU."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from builder.build_one import make
from builder.candidate import Candidate
from builder.formats import open_format
from builder.storing.manifest import Manifest
from pixelis.errors import InvalidRequest, SetupError
from pixelis.machine import this_machine
from python_backends.engine import load_engine
from tests.builder.tiny_torch import LONGEST, WIDTH, TinyAttention, tiny_spec

FP32 = Candidate(format="aotinductor")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("package") / "out"
    make(tiny_spec(FP32), directory)
    return directory


@pytest.mark.slow
def test_a_module_becomes_a_package_that_says_what_it_is(package: Path) -> None:
    manifest = Manifest.read(package)
    assert manifest.gate.passed
    assert manifest.gate.outputs["POOLED"].against_source.max_abs < 1e-5
    assert manifest.notes["attention"] == "aten::_scaled_dot_product_flash_attention_for_cpu"
    assert "built for this kind of CPU alone" in manifest.notes["cpu"]
    assert [(t.name, t.dims) for t in manifest.outputs] == [("POOLED", [-1, WIDTH]), ("STATES", [-1, -1, WIDTH])]
    assert manifest.parameters == sum(p.numel() for p in TinyAttention().loaded.parameters())
    assert manifest.weight_bytes >= 4 * manifest.parameters  # packed matrices are padded
    assert set(manifest.files) == {"model.pt2", "engine.json", "words.txt"}
    assert "pixelis" not in os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")


@pytest.mark.slow
def test_no_path_of_this_machine_is_inside(package: Path) -> None:
    with zipfile.ZipFile(package / "model.pt2") as archive:
        contents = b"".join(archive.read(name) for name in archive.namelist())
    for place in (tempfile.gettempdir(), str(Path(torch.__file__).parent), str(Path.cwd())):
        assert place.encode() + b"/" not in contents


@pytest.mark.slow
def test_batch_and_sequence_stay_free(package: Path) -> None:
    with load_engine(package, threads=1) as engine:
        assert engine.run({"IDS": np.ones((5, 9), np.int64)})["STATES"].shape == (5, 9, WIDTH)
        assert engine.run({"IDS": np.ones((1, 1), np.int64)})["STATES"].shape == (1, 1, WIDTH)


@pytest.mark.slow
def test_a_loaded_package_leaves_nothing_in_the_temporary_folder(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with load_engine(package, threads=1) as engine:
        assert list(tmp_path.iterdir()) == []
        assert engine.run({"IDS": np.ones((2, 3), np.int64)})["POOLED"].shape == (2, WIDTH)
    assert os.environ["TMPDIR"] == str(tmp_path)


@pytest.mark.slow
def test_what_the_code_cannot_take_is_the_caller_s_fault_and_no_crash(package: Path) -> None:
    with load_engine(package, threads=1) as engine:
        with pytest.raises(InvalidRequest, match=r"IDS holds 10000 to 10000.*0 to 31"):
            engine.run({"IDS": np.full((2, 3), 10_000)})
        with pytest.raises(InvalidRequest, match=r"IDS has 65 along `sequence`.*64 at most"):
            engine.run({"IDS": np.ones((2, LONGEST + 1), np.int64)})
        assert engine.run({"IDS": np.ones((1, 4), np.int64)})["POOLED"].shape == (1, WIDTH)


@pytest.mark.slow
def test_code_for_another_cpu_is_refused(package: Path, tmp_path: Path) -> None:
    shutil.copytree(package, tmp_path, dirs_exist_ok=True)
    settings = json.loads((tmp_path / "engine.json").read_text())
    assert set(settings["features"]) == this_machine().code
    settings["features"].append("avx1024_dream")
    (tmp_path / "engine.json").write_text(json.dumps(settings))
    with pytest.raises(SetupError, match=r"avx1024_dream, which this one lacks.*pixelis build --formats aotinductor"):
        load_engine(tmp_path, threads=1)


def test_a_missing_compiler_names_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SetupError, match=r"no no-such-compiler here.*apt-get install g\+\+"):
        open_format("aotinductor").require()
