"""Core ML packages: converted here, held against their source, never run here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from builder.build_one import make
from builder.candidate import Candidate
from builder.formats.coreml import PACKAGE, CoreMlFormat
from pixelis.errors import BuildError, SetupError
from tests.builder.tiny_torch import TinyAttention, tiny_spec

FORMS = (Candidate(format="coreml"), Candidate(format="coreml", precision="int8", quantization="weights"))


@pytest.fixture(autouse=True)
def _package(request: pytest.FixtureRequest) -> None:
    if "lacking" not in request.node.name:
        pytest.importorskip("coremltools")


def _made(candidate: Candidate, directory: Path) -> CoreMlFormat:
    form = CoreMlFormat()
    form.export(TinyAttention(), directory, candidate)
    form.optimise(directory, candidate)
    return form


@pytest.mark.parametrize("candidate", FORMS, ids=lambda candidate: candidate.label)
def test_a_package_has_names_and_weights_of_its_source(candidate: Candidate, tmp_path: Path) -> None:
    manifest = make(tiny_spec(candidate), tmp_path / "out")
    assert manifest.gate.passed
    assert manifest.gate.not_executed
    assert [(t.name, t.dims) for t in manifest.inputs] == [("IDS", [-1, -1])]
    assert manifest.notes["weights"].split()[0] == manifest.notes["weights"].split()[2] != "0"
    assert (tmp_path / "out" / "words.txt").is_file()


def test_the_same_source_gives_the_same_manifest(tmp_path: Path) -> None:
    for name in "ab":
        _made(FORMS[0], tmp_path / name)
    first, second = ((tmp_path / name / PACKAGE / "Manifest.json").read_bytes() for name in "ab")
    assert first == second


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    form = _made(FORMS[0], tmp_path)
    assert form.inspect(tmp_path) == []
    blob = next((tmp_path / PACKAGE).rglob("weight.bin"))
    content = blob.read_bytes()
    assert form._source is not None
    row = form._source.loaded.state_dict()["qkv.weight"][5].numpy()
    assert content.count(row.tobytes()) == 1
    blob.write_bytes(content.replace(row.tobytes(), (row + 0.01).tobytes()))
    assert ["qkv_weight" in fault for fault in form.inspect(tmp_path)] == [True]


def test_an_int8_weight_of_another_model_is_found(tmp_path: Path) -> None:
    form = _made(FORMS[1], tmp_path)
    assert form.inspect(tmp_path) == []
    assert form._source is not None
    form._source.loaded.state_dict()["qkv.weight"][5] += 0.1
    assert ["qkv_weight" in fault for fault in form.inspect(tmp_path)] == [True]


def test_wrong_names_are_found(tmp_path: Path) -> None:
    form = _made(FORMS[0], tmp_path)

    class Renamed(TinyAttention):
        inputs = ("TOKENS",)
        outputs = ("STATES", "MEAN")

        def example(self) -> dict[str, np.ndarray]:
            return {"TOKENS": super().samples()[1]["IDS"]}

    form._source = Renamed()
    faults = form.inspect(tmp_path)
    assert any("inputs are IDS instead of TOKENS" in fault for fault in faults)
    assert any("outputs are" in fault for fault in faults)


def test_a_broken_package_is_a_fault(tmp_path: Path) -> None:
    form = _made(FORMS[0], tmp_path)
    next((tmp_path / PACKAGE).rglob("*.mlmodel")).write_bytes(b"no model")
    assert "does not load" in form.inspect(tmp_path)[0]


def test_lacking_coremltools_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError) as error:
        CoreMlFormat().require()
    assert "[coreml]" in str(error.value.mend)


def test_an_operator_that_coremltools_lacks_is_named() -> None:
    cause = NotImplementedError("PyTorch convert function for op 'fft_rfft' not implemented.")
    told = CoreMlFormat().failure(TinyAttention(), FORMS[0], cause)
    assert "fft_rfft" in told.message
    assert "tiny" in told.message


def test_there_is_no_bf16(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no coreml-bf16"):
        CoreMlFormat().export(TinyAttention(), tmp_path, Candidate(format="coreml", precision="bf16"))
