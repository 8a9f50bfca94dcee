"""`--device auto`: what is kept on which machine, and why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.building.machine import narrow
from builder.candidate import Candidate
from builder.forms import openvino
from pixelis.machine import Gpu, Machine

PACKAGES = tuple((name, "1") for name in ("onnxruntime", "torch", "openvino", "nncf", "polygraphy", "coremltools"))
OLD = Machine("Old CPU", frozenset({"avx2"}), 2, 4096, (), PACKAGES)
NEW = replace(OLD, features=frozenset({"avx512_bf16", "avx512_vnni", "avx512_fp16", "avx512f"}))
TILES = replace(NEW, features=NEW.features | {"amx_int8", "amx_bf16"})
WITH_GPU = replace(NEW, gpus=(Gpu("NVIDIA L4", "8.9", 23034, "550.54"),))


def _one(machine: Machine, **form: object) -> tuple[bool, str]:
    choice = narrow(machine, [Candidate.model_validate(form)])[0]
    return choice.kept, choice.reason


@pytest.mark.parametrize("form", ["onnx", "openvino", "torchscript", "aotinductor"])
def test_full_precision_is_kept_everywhere(form: str) -> None:
    assert _one(OLD, format=form) == (True, "runs on any CPU")


def test_bf16_needs_instructions() -> None:
    assert _one(OLD, format="aotinductor", precision="bf16")[1].startswith("this CPU has no bf16 arithmetic")
    assert _one(NEW, format="aotinductor", precision="bf16") == (True, "this CPU has avx512_bf16")


def test_fp16_is_skipped_where_it_is_emulated_and_kept_where_only_the_file_is_small() -> None:
    kept, reason = _one(OLD, format="onnx", precision="fp16")
    assert not kept
    assert "in fp32 between casts" in reason
    assert _one(OLD, format="openvino", precision="fp16")[0]
    assert _one(NEW, format="torchscript", precision="fp16") == (True, "this CPU has avx512_fp16")


def test_int8_products_need_instructions_and_int8_weights_do_not() -> None:
    assert not _one(OLD, format="onnx", precision="int8", quantization="dynamic")[0]
    assert _one(OLD, format="onnx", precision="int8", quantization="weights")[0]
    assert _one(NEW, format="onnx", precision="int8", quantization="static") == (True, "this CPU has avx512_vnni")


def test_small_weights_between_which_bf16_is_computed_need_its_instructions() -> None:
    form = {"format": "openvino", "precision": "int8", "quantization": "weights", "optimization": {"autocast": "bf16"}}
    assert _one(OLD, **form)[1].endswith("in which it is to be computed")
    assert _one(NEW, **form)[0]


@pytest.mark.parametrize(("machine", "autocast"), [(NEW, "bf16"), (TILES, "none")])
def test_where_products_of_bf16_would_widen_int8_weights_they_go_without(
    machine: Machine, autocast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.forms.openvino.this_machine", lambda: machine)
    made, _ = openvino.forms("policy")
    (small,) = (one for one in made if one.label == "openvino-int8-weights")
    assert small.optimization.autocast == autocast


def test_an_engine_for_a_gpu_is_for_machines_that_have_one() -> None:
    assert "built here, and not run" in _one(NEW, format="tensorrt", precision="fp16")[1]
    assert _one(WITH_GPU, format="tensorrt", precision="fp16") == (True, "runs on NVIDIA L4")


def test_a_missing_package_names_its_extra() -> None:
    bare = replace(NEW, packages=(("onnxruntime", "1"),))
    assert _one(bare, format="openvino") == (
        False,
        "openvino, nncf is not installed: pip install 'pixelis-serving[openvino]'",
    )
    assert _one(bare, format="onnx")[0]
