"""The emitted decoder as a candidate is built: through the source, in every form, and the files it lies in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from builder.candidate import Candidate, Quantization
from builder.formats.onnx import OnnxFormat
from builder.optimization import OptimizationConfig
from builder.sources.decoder import Decoder
from builder.sources.emission.blocks import Scheme, quantise, restore
from builder.sources.emission.choice import ruled_out
from builder.sources.emission.emit import emit
from builder.sources.emission.form import Form
from builder.sources.random_checkpoint import write_checkpoint
from builder.tolerance import Precision
from pixelis.errors import BuildError
from tests.builder.test_random_checkpoint import SMALL_TEXT, SMALL_VISION
from tests.qwen3_checkpoint import write_qwen3_checkpoint

pytestmark = pytest.mark.slow
FORMS: tuple[tuple[Precision, Quantization, float], ...] = (
    ("fp32", "none", 1e-4),
    ("fp16", "none", 0.01),
    ("int8", "dynamic", 0.3),
    ("int8", "weights", 0.1),
    ("int4", "weights", 0.8),
)
"""With the root mean square error that is allowed, as a share of the logits' own spread."""


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen3_checkpoint(tmp_path_factory.mktemp("qwen3") / "checkpoint")


@pytest.mark.parametrize(("precision", "how", "allowed"), FORMS, ids=lambda value: str(value))
def test_answers_with_images(
    precision: Precision, how: Quantization, allowed: float, qwen3: Path, tmp_path: Path
) -> None:
    """What the gate compares: prompts with images, in ragged batches, then steps."""
    source, form = Decoder(qwen3), Candidate(format="onnx", precision=precision, quantization=how)
    done = source.export_native(tmp_path, form)
    assert "deepstack" in done[0]
    shape = OnnxFormat().describe(tmp_path)
    assert shape.size_bytes > shape.weight_bytes > shape.parameters // 2
    assert {tensor.name for tensor in shape.inputs} >= {"deepstack.0", "deepstack.1", "deepstack.2", "logits_at"}
    for sample in source.samples()[:2]:
        got, wanted = source.answer(tmp_path, sample), source.reference(sample)
        for name, logits in wanted.items():
            error = float(np.sqrt(np.mean((got[name] - logits) ** 2))) / float(logits.std())
            assert error < allowed, name
    for feed in source.feeds(tmp_path, source.samples()[0]) if precision == "fp32" else ():
        assert {tensor.name for tensor in shape.inputs} == feed.keys()


def test_the_model_builder_is_asked_where_it_is_right(qwen3: Path, tmp_path: Path) -> None:
    assert "deepstack" in ruled_out(qwen3)
    common = write_checkpoint(tmp_path / "small", {**SMALL_TEXT, "vocab_size": 320}, SMALL_VISION, 168, seed=5)
    assert ruled_out(common) == ""
    equal = write_checkpoint(
        tmp_path / "equal", {**SMALL_TEXT, "vocab_size": 256, "intermediate_size": 256}, SMALL_VISION, 168, seed=5
    )
    assert "vocabulary" in ruled_out(equal)


def test_the_nodes_are_the_model_builders(tmp_path: Path) -> None:
    text = {**SMALL_TEXT, "vocab_size": 320, "tie_word_embeddings": False}
    checkpoint = write_checkpoint(tmp_path / "checkpoint", text, SMALL_VISION, 168, seed=5)
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    emit(checkpoint, tmp_path / "ours", Form())
    Decoder(checkpoint).export_native(tmp_path / "theirs", Candidate(format="onnx"))
    ours, theirs = (onnx.load(str(tmp_path / name / "model.onnx")).graph for name in ("ours", "theirs"))
    kinds = [sorted((n.op_type, n.name) for n in graph.node if n.op_type != "Constant") for graph in (ours, theirs)]
    assert kinds[0] == kinds[1]
    assert {value.name for value in ours.input} == {value.name for value in theirs.input}
    assert {value.name for value in ours.output} == {value.name for value in theirs.output}
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in ours.initializer}
    for one in theirs.initializer:
        np.testing.assert_allclose(weights[one.name], onnx.numpy_helper.to_array(one), atol=1e-6, err_msg=one.name)


def test_weights_lie_in_files_of_a_size(qwen3: Path, tmp_path: Path) -> None:
    emit(qwen3, tmp_path, Form(), limit=1 << 16)
    files = sorted(tmp_path.glob("weights-*.bin"))
    assert len(files) > 2
    largest = 2048 * 16 * 4  # a rotary table has a file of its own
    assert all(path.stat().st_size <= largest for path in files)
    graph = onnx.load(str(tmp_path / "model.onnx"), load_external_data=False).graph
    held = {entry.value for one in graph.initializer for entry in one.external_data if entry.key == "location"}
    assert held == {path.name for path in files} | {"embed_tokens.npy"}  # tied: the table is stored once
    assert (tmp_path / "model.onnx").stat().st_size < 60_000


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric", "k_quant"])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("width", [64, 96, 72])
def test_blocks_are_near(scheme: Scheme, bits: int, width: int) -> None:
    rows = np.random.default_rng(0).normal(size=(7, width)).astype(np.float32)
    rows[3] = 0
    made = quantise(rows, bits, 32, scheme)
    back = restore(made, bits, width)
    steps = np.repeat(np.abs(made.scales), 32, axis=1)[:, :width]
    # the end of a symmetric range is one short, and the search may give an outlier up
    assert (np.abs(back - rows) <= steps * (1.01 if scheme == "symmetric" else 2.5)).all()
    assert np.sqrt(np.mean((back - rows) ** 2)) < {8: 0.01, 4: 0.15}[bits]
    np.testing.assert_allclose(back[3], 0, atol=1e-6)


def test_what_does_not_fit_is_refused(qwen3: Path, tmp_path: Path) -> None:
    config = (qwen3 / "config.json").read_text()
    with pytest.raises(BuildError, match="no node /model/nothing"):
        emit(qwen3, tmp_path, Form(bits=8, excluded=("/model/nothing",)))
    form = Candidate(format="onnx", precision="int8", quantization="static", optimization=OptimizationConfig())
    with pytest.raises(BuildError, match="static"):
        Decoder(qwen3).export_native(tmp_path, form)
    with pytest.raises(BuildError, match="deepstack"):
        Decoder(qwen3).export_native(tmp_path, Candidate(format="torchscript"))
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "config.json").write_text(config.replace('"intermediate_size": 96', '"intermediate_size": 100'))
    (wrong / "model.safetensors").symlink_to(qwen3 / "model.safetensors")
    with pytest.raises(BuildError, match=r"gate_proj.weight is \[96, 64\], config.json wants \[100, 64\]"):
        emit(wrong, tmp_path / "nowhere", Form())
