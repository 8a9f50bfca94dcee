"""The two PyTorch formats: what is built can be built, and what is not says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.optimization_check import impossible
from builder.spec import pipeline
from pixelis.errors import BuildError
from pixelis.machine import Gpu, Machine

CPU = Machine("CPU", frozenset({"avx512_bf16", "avx512_fp16", "avx512_vnni"}), 2, 4096, (), ())
MODERN = replace(CPU, gpus=(Gpu("GPU", "9.0", 81920, "580"),))


def test_no_form_in_the_spec_has_options_that_are_refused() -> None:
    for model in pipeline().models:
        for candidate in model.all_candidates:
            error = impossible(candidate, MODERN)
            assert error is None, f"{model.name} {candidate.label}: {error}"


def test_forms_for_a_gpu_are_refused_where_there_is_none() -> None:
    asked = [c for model in pipeline().models for c in model.all_candidates if c.optimization.device == "cuda"]
    assert {c.label for c in asked} == {"torchscript-fp32-cuda", "torchscript-fp16-cuda"}
    for candidate in asked:
        assert "needs an NVIDIA GPU" in str(impossible(candidate, CPU))


def test_an_excluded_form_is_refused_with_its_reason() -> None:
    with pytest.raises(BuildError, match=r"not built as torchscript-int8-dynamic: no Linear layer runs in it"):
        pipeline()["embed_image"].find_candidate("torchscript-int8-dynamic")
    with pytest.raises(BuildError, match="there is no PyTorch module"):
        pipeline()["ocr_detect"].find_candidate("aotinductor-fp32")
