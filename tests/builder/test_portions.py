"""Large matrices of floats are multiplied by in portions, and quantised ones are compared with those, part by part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper

from builder.gating import weights as gate_weights
from builder.gating.weights import wrong_weights
from builder.sources.emission import matrices
from builder.sources.emission.emit import emit
from builder.sources.emission.form import Form
from builder.sources.random_checkpoint import write_checkpoint
from python_backends.engine.onnxruntime_engine import open_session
from tests.builder.test_random_checkpoint import SMALL_TEXT, SMALL_VISION

pytestmark = pytest.mark.slow


def _emitted(checkpoint: Path, directory: Path, form: Form) -> Path:
    directory.mkdir()
    emit(checkpoint, directory, form)
    return directory / "model.onnx"


def _head(path: Path) -> list[str]:
    graph = onnx.load(str(path), load_external_data=False).graph
    return [f"{node.op_type} {node.name}" for node in graph.node if node.name.startswith("/lm_head")]


def _logits(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session, rng = open_session(path, 1), np.random.default_rng(3)
    feeds = {}
    sizes = {"batch_size": 2, "sequence_length": 5, "total_sequence_length": 5, "past_sequence_length": 0, "chosen": 1}
    for node in session.get_inputs():
        shape = [sizes.get(size, 5) if isinstance(size, str) else size for size in node.shape]
        if node.name.startswith("past"):
            shape[2] = 0
        if node.type == "tensor(int64)":
            feeds[node.name] = np.ones(shape, np.int64)
        else:
            feeds[node.name] = rng.standard_normal(shape, np.float32)
    answer: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = session.run(["logits"], feeds)[0]
    return answer


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_portions_say_what_the_whole_says(tied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = {**SMALL_TEXT, "vocab_size": 322, "tie_word_embeddings": tied}
    checkpoint = write_checkpoint(tmp_path / "checkpoint", text, SMALL_VISION, 168, seed=5)
    whole = _emitted(checkpoint, tmp_path / "whole", Form())
    int8 = _emitted(checkpoint, tmp_path / "int8", Form(bits=8))
    monkeypatch.setattr(matrices, "PORTION", 4 * text["hidden_size"] * 100)
    parted = _emitted(checkpoint, tmp_path / "parted", Form())
    kind = "FusedMatMul" if tied else "MatMul"
    assert _head(parted) == [*(f"{kind} /lm_head/MatMul.{i}" for i in range(4)), "Concat /lm_head/MatMul"]
    np.testing.assert_allclose(_logits(parted), _logits(whole), atol=1e-5)
    if tied:
        return  # the blocks of a tied projection are the table's, which has no fp32 weight of that name
    monkeypatch.setattr(gate_weights, "NUMBERS", 1000)
    monkeypatch.setattr("builder.gating.constants.NUMBERS", 1000)
    faults, compared = wrong_weights(whole, int8)
    assert not faults
    assert wrong_weights(parted, int8) == (faults, compared)
    _turn_one(int8, "lm_head.MatMul.weight")
    (fault,), _ = wrong_weights(parted, int8)
    assert fault.startswith("1 of ")
    assert "lm_head.MatMul.weight" in fault


def _turn_one(path: Path, base: str) -> None:
    """Another sign for the last block's largest weight."""
    graph = onnx.load(str(path), load_external_data=False).graph
    one = next(one for one in graph.initializer if one.name.startswith(f"{base}_Q8"))
    where = external_data_helper.ExternalDataInfo(one)
    file = np.memmap(path.parent / where.location, np.uint8, mode="r+", offset=where.offset or 0, shape=tuple(one.dims))
    at = int(np.abs(file[-1, -1].astype(int) - 128).argmax())
    file[-1, -1, at] = 256 - int(file[-1, -1, at]) if file[-1, -1, at] else 255
    file.flush()
