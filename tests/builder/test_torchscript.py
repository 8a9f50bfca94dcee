"""TorchScript: traced, frozen, judged in the engine that serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from builder.build_one import make
from builder.candidate import Candidate
from builder.formats import open_format
from builder.sources.ocr_detect import OcrDetect
from pixelis.errors import BuildError, InvalidRequest
from python_backends.engine import load_engine
from tests.builder.tiny_torch import LONGEST, WIDTH, FixedBatch, TinyAttention, tiny_spec

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
