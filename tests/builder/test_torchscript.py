"""TorchScript: traced, frozen, judged in the engine that serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from builder.build_one import make
from builder.candidate import Candidate
from builder.formats import open_format
from builder.optimization import Attention, OptimizationConfig
from builder.sources.ocr_detect import OcrDetect
from builder.tolerance import Precision
from pixelis.errors import BuildError, InvalidRequest
from python_backends.engine import load_engine
from tests.builder.test_torch_source import TorchLinear
from tests.builder.tiny_torch import LONGEST, WIDTH, WORDS, FixedBatch, TinyAttention, tiny_spec

FP32 = Candidate(format="torchscript")


def test_a_module_becomes_a_frozen_graph_that_says_what_it_is(tmp_path: Path) -> None:
    manifest = make(tiny_spec(FP32), tmp_path / "out")
    assert manifest.gate.passed
    assert manifest.gate.outputs["POOLED"].against_source.max_abs < 1e-5
    assert "torch.jit.freeze" in manifest.optimisations[0]
    assert manifest.notes["upstream"] == "TorchScript is deprecated upstream"
    assert manifest.notes["attention"] == "aten::_scaled_dot_product_flash_attention_for_cpu"
    assert [(t.name, t.dtype, t.dims) for t in manifest.inputs] == [("IDS", "INT64", [-1, -1])]
    assert [(t.name, t.dims) for t in manifest.outputs] == [("POOLED", [-1, WIDTH]), ("STATES", [-1, -1, WIDTH])]
    assert manifest.parameters == sum(p.numel() for p in TinyAttention().loaded.parameters())
    assert manifest.weight_bytes == 4 * manifest.parameters
    assert set(manifest.files) == {"model.ts", "engine.json", "words.txt"}


def test_no_path_of_this_machine_is_inside(tmp_path: Path) -> None:
    make(tiny_spec(FP32), tmp_path / "out")
    contents = (tmp_path / "out" / "model.ts").read_bytes()  # stored, not compressed
    for place in (torch.__file__, __file__):
        assert str(Path(place).parent).encode() not in contents


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_small_floats_are_inside_and_single_precision_outside(tmp_path: Path, precision: Precision) -> None:
    manifest = make(tiny_spec(Candidate(format="torchscript", precision=precision)), tmp_path / "out")
    assert {(t.name, t.dtype) for t in manifest.outputs} == {("POOLED", "FP32"), ("STATES", "FP32")}
    assert manifest.gate.outputs["POOLED"].against_source.max_abs > 1e-5
    table, linear = WORDS * WIDTH, 4 * WIDTH * (WIDTH + 1)
    assert manifest.weight_bytes == 2 * (table + linear) + 4 * (manifest.parameters - table - linear)


def test_linear_layers_become_int8_but_for_those_that_are_left_out(tmp_path: Path) -> None:
    int8 = Candidate(format="torchscript", precision="int8", quantization="dynamic")
    manifest = make(tiny_spec(int8), tmp_path / "all")
    linear = 4 * WIDTH * WIDTH
    assert manifest.parameters == sum(p.numel() for p in TinyAttention().loaded.parameters())
    assert manifest.weight_bytes == linear + 4 * (manifest.parameters - linear)
    without = int8.model_copy(update={"optimization": OptimizationConfig(exclude_nodes=("out",))})
    assert make(tiny_spec(without), tmp_path / "some").weight_bytes == manifest.weight_bytes + 3 * WIDTH * WIDTH
    unknown = int8.model_copy(update={"optimization": OptimizationConfig(exclude_nodes=("head",))})
    with pytest.raises(BuildError, match=r"no Linear layer called head\. It has out, qkv"):
        make(tiny_spec(unknown), tmp_path / "none")


def test_int8_of_which_nothing_runs_is_refused(tmp_path: Path) -> None:
    int8 = Candidate(format="torchscript", precision="int8", quantization="dynamic")
    with pytest.raises(BuildError, match="No quantised layer runs in this model"):
        make(tiny_spec(int8, "IdleLinear"), tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "kernel"),
    [
        ("eager", "no attention operator: matrix products and a softmax, or none at all"),
        ("math", "aten::_scaled_dot_product_attention_math"),
        ("flash", "aten::_scaled_dot_product_flash_attention_for_cpu"),
    ],
)
def test_the_attention_that_was_asked_for_is_the_one_that_runs(tmp_path: Path, kind: Attention, kernel: str) -> None:
    config = OptimizationConfig(attention=kind)
    manifest = make(tiny_spec(Candidate(format="torchscript", optimization=config)), tmp_path / "out")
    assert manifest.notes["attention"] == kernel


def test_attention_of_a_model_without_it_is_an_error(tmp_path: Path) -> None:
    flash = Candidate(format="torchscript", optimization=OptimizationConfig(attention="flash"))
    with pytest.raises(BuildError, match="attention=flash has no meaning for `torch_linear`"):
        open_format("torchscript").export(TorchLinear(), tmp_path, flash)


def test_batch_and_sequence_stay_free(tmp_path: Path) -> None:
    open_format("torchscript").export(TinyAttention(), tmp_path, FP32)
    with load_engine(tmp_path, threads=1) as engine:
        answer = engine.run({"IDS": np.ones((5, 9), np.int64)})
        for given in (np.full((2, 3), 10_000), np.ones((2, LONGEST + 1), np.int64)):
            with pytest.raises(InvalidRequest, match="does not take these inputs"):
                engine.run({"IDS": given})
    assert answer["POOLED"].shape == (5, WIDTH)
    assert answer["STATES"].shape == (5, 9, WIDTH)


def test_a_batch_that_the_trace_fixed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"should vary was fixed .*POOLED is \[3, 16\] instead of \[6, 16\]"):
        open_format("torchscript").export(FixedBatch(), tmp_path, FP32)


def test_a_source_without_a_module_says_so(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="has no PyTorch module"):
        open_format("torchscript").export(OcrDetect(), tmp_path, FP32)
